"""Which words of a refusal may be shown: codes made of words that refusals are made of, and nothing else.

Whatever stands in an error body may be somebody's login, which looks like a code too.
"""

import re

LONGEST = 80  # characters
PARTS = re.compile(r"[A-Za-z0-9]+(?:[_.-][A-Za-z0-9]+)*")
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")

# Of RFC 6749 §5.2 and RFC 6750 §3.1, LTIAAS's documents, Open edX's limit, and what web services commonly say.
OF_REFUSALS = """
    a above access account active api argument assertion auth authentication authorization available bad body
    client code context course credentials denied deployment disabled enabled endpoint error exceeded exception
    exist expired failed failure forbidden for found gateway grant header id inactive insufficient internal invalid
    is issuer key large launch length limit link lms lti ltik many media member members membership memberships
    method missing mismatch name names no not of on or page parameter parse permission permissions platform quota
    rate registered registration request required resource response role roles roster scope server service
    services session signature size status supported temporarily the throttled timeout token too tool type
    unauthenticated unauthorized unavailable unexpected unknown unregistered unsupported url user users validation
    value with
"""
KNOWN = frozenset(OF_REFUSALS.split())


def shown(text: object) -> str | None:
    """Return *text* where it is a code that can be nobody's name or login, else None."""
    if not isinstance(text, str) or len(text) > LONGEST or not PARTS.fullmatch(text):
        return None
    words = [word.lower() for word in WORDS.findall(text)]
    return text if words and KNOWN.issuperset(words) else None
