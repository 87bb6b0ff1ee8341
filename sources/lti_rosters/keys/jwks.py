"""Our JWKS: what is to be published of our keys, and what is wrong with what is (RFC 7517; LTI security §6.3)."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .signing import ALGORITHM, LEAST_BITS, SigningKey, public_jwk

# The members of a JWK that nobody but its owner may see (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
MOST_SHOWN = 6  # key ids in one message
KID = re.compile(r"[\w.:/+=~@ -]{1,80}", re.ASCII)
NEW_KEYS = "Take the file down and make new keys at once (keys rotate --publish, then --switch --now)."


class Remark(NamedTuple):
    """What is to be said of a published JWKS; a fault keeps some platform from verifying us, or worse."""

    what: str
    remedy: str = ""
    is_fault: bool = True


def key_set(keys: Iterable[SigningKey]) -> dict[str, list[dict[str, str]]]:
    """Return the JWKS of *keys*, in their order, public members alone, each key under each of its names once."""
    once = {(key.kid, key.thumbprint): public_jwk(key) for key in keys}
    return {"keys": [once[name] for name in once]}


def ordered(signing: Iterable[SigningKey], others: Iterable[SigningKey]) -> list[SigningKey]:
    """Return all keys in the order of publication: the *signing* ones first, each part by kid."""
    return [*sorted(signing, key=_kid), *sorted(others, key=_kid)]


def examine(
    body: bytes, media_type: str, signing: Sequence[SigningKey], others: Sequence[SigningKey] = ()
) -> list[Remark]:
    """Say what is wrong with the published *body*: faults first.

    Every *signing* key must be in it; *others* (of a rotation) should be. Nothing of the body is repeated but
    key ids.
    """
    if b"PRIVATE KEY" in body:
        return [Remark("a PRIVATE KEY (PEM) is published here, for everybody to take.", NEW_KEYS)]
    document = _read(body)
    if isinstance(document, Remark):
        return [document]
    remarks = [*_leaks(document)]
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        what = 'the JSON has no list "keys", so it is no JWKS.'
        return [*remarks, Remark(what, "Publish what `lti-rosters jwks` prints.")]
    jwks = [key for key in keys if isinstance(key, dict)]
    for key in signing:
        remarks += _missing(key, jwks, is_fault=True)
    for key in others:
        remarks += _missing(key, jwks, is_fault=False)
    remarks += [*_oddities(jwks, len(keys)), *_media_type(media_type)]
    return sorted(remarks, key=lambda remark: not remark.is_fault)


def kids(body: bytes) -> list[str]:
    """Return the key ids of a JWKS for a message, those that look like one; [] for what is no JWKS."""
    document = _read(body)
    keys = document.get("keys") if isinstance(document, dict) else None
    return [_shown(key) for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []


def _kid(key: SigningKey) -> str:
    return key.kid


def _read(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        kind = "an HTML page" if body.lstrip()[:1] == b"<" else "no JSON"
        if not body.strip():
            kind = "nothing"
        return Remark(f"the address answers {kind} instead of a JWKS.", "Is the address right?")


def _leaks(document: Any) -> Iterator[Remark]:
    """Find private members wherever they stand (a walk without recursion: nothing bounds the depth)."""
    left, found = [document], []
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if names := sorted(PRIVATE & each.keys()):
                found.append((_shown(each), ", ".join(names)))
            left += each.values()
        elif isinstance(each, list):
            left += each
    if found:
        told = "; ".join(f"{kid} shows {names}" for kid, names in sorted(found)[:MOST_SHOWN])
        yield Remark(f"PRIVATE members of keys are published here, for everybody to take: {told}.", NEW_KEYS)


def _missing(key: SigningKey, jwks: Sequence[dict[str, Any]], *, is_fault: bool) -> Iterator[Remark]:
    """Look for *key* as a platform does: by its kid, then by what it verifies with."""
    named = [jwk for jwk in jwks if jwk.get("kid") == key.kid]
    ours = public_jwk(key)
    if not named:
        there = ", ".join(_shown(jwk) for jwk in jwks[:MOST_SHOWN]) or "none"
        under = next((jwk for jwk in jwks if _is_same(jwk, ours)), None)
        what = f"our key {key.kid} is not in it. There: {there}."
        remedy = "Publish what `lti-rosters jwks` prints now."
        if under is not None and _shown(under) == under.get("kid"):
            remedy = f"The same key is there as {_shown(under)}: publish it anew, or set key_id to that."
        elif under is not None:
            how = "under another kid" if isinstance(under.get("kid"), str) else "without a kid"
            remedy = f"The same key is there {how}, where no platform finds it. {remedy}"
        yield Remark(what, remedy, is_fault=is_fault)
        return
    if not _is_same(named[0], ours):
        what = f"another key stands under our kid {key.kid}: our signatures do not verify."
        yield Remark(what, "Publish what `lti-rosters jwks` prints; a kid is never given to another key.")
        return
    algorithm, use, operations = (named[0].get(name) for name in ("alg", "use", "key_ops"))
    if algorithm not in (None, ALGORITHM):
        yield Remark(
            f'our key {key.kid} has another "alg" than {ALGORITHM}.', "Publish it as jwks prints it."
        )
    is_for_else = isinstance(operations, list) and "verify" not in operations
    if use not in (None, "sig") or is_for_else:
        yield Remark(f"our key {key.kid} is not marked for signatures.", 'Its "use" must be "sig".')


def _oddities(jwks: Sequence[dict[str, Any]], entries: int) -> Iterator[Remark]:
    names = Counter(jwk["kid"] for jwk in jwks if isinstance(jwk.get("kid"), str))
    doubled = [_shown({"kid": kid}) for kid, times in names.items() if times > 1]
    if doubled:
        what = f"a kid stands there more than once: {', '.join(doubled[:MOST_SHOWN])}."
        yield Remark(what, "Platforms take the first or none of them: one key for each kid.")
    if nameless := sum(not isinstance(jwk.get("kid"), str) for jwk in jwks):
        yield Remark(f"{nameless} of its keys have no kid.", "Every key of a tool needs one.", is_fault=False)
    if entries > len(jwks):
        yield Remark(
            "there are entries that are no keys.", "Some platforms refuse the whole set then.", is_fault=False
        )
    if short := [_shown(jwk) for jwk in jwks if jwk.get("kty") == "RSA" and 0 < _bits(jwk) < LEAST_BITS]:
        yield Remark(
            f"keys of less than {LEAST_BITS} bits are published: {', '.join(short[:MOST_SHOWN])}.",
            is_fault=False,
        )


def _media_type(media_type: str) -> Iterator[Remark]:
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/jwk-set+json"):
        shown = kind if re.fullmatch(r"[a-z0-9.+/-]{1,60}", kind) else "none"
        what = f"its media type is {shown}, where application/json is due."
        yield Remark(what, "Some platforms read nothing else.", is_fault=False)


def _is_same(jwk: dict[str, Any], ours: dict[str, str]) -> bool:
    return jwk.get("kty") == "RSA" and all(
        _number(jwk.get(name)) == _number(ours[name]) for name in ("n", "e")
    )


def _bits(jwk: dict[str, Any]) -> int:
    return (_number(jwk.get("n")) or 0).bit_length()


def _number(value: Any) -> int | None:
    """The number that base64url text stands for, padded or not; None for what is none."""
    if not isinstance(value, str) or not value:
        return None
    bare = value.rstrip("=")
    try:
        return int.from_bytes(
            base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True), "big"
        )
    except ValueError:
        return None


def _shown(jwk: dict[str, Any]) -> str:
    kid = jwk.get("kid")
    if not isinstance(kid, str):
        return "one without a kid"
    return kid if KID.fullmatch(kid) else "one with an odd kid"
