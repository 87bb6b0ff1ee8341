"""What is known of platforms' products, to make a cause more likely; told as a hint, never acted on.

Facts from their source, documentation or recorded answers. Nothing here names a menu: those change, and few
could be verified.
"""

from typing import NamedTuple

from ..settings.registration import Registration


class Product(NamedTuple):
    """A product and how a registration shows that its platform is one: by parts of token URL or issuer."""

    name: str
    in_token_url: tuple[str, ...] = ()
    in_issuer: tuple[str, ...] = ()


PRODUCTS = (
    Product("Canvas", ("/login/oauth2/token",), ("canvas.instructure.com",)),
    Product("Moodle", ("/mod/lti/token.php",)),
    Product(
        "Blackboard", ("developer.blackboard.com/", "/gateway/oauth2/jwttoken"), ("https://blackboard.com",)
    ),
    Product("Brightspace", ("auth.brightspace.com/", "/core/connect/token"), ("brightspace",)),
    Product("Sakai", ("/imsblis/lti13/token",)),
    Product("Schoology", ("lti-service.svc.schoology.com/", "/lti-service/access-token"), ("schoology.com",)),
    Product("Open edX", ("/api/lti_consumer/",)),
    Product("TAO", ("/lti1p3/auth/",)),
)

ANY = "*"  # an error type that stands for every other

# By product, step and error type.
HINTS: dict[tuple[str, str, str], str] = {
    ("Canvas", "token", ANY): (
        "Canvas takes as audience exactly the token URL of the host that is asked (a slash too many, or http "
        "behind a proxy, is refused), and an assertion at most 30 s from its future and 5 minutes old."
    ),
    ("Canvas", "scope", ANY): "Canvas refuses the whole request where one scope is not granted to the tool.",
    ("Canvas", "roster", "refused"): (
        "Canvas ties a token to its host: token_url and the memberships URL must have the same one."
    ),
    ("Canvas", "clock", ANY): "Canvas takes an assertion at most 30 s from its future and 5 minutes old.",
    ("Moodle", "token", ANY): (
        "Moodle looks at client_id, signature, kid and times: an unknown kid and a clock ahead of its own are "
        "refused, without any leeway."
    ),
    ("Moodle", "scope", ANY): "Moodle says so where the tool's roster service is switched off.",
    ("Moodle", "roster", "refused"): (
        "Moodle answers so where the service was switched off meanwhile, where the course belongs to another "
        "tool, or where its web server strips the Authorization header."
    ),
    (
        "Moodle",
        "clock",
        ANY,
    ): "Moodle grants no leeway: an assertion one second ahead of its clock is refused.",
    ("Blackboard", "token", ANY): (
        "Blackboard's token URL and audience are central ones, not the school's; it fetches our JWKS, which "
        "must be public."
    ),
    ("Brightspace", "token", ANY): (
        "Brightspace wants the audience https://api.brightspace.com/auth/token, which is not its token URL, a "
        "kid, and a JWKS at an address: it takes no pasted key."
    ),
    ("Brightspace", "roster", "empty"): (
        "Brightspace lists those alone who have launched the tool, unless its deployment includes users that "
        "it does not know."
    ),
    ("Sakai", "token", ANY): "Sakai takes no assertion of more than ten minutes, and none twice.",
    (
        "Sakai",
        "roster",
        "refused",
    ): "Sakai answers 403 for a token that it does not know or that has expired.",
    ("Sakai", "roster", "malformed"): 'Sakai answers an empty course with no byte: zero_bytes = "empty".',
    ("Schoology", "roster", "malformed"): "Schoology refuses a request for one resource link (rlid).",
    ("Open edX", "token", ANY): "Open edX has a token URL for each block, hence a registration for each.",
    ("Open edX", "scope", ANY): "Open edX drops a scope that the tool does not have, without a word.",
    (
        "Open edX",
        "roster",
        "too_large",
    ): "Open edX serves no roster of more than 1,000 learners, whatever its pages.",
    ("Open edX", "roster", "refused"): "Open edX answers 403 where others answer 401.",
    ("TAO", "clock", ANY): "TAO's own leeway is one second.",
    ("TAO", "token", ANY): "TAO's own leeway between clocks is one second.",
}


def product_of(registration: Registration) -> str | None:
    """Return the name of the product that the platform of *registration* seems to be, None for an unknown one."""
    token_url, issuer = registration.token_url.lower(), registration.issuer.lower()
    for product in PRODUCTS:
        if any(part in token_url for part in product.in_token_url):
            return product.name
    for product in PRODUCTS:
        if any(part in issuer for part in product.in_issuer):
            return product.name
    return None


def hint(product: str | None, step: str, error_type: str) -> str:
    """Return what is known of *product* where *step* fails with *error_type*; empty where nothing is."""
    if product is None:
        return ""
    return HINTS.get((product, step, error_type)) or HINTS.get((product, step, ANY), "")
