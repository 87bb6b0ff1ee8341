"""The provider for platforms that speak NRPS 2.0: a connection per registration, the pages of one roster."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import MalformedError, NotFoundError, RefusedError, TooLargeError, UnreachableError
from ..web.answer import Answer
from ..web.links import read_links, target
from ..web.transport import Call, Effort, Transport
from ..web.urls import with_parameters
from .auth import Token, Tokens
from .container import Sheet, read_page

# Alone and without parameters: Moodle and OpenOlat refuse a list, Open edX anything else (NRPS §2.1).
MEDIA_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"


@dataclass(frozen=True, slots=True)
class Connection:
    """What it takes to ask one platform: its transport and its token."""

    where: str
    transport: Transport
    tokens: Tokens


def pages(
    connection: Connection, url: str, effort: Effort, *, parameters: Mapping[str, str] | None = None
) -> Iterator[Sheet]:
    """Read the pages of one roster, from *url* to the page without a next link (NRPS §2.4.2).

    *parameters* go on the first request alone, next links are used as they are. Whether the paging comes to
    an end is the reader's to guard. Raises what `Transport.exchange` raises, RefusedError, NotFoundError,
    TooLargeError and MalformedError.
    """
    following: str | None = with_parameters(url, parameters) if parameters else url
    while following is not None:
        answer = _read(connection, following, effort)
        links = read_links(answer.headers.get_list("link"), answer.url)
        following = target(links, "next")
        yield Sheet(read_page(answer.body), following, target(links, "differences"))


def _read(connection: Connection, url: str, effort: Effort) -> Answer:
    """GET *url* with the registration's token, renewed once where it is refused."""
    token, renewed = connection.tokens.token(effort), None
    answer = connection.transport.exchange(_get(url, token), effort)
    if answer.status in (401, 403) and not _is_too_large(answer):
        renewed = connection.tokens.renew(token, effort)
        if renewed is not None:
            answer = connection.transport.exchange(_get(url, renewed), effort)
    _check_status(answer, connection.where)
    connection.tokens.served(renewed or token, is_renewed=renewed is not None)
    return answer


def _get(url: str, token: Token) -> Call:
    # The scheme in exactly this case: Moodle answers 401 to `bearer`.
    headers = {"authorization": f"Bearer {token.value}", "accept": MEDIA_TYPE}
    return Call("GET", url, lambda: headers)


def _check_status(answer: Answer, where: str) -> None:
    """Turn every status but 200 (and 204, a body without a byte) into the error it means."""
    status = answer.status
    if status in (200, 204):
        return
    if status in (404, 410):
        raise NotFoundError(
            f"the platform offers no roster here ({status}).",
            where=where,
            remedy="The memberships URL belongs to one context and one deployment: take it from a recent launch.",
            http_status=status,
        )
    if _is_too_large(answer) or status == 413:
        raise TooLargeError(
            "the platform refuses to serve a roster of this size (above_response_limit).",
            where=where,
            remedy="Set page_size, or ask its administrator to raise the limit.",
            http_status=status,
        )
    if status in (401, 403):
        raise _refused(status, where)
    if status >= 500:
        raise UnreachableError(f"the platform answered {status}.", where=where, http_status=status)
    raise MalformedError(
        f"the platform answered {status}, which is no roster.",
        where=where,
        remedy="It may not know a parameter: try without page_size, role and resource_link_id.",
        http_status=status,
    )


def _refused(status: int, where: str) -> RefusedError:
    return RefusedError(
        f"the platform refuses our token, here or altogether ({status}).",
        where=where,
        remedy=(
            "Likely: the roster service is off for this tool; or the course belongs to another deployment or tool; "
            "or the memberships URL's host is not the token's; or a web server in between strips Authorization."
        ),
        http_status=status,
    )


def _is_too_large(answer: Answer) -> bool:
    """Open edX refuses rosters above its limit for good (xblock-lti-consumer, views.py)."""
    return answer.status == 403 and b"above_response_limit" in answer.body[:2_000]
