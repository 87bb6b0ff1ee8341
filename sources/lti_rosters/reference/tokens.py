"""The token endpoint of a reference platform: assertions are verified for real, tokens expire for real.

Client credentials with a signed assertion: Security Framework §4.1.1, RFC 7523 §2.2, RFC 6749 §4.4.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import jwt

from .manners import SCOPE, Manner
from .refusals import RosterFault, TokenFault, refuse_token
from .server import Reply, Request

GRANT = "client_credentials"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

JsonWebKey = Mapping[str, Any]
ToolKeys = Iterable[JsonWebKey] | Callable[[], Iterable[JsonWebKey]]


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """The assertion or its request is not accepted."""

    def __init__(self, fault: TokenFault, text: str) -> None:
        """*text* says why, in words."""
        super().__init__(text)
        self.fault: TokenFault = fault
        self.text = text


class Grant(NamedTuple):
    """What a token allows, and until when (seconds since the epoch)."""

    scopes: frozenset[str]
    until: float


class Tokens:
    """Issue tokens to one tool, and check them again at the roster.

    *keys* are the tool's public JWKs, or a callable that returns them at each request. *scopes* are those the
    tool is permitted, *lifetime* is in seconds; both may be changed at any time.
    """

    def __init__(
        self, manner: Manner, *, client_id: str, keys: ToolKeys, audience: str, now: Callable[[], float]
    ) -> None:
        """*now* is the platform's clock, seconds since the epoch."""
        self.manner = manner
        self.client_id = client_id
        self.keys = keys
        self.audience = audience
        self.now = now
        self.scopes = {SCOPE}
        self.lifetime = manner.token_lifetime
        self.issued = 0
        self._grants: dict[str, Grant] = {}
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Reply:
        """Answer a token request: a token, or a refusal in the platform's manner."""
        if self.manner.audience_list == "crash" and _has_audience_list(request):
            return Reply(500)
        try:
            form = _form(request)
            self._verify(form["client_assertion"])
            return self._token(self._granted(form.get("scope", "")))
        except Refusal as refusal:
            return refuse_token(self.manner, refusal.fault, refusal.text)

    def fault(self, authorization: str | None) -> RosterFault | None:
        """What is wrong with an Authorization header at the roster; None if it opens the door."""
        if authorization is None:
            return "missing"
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            grant = self._grants.get(token)
        if scheme != "Bearer" or grant is None:
            return "token"
        if grant.until <= self.now():
            return "expired"
        return None if SCOPE in grant.scopes & self.scopes else "scope"

    def revoke(self, token: str) -> None:
        """Make *token* worth nothing."""
        with self._lock:
            self._grants.pop(token, None)

    def revoke_all(self) -> None:
        """Make every token issued so far worth nothing."""
        with self._lock:
            self._grants.clear()

    def _token(self, scopes: list[str]) -> Reply:
        token = secrets.token_hex(16)
        with self._lock:
            self._grants[token] = Grant(frozenset(scopes), self.now() + self.lifetime)
            self.issued += 1
        content = {
            "access_token": token,
            "token_type": self.manner.token_type,
            "expires_in": int(self.lifetime),
            "scope": " ".join(scopes),
        }
        headers = [("Content-Type", self.manner.token_content_type), ("Cache-Control", "no-store")]
        return Reply(200, headers, json.dumps(content).encode())

    def _granted(self, asked: str) -> list[str]:
        wanted = asked.split()
        granted = [scope for scope in wanted if scope in self.scopes]
        if not wanted:
            raise Refusal("request", "scope is missing")
        rule = self.manner.scope_rule
        if (rule == "all" and granted != wanted) or (rule == "some" and not granted):
            refused = ", ".join(scope for scope in wanted if scope not in granted)
            raise Refusal("scope", f"The following scopes were requested, but not granted: {refused}")
        return granted

    def _verify(self, assertion: str) -> None:
        """Verify signature and claims, in the order that real platforms take them."""
        claims = self._signed(assertion)
        missing = [name for name in self.manner.required if name not in claims]
        if missing:
            raise Refusal("claim", f"the following assertions are missing: {','.join(missing)}")
        self._verify_parties(claims)
        self._verify_times(claims)
        with self._lock:
            jti = str(claims.get("jti"))
            if self.manner.refuses_replay and jti in self._seen:
                raise Refusal("replay", "the 'jti' was used before")
            self._seen.add(jti)

    def _signed(self, assertion: str) -> dict[str, Any]:
        """The claims of *assertion*, whose signature holds under the key that `kid` names (SEC §6.3)."""
        try:
            header = jwt.get_unverified_header(assertion)
        except jwt.InvalidTokenError as error:
            raise Refusal("request", "the assertion is not a JWT") from error
        if header.get("alg") != "RS256":
            raise Refusal("algorithm", "Incorrect key for this algorithm")
        keys = self.keys() if callable(self.keys) else self.keys
        named = next((key for key in keys if key.get("kid") == header.get("kid")), None)
        if named is None:
            raise Refusal("kid", "KeyId not found in token" if "kid" not in header else "kid is unknown")
        try:
            key = jwt.PyJWK.from_dict(dict(named)).key
            claims = json.loads(jwt.PyJWS().decode(assertion, key, algorithms=["RS256"]))
        except (jwt.PyJWTError, ValueError) as error:
            raise Refusal("signature", "JWS signature invalid.") from error
        return claims if isinstance(claims, dict) else {}

    def _verify_parties(self, claims: dict[str, Any]) -> None:
        """Issuer and subject are the client (LTI Core §6.2); the audience is the one agreed on."""
        if claims.get("sub") != self.client_id:
            raise Refusal("client", "Unknown client")
        if self.manner.checks_issuer and claims.get("iss") != self.client_id:
            raise Refusal("client", "the 'iss' is invalid")
        if not self.manner.checks_audience:
            return
        sent = claims.get("aud")
        audiences = sent if isinstance(sent, list) and self.manner.audience_list == "accepted" else [sent]
        if self.audience not in audiences:
            raise Refusal("audience", "the 'aud' is invalid")

    def _verify_times(self, claims: dict[str, Any]) -> None:
        now, manner = self.now(), self.manner
        exp, iat, nbf = (_seconds(claims, name) for name in ("exp", "iat", "nbf"))
        if exp is not None and exp + manner.exp_leeway <= now:
            raise Refusal("expired", "the 'exp' has passed")
        for moment in (iat, nbf):
            if moment is not None and moment > now + manner.iat_ahead:
                stated = time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(moment))
                raise Refusal("early", f"Cannot handle token with iat prior to {stated}")
        if manner.iat_age is not None and iat is not None and iat < now - manner.iat_age:
            raise Refusal("expired", "the 'iat' is too old")
        if (
            manner.lifetime is not None
            and exp is not None
            and iat is not None
            and exp - iat > manner.lifetime
        ):
            raise Refusal("claim", "the assertion lives too long")


def _form(request: Request) -> dict[str, str]:
    """The form of a token request, its fixed fields checked (RFC 6749 §4.4.2, RFC 7523 §2.2)."""
    kind = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    if request.method != "POST" or kind != "application/x-www-form-urlencoded":
        raise Refusal("request", "a form is expected")
    form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    if form.get("grant_type") != GRANT:
        raise Refusal("grant", "grant_type must be client_credentials")
    if form.get("client_assertion_type") != ASSERTION or not form.get("client_assertion"):
        raise Refusal("request", "a client assertion is expected")
    return form


def _has_audience_list(request: Request) -> bool:
    assertion = dict(parse_qsl(request.body.decode("utf-8", "replace"))).get("client_assertion", "")
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return False
    return isinstance(claims.get("aud"), list)


def _seconds(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 §2), None if absent; a text in its place is refused."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal("claim", f"the '{name}' is not a number")
    return float(value)
