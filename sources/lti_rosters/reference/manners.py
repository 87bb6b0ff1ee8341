"""How each kind of platform behaves, as facts: what it checks, how it pages, how it refuses.

Facts are taken from the platforms' source, documentation or recorded answers. Where nothing is published
(D2L's paging, Schoology's link form, Blackboard's query names) the plainest behaviour stands, marked
*unverified*.
"""

from dataclasses import dataclass
from typing import Literal

MEDIA_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"  # NRPS §2.4
SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"  # NRPS §3.6.1.2

Style = Literal["canvas", "moodle", "sakai", "open_edx", "tao", "openolat", "d2l", "plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """The facts of one kind of platform. Times are in seconds; None means no bound, or not sent.

    Paths hold `{course}`; `{size}` and `{at}` of *link_query* are the page size and the position of the page.
    """

    name: str
    issuer: str
    style: Style = "plain"  # the form of its refusals
    token_path: str = "/token"  # noqa: S105 - a path
    memberships_path: str = "/courses/{course}/memberships"

    # The assertion (Security Framework §4.1.1)
    audience: str | None = None  # None: the token URL
    checks_audience: bool = True
    audience_list: Literal["accepted", "refused", "crash"] = "accepted"
    checks_issuer: bool = True
    required: tuple[str, ...] = ("iss", "sub", "aud", "exp", "iat", "jti")
    exp_leeway: float = 0.0
    iat_ahead: float = 0.0
    iat_age: float | None = None
    lifetime: float | None = None  # the longest exp - iat
    refuses_replay: bool = False

    # The token
    token_lifetime: float = 3600.0
    token_type: str = "Bearer"  # noqa: S105 - a word of RFC 6749
    token_content_type: str = "application/json; charset=utf-8"  # noqa: S105 - a media type
    scope_rule: Literal["all", "some", "any"] = (
        "all"  # all granted; at least one; whatever is left, even none
    )

    # The roster's request
    auth_status: int = 401
    accept_status: int | None = None  # the answer to another Accept than the exact one; None: not looked at
    role_filter: Literal["uri", "moodle", "both", "exact", "ignored"] = "ignored"
    rlid: Literal["moodle", "canvas", "list", "object", "refused", "ignored"] = "ignored"

    # The roster's answer
    content_type: str = MEDIA_TYPE
    escapes: bool = False  # JSON in ASCII with escaped slashes, as PHP writes it
    page_size: int | None = None  # None: everything at once, unless asked for less
    page_max: int | None = None
    size_names: tuple[str, ...] = (
        "limit",
    )  # query parameters read as the page size; none: size cannot be asked
    position_name: str = "offset"
    position_counts: Literal["members", "pages"] = "members"
    link_query: str = "limit={size}&offset={at}"
    link_keeps_first: bool = True  # other parameters stand before ours in the link
    link_drops: frozenset[str] = frozenset()  # parameters lost in the next link
    link_rels: tuple[str, ...] = ("next",)  # in the order sent
    link_separator: str = ", "
    repeats_last_next: bool = False  # the last page repeats the link that led to it
    zero_limit_loops: bool = False
    empty_page_is_blank: bool = False  # zero bytes instead of an empty list
    stable_order: bool = True
    learner_limit: int | None = None  # more learners than this are refused for good
    learners_only: bool = False
    context_fields: tuple[str, ...] = ("id", "label", "title")
    reports_deleted: bool = True  # in differences

    # Throttling
    throttle_status: int = 429
    throttle_after: int | None = None  # Retry-After, seconds
    throttle_body: str = ""


CANVAS = Manner(
    name="canvas",
    issuer="https://canvas.instructure.com",
    style="canvas",
    token_path="/login/oauth2/token",  # noqa: S106 - a path
    memberships_path="/api/lti/courses/{course}/names_and_roles",
    iat_ahead=30,
    iat_age=300,
    role_filter="uri",
    rlid="canvas",
    content_type=f"{MEDIA_TYPE}; charset=utf-8",
    page_size=50,
    page_max=50,
    size_names=("per_page", "limit"),
    position_name="page",
    position_counts="pages",
    link_query="page={at}&per_page={size}",
    link_rels=("current", "next", "prev", "first", "last"),
    link_separator=",",
    throttle_status=403,
    throttle_body="403 Forbidden (Rate Limit Exceeded)\n",
)

MOODLE = Manner(
    name="moodle",
    issuer="https://moodle.example",
    style="moodle",
    token_path="/mod/lti/token.php",  # noqa: S106 - a path
    memberships_path="/mod/lti/services.php/CourseSection/{course}/bindings/1/memberships",
    checks_audience=False,
    checks_issuer=False,
    required=("sub",),
    token_content_type="text/html; charset=utf-8",  # noqa: S106 - a media type
    scope_rule="some",
    accept_status=400,
    role_filter="moodle",
    rlid="moodle",
    content_type=f"{MEDIA_TYPE}; charset=utf-8",
    escapes=True,
    position_name="from",
    link_query="limit={size}&from={at}",
    link_keeps_first=False,
    link_drops=frozenset({"role"}),
)

BLACKBOARD = Manner(
    name="blackboard",
    issuer="https://blackboard.com",
    token_path="/api/v1/gateway/oauth2/jwttoken",  # noqa: S106 - a path
    memberships_path="/learn/api/v1/lti/external/namesandroles/{course}",
    iat_ahead=60,
    token_type="bearer",  # noqa: S106 - a word of RFC 6749
    role_filter="both",
    rlid="object",
    page_size=1000,
    page_max=1000,
    link_query="offset={at}&limit={size}",  # unverified
    link_rels=("next", "differences"),
    throttle_after=37,
)

D2L = Manner(
    name="d2l",
    issuer="https://school.brightspace.example",
    style="d2l",
    token_path="/core/connect/token",  # noqa: S106 - a path
    memberships_path="/d2l/api/lti/nrps/2.0/deployment/1/orgunit/{course}/memberships",
    audience="https://api.brightspace.com/auth/token",
    audience_list="crash",
    iat_ahead=60,
    size_names=(),  # unverified
    throttle_after=41,
)

SAKAI = Manner(
    name="sakai",
    issuer="https://sakai.example",
    style="sakai",
    token_path="/imsblis/lti13/token/1",  # noqa: S106 - a path
    memberships_path="/imsblis/lti13/namesandroles/{course}",
    exp_leeway=60,
    iat_ahead=60,
    lifetime=600,
    refuses_replay=True,
    auth_status=403,
    role_filter="both",
    content_type="application/json",
    position_name="start",
    link_query="start={at}&limit={size}",
    link_drops=frozenset({"role"}),
    zero_limit_loops=True,
    empty_page_is_blank=True,
    context_fields=("id", "title"),
)

SCHOOLOGY = Manner(
    name="schoology",
    issuer="https://schoology.schoology.com",
    token_path="/lti-service/access-token",  # noqa: S106 - a path
    memberships_path="/lti-service/tool/1/services/names-roles/v2p0/membership/{course}",
    iat_ahead=60,
    rlid="refused",
    page_size=100,
    page_max=100,
    position_name="start",
    link_query="start={at}&limit={size}",  # unverified
)

OPEN_EDX = Manner(
    name="open_edx",
    issuer="https://lms.example",
    style="open_edx",
    token_path="/api/lti_consumer/v1/token/1",  # noqa: S106 - a path
    memberships_path="/api/lti_consumer/v1/lti/{course}/memberships",
    checks_audience=False,
    token_type="bearer",  # noqa: S106 - a word of RFC 6749
    scope_rule="any",
    auth_status=403,
    accept_status=406,
    position_name="page",
    position_counts="pages",
    link_query="limit={size}&page={at}",
    learner_limit=1000,
    context_fields=("id",),
)

OPENOLAT = Manner(
    name="openolat",
    issuer="https://olat.example",
    style="openolat",
    token_path="/lti/token",  # noqa: S106 - a path
    memberships_path="/lti/nrps",
    checks_audience=False,
    auth_status=403,
    accept_status=400,
    content_type="application/json;charset=utf-8",
    size_names=(),
    learners_only=True,
)

TAO = Manner(
    name="tao",
    issuer="https://tao.example",
    style="tao",
    token_path="/lti1p3/auth/platformKey/token",  # noqa: S106 - a path
    memberships_path="/platform/service/nrps/{course}",
    exp_leeway=1,
    iat_ahead=1,
    accept_status=406,
    role_filter="exact",
    rlid="list",
    link_query="limit={size}&offset={at}",
    link_keeps_first=False,
    link_rels=("differences", "next"),
)

MANNERS = (CANVAS, MOODLE, BLACKBOARD, D2L, SAKAI, SCHOOLOGY, OPEN_EDX, OPENOLAT, TAO)
