"""Authentication: a signed assertion becomes an access token, shared by all courses of a registration."""

import copy
import json
import re
import threading
import time
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt

from ..errors import (
    ConfigurationError,
    Interrupted,
    LtiRostersError,
    RefusedError,
    RosterTimeoutError,
    ScopeError,
)
from ..settings.registration import Registration
from ..web.answer import Answer, moment_of
from ..web.transport import Call, Effort, Transport
from ..web.urls import without_secrets

SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEPLOYMENT_CLAIM = "https://purl.imsglobal.org/spec/lti/claim/deployment_id"
ASSERTION_LIFE = 300  # seconds from iat to exp; Canvas and Sakai refuse much more
BACKDATED = 10  # seconds; Moodle refuses an iat that lies ahead of its own clock by one second
DEFAULT_LIFE = 3600.0  # seconds, where expires_in is missing (Security Framework §4.1)
LONGEST_LIFE = 86_400.0  # seconds; a token that claims to live longer is renewed once a day all the same
MARGIN = 30.0  # seconds before its expiry at which a token is renewed, or a tenth of its life if that is less
FRUITLESS = 3  # renewals in a row that helped nobody: then refusals are taken to be about the courses
PROBING_PAUSE = 60.0  # seconds between renewals from then on, and after a failure that may pass
FINAL = (RefusedError, ConfigurationError)  # failures that asking again in this run does not mend
IN_A_ROW = 9  # refusals of a token that has served before, nothing accepted between: it is the token
SKEW_WORTH_TELLING = 20.0  # seconds
GLANCE = 0.5  # seconds between two looks whether who waits for the token should wait on
TOLD = 200  # characters of what a platform says of a refusal
# Long runs of the letters of tokens: of any kind, or shorter ones with a digit (a scope's URL has none). With
# the backslash of an escape, and letters set apart by spaces, so that no spelling of a token passes. And mail
# addresses: the request names no person, but its answer may name an administrator.
SECRET = re.compile(
    r"\S+@\S+|[\w\-+/=.~%\\]{80,}|(?=[\w\-+/=.~%\\]{0,79}[0-9])[\w\-+/=.~%\\]{16,}|(?:\S ){12,}\S?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; *expires_at* in monotonic seconds."""

    value: str = field(repr=False)
    expires_at: float


@dataclass(slots=True)
class Tokens:
    """The token of one registration: asked for once, shared by all threads, renewed when due or refused."""

    registration: Registration
    transport: Transport
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _current: Token | None = field(default=None, repr=False)
    _failure: LtiRostersError | None = None
    _failed_at: float = float("-inf")
    _last_renewal: float = float("-inf")
    _fruitless: int = 0
    _has_served: bool = False
    _refusals: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def token(self, effort: Effort) -> Token:
        """Return the token in force, a new one if none is.

        Raises RefusedError, ScopeError, ConfigurationError or a transport's error. A failure holds for every
        course of the registration: where the platform refused for the rest of the run, else for a minute.
        """
        with self._alone(effort.deadline):
            if self._current is None or self.clock() >= self._current.expires_at:
                self._current = self._ask(effort)
            return self._current

    def renew(self, refused: Token, effort: Effort) -> Token | None:
        """Return another token in place of one *refused*, or None where another would hardly help.

        A refusal says nothing of its cause: the token was revoked, or this one course is closed to us. So
        each is worth a new token, until renewing has not helped several times in a row: a platform with many
        closed courses would give out a token for each.
        """
        with self._alone(effort.deadline):
            if self._current is not None and self._current is not refused:
                return self._current
            self._refusals += 1
            if not self._is_worth_renewing():
                return None
            self._current = self._ask(effort)
            self._last_renewal = self.clock()
            self._fruitless += 1
            return self._current

    def served(self, token: Token, *, is_renewed: bool = False) -> None:
        """Note that *token* was accepted just now; *is_renewed*: where another had been refused before it."""
        with self._alone(float("inf")):
            if is_renewed:
                self._fruitless = 0
            if token is self._current:
                self._has_served = True
                self._refusals = 0

    @contextmanager
    def _alone(self, deadline: float) -> Iterator[None]:
        """Hold the lock; who waits meanwhile for another's request notices a stop and the *deadline*."""
        while not self._lock.acquire(timeout=GLANCE):
            if self.transport.stop.is_set():
                raise Interrupted
            if self.clock() >= deadline:
                raise RosterTimeoutError(
                    "no token came within roster_timeout.",
                    where=self.registration.name,
                    remedy="The token endpoint is slow; the next run tries again.",
                )
        try:
            yield
        finally:
            self._lock.release()

    def _is_worth_renewing(self) -> bool:
        if self._fruitless < FRUITLESS or self.clock() - self._last_renewal >= PROBING_PAUSE:
            return True
        return self._has_served and self._refusals >= IN_A_ROW

    def _ask(self, effort: Effort) -> Token:
        if self._failure is not None and self._failure_holds():
            # A copy: one error raised by many threads would gather all their tracebacks, and what they hold.
            raise copy.copy(self._failure)
        # The token serves every course, so the deadline of the one that happens to ask is not its bound.
        own = Effort(self.clock() + self.registration.options.roster_timeout)
        asked_at = self.clock()
        try:
            answer = self.transport.exchange(self._call(), own)
            token = read_token(answer, self.registration, asked_at=asked_at, now=self.now())
        except LtiRostersError as error:
            self._failure, self._failed_at = copy.copy(error), self.clock()
            raise
        finally:
            effort.requests += own.requests
            effort.retries += own.retries
            effort.throttles += own.throttles
        self._failure, self._has_served, self._refusals = None, False, 0
        return token

    def _failure_holds(self) -> bool:
        """A refusal stays one; a platform that was down may be back, and is asked again after a pause."""
        return isinstance(self._failure, FINAL) or self.clock() - self._failed_at < PROBING_PAUSE

    def _call(self) -> Call:
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        return Call("POST", self.registration.token_url, lambda: headers, self._form)

    def _form(self) -> bytes:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion(self.registration, now=self.now()),
            "scope": SCOPE,
        }
        return urlencode(form).encode("ascii")


def assertion(registration: Registration, *, now: float) -> str:
    """Sign a client assertion (Security Framework §4.1.1, LTI Core §6.2); a new jti at every call.

    *now* is Unix time in seconds. iss and sub are the client id, aud is one string.
    """
    key = registration.key
    if key is None:
        raise RefusedError("there is no private key to sign with.", where=registration.name)
    issued_at = int(now) - BACKDATED
    claims: dict[str, Any] = {
        **registration.extra_claims,
        "iss": registration.extra_claims.get("iss", registration.client_id),
        "sub": registration.client_id,
        "aud": registration.audience,
        "iat": issued_at,
        "exp": issued_at + ASSERTION_LIFE,
        "jti": uuid.uuid4().hex,
    }
    if registration.deployment_id is not None:
        claims[DEPLOYMENT_CLAIM] = registration.deployment_id
    return jwt.encode(claims, key.private_key, algorithm="RS256", headers={"kid": key.kid})


def read_token(answer: Answer, registration: Registration, *, asked_at: float, now: float) -> Token:
    """Read the answer of a token endpoint (RFC 6749 §5), whatever its content type (Moodle: text/html).

    Raises ScopeError without the membership scope, RefusedError for anything else that is no token.
    """
    fields = _json_object(answer.body)
    value = fields.get("access_token")
    if answer.status not in (200, 201) or not isinstance(value, str) or not _is_token(value):
        raise _refusal(answer, fields, registration, now)
    kind = fields.get("token_type")
    if isinstance(kind, str) and kind.strip().lower() not in ("bearer", ""):
        raise RefusedError(
            "the token endpoint granted a token that is no bearer token.", where=registration.name
        )
    _check_scope(fields.get("scope"), registration)
    life = _life(fields.get("expires_in"))
    return Token(value, asked_at + life - min(MARGIN, life / 10))


def _check_scope(granted: object, registration: Registration) -> None:
    """A scope that is missing is the one asked for (RFC 6749 §5.1); one that is there must hold ours."""
    if granted is None:
        return
    scopes = granted.replace(",", " ").split() if isinstance(granted, str) else granted
    if not isinstance(scopes, list) or SCOPE not in scopes:
        raise ScopeError(
            "a token was granted without the membership scope.",
            where=registration.name,
            remedy="Turn on Names and Role Provisioning for this tool in the platform's registration.",
        )


def _life(value: object) -> float:
    """Seconds from expires_in: a number, or one as text; nonsense counts as missing, 0 and less as over."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return DEFAULT_LIFE
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # NaN
        return DEFAULT_LIFE
    return float(max(0, min(value, LONGEST_LIFE)))  # bounded first: JSON knows whole numbers beyond a float


def _refusal(
    answer: Answer, fields: Mapping[str, Any], registration: Registration, now: float
) -> RefusedError:
    code = fields.get("error")
    told = _told(answer, fields)
    where = f"{registration.name}, token"
    if code == "invalid_scope":
        return ScopeError(
            f"the platform refuses the membership scope{told}.",
            where=where,
            remedy="Turn on Names and Role Provisioning for this tool in the platform's registration.",
            http_status=answer.status,
        )
    if answer.status in (200, 201):
        what = f"the token endpoint answered {answer.status} without a token that can be used{told}."
        return RefusedError(what, where=where, remedy="Is token_url right?", http_status=answer.status)
    return RefusedError(
        f"{without_secrets(registration.token_url)} refused our assertion (status {answer.status}{told}).",
        where=where,
        remedy=_causes(answer, registration, now),
        http_status=answer.status,
    )


def _causes(answer: Answer, registration: Registration, now: float) -> str:
    skew = clock_skew(answer, now)
    if skew is not None and abs(skew) > SKEW_WORTH_TELLING:
        side = "ahead of" if skew > 0 else "behind"
        return f"This machine's clock is {abs(skew):.0f} s {side} the platform's: set it right."
    if answer.status in (301, 302, 303, 404, 405, 410):
        return "Is token_url right?"
    kid = registration.key.kid if registration.key else "?"
    return (
        f"Likely: client_id {registration.client_id} is not known or not enabled there; or the platform does "
        f"not hold our public key with kid {kid} (its copy of our JWKS may be old); or the audience "
        f"{without_secrets(registration.audience)} is not the one it expects (set audience)."
    )


def clock_skew(answer: Answer, now: float) -> float | None:
    """Seconds by which this machine is ahead of the platform, from its Date header; None without one."""
    there = moment_of(answer.headers.get("date", ""))
    return None if there is None else now - there


def _told(answer: Answer, fields: Mapping[str, Any]) -> str:
    """What the platform says of a refusal, shortened, with anything that could be a secret left out.

    What is no error in the form of RFC 6749 §5.2 is quoted only where it cannot hold a token, and of an
    answer that is meant to hold one (2xx) nothing is.
    """
    texts = [fields.get(name) for name in ("error", "error_description")] if answer.status >= 300 else []
    said = ": ".join(text[: 10 * TOLD] for text in texts if isinstance(text, str) and text)
    said = SECRET.sub("…", _visible(said) or _excerpt(answer))[:TOLD]
    return f", it says: {said}" if said else ""


def _excerpt(answer: Answer) -> str:
    text = _visible(answer.body[: 2 * TOLD].decode("utf-8", "replace"))
    if not text:
        return "nothing, the body is empty"
    if text[:1] == "<":
        return "an HTML page"
    is_quotable = answer.status >= 400 and text[:1] != "[" and "token" not in text.lower()
    return text if is_quotable else ""


def _visible(text: str) -> str:
    """*text* in one line, without what is not seen and parts a token's letters (UTF-16 read as UTF-8)."""
    spaced = unicodedata.normalize("NFKC", text).translate(dict.fromkeys(map(ord, "\t\n\r"), " "))
    seen = (character for character in spaced if character.isprintable() and character != "\ufffd")
    return re.sub(" +", " ", "".join(each for each in seen if unicodedata.category(each) != "Mn")).strip()


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _is_token(value: str) -> bool:
    """Only what can stand in an Authorization header (RFC 6750 §2.1, tolerantly: visible ASCII)."""
    return bool(value) and value.isascii() and value.isprintable() and " " not in value
