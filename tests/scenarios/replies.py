"""Answers for scenarios: containers and pages with their links; the platform still checks every token."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lti_rosters.reference.platform import MEDIA_TYPE, Exchange, Reply
from school import people

Script = Callable[[Exchange], Reply | None]
HERE = object()  # the context as the course has it


@dataclass(frozen=True, slots=True)
class Page:
    """One page: *members* as sent, the *links* of its Link headers (`{next}` is the next page's URL)."""

    members: Sequence[Any] | None = ()
    links: Sequence[str] | None = None  # None: a plain next link where a page follows
    context: Any = HERE
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)  # of the container, beside or instead of ours

    def reply(self, exchange: Exchange, following: str | None) -> Reply:
        """The page as an answer to *exchange*."""
        course = exchange.course
        assert course is not None
        context = {"id": course.context_id, "title": course.title} if self.context is HERE else self.context
        container = {"id": exchange.target, "context": context, "members": people(self.members or ())}
        container = {name: value for name, value in {**container, **self.fields}.items() if value is not HERE}
        links = self.links
        if links is None:
            links = ['<{next}>; rel="next"'] if following else []
        headers = {"Content-Type": MEDIA_TYPE, **self.headers}
        sent = [("Link", link.replace("{next}", following or "")) for link in links]
        return Reply(200, [*sent, *headers.items()], json.dumps(container).encode())


def pages(*given: Page | Reply | Script | Sequence[Any]) -> Script:
    """Answer page n with the n-th of *given*: a page, a list of members, a reply, or a script of its own."""

    def script(exchange: Exchange) -> Reply | None:
        refused = exchange.serve()
        if refused.status in (401, 403):
            return refused  # a token that is no good
        number = int(exchange.query.get("page", "1"))
        page = given[number - 1]
        if callable(page):
            return page(exchange)
        if isinstance(page, Reply):
            return page
        following = url(exchange, f"page={number + 1}") if number < len(given) else None
        return (page if isinstance(page, Page) else Page(page)).reply(exchange, following)

    return script


def url(exchange: Exchange, query: str) -> str:
    """The course's roster with *query*, as an absolute URL."""
    return f"http://{exchange.headers['host']}{exchange.path}?{query}"


def body(content: bytes | str | dict[str, Any], status: int = 200, **headers: str) -> Reply:
    """A reply with *content* as it is; a dict as JSON."""
    if isinstance(content, dict):
        content = json.dumps(content)
    raw = content.encode() if isinstance(content, str) else content
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, list({"Content-Type": MEDIA_TYPE, **given}.items()), raw)


def walks(*scripts: Script) -> Script:
    """Answer the first walk through the pages with the first of *scripts*, the next with the next."""
    begun = [-1]

    def script(exchange: Exchange) -> Reply | None:
        if exchange.query.get("page", "1") == "1":
            begun[0] += 1
        return scripts[min(begun[0], len(scripts) - 1)](exchange)

    return script
