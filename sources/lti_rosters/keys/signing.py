"""The tool's key: read from whatever form an operator has it in, and shown to platforms as a public JWK.

The only module that uses `cryptography`; its types are imported by name, since `dlt init` imports this with
a stub in its place, whose modules have no attributes. No message here ever repeats a text that could be a
key, and errors of the libraries are not chained to ours (`from None`): some carry the text they choked on.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers

from ..errors import ConfigurationError
from .text import found_text

LEAST_BITS = 2048  # what RS256 asks for (RFC 7518 §3.3), and the least that platforms accept
EXPONENT = 65537
ALGORITHM = "RS256"  # the one algorithm that every platform supports (LTI security §6.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An RSA key pair: *kid* is how platforms find its public half in our JWKS (LTI security §6.3)."""

    kid: str
    thumbprint: str
    bits: int
    private_key: RSAPrivateKey = field(repr=False, compare=False)

    def with_kid(self, key_id: str) -> "SigningKey":
        """Return the same key under the name *key_id*."""
        return replace(self, kid=key_id)


def read_key(text: str, *, where: str) -> SigningKey:
    """Read a private RSA key from *text*: PEM, a JWK or JWKS as JSON, or a path to a file of one of them.

    Its `kid` is the one that a JWK states, else the thumbprint of RFC 7638. Raises ConfigurationError,
    located at *where*, that says what was found instead and what to do, never repeating key text.
    """
    try:
        found, is_json = found_text(text)
        return _from_json(found) if is_json else _from_pem(found)
    except ConfigurationError as error:
        raise ConfigurationError(error.what, where=where, remedy=error.remedy) from None


def new_key(bits: int = LEAST_BITS) -> SigningKey:
    """Make a new key pair of *bits* bits, 2048 or more."""
    if bits < LEAST_BITS:
        raise ConfigurationError(f"A key of {bits} bits is too short.", remedy=f"Use {LEAST_BITS} or more.")
    return _signing_key(rsa.generate_private_key(public_exponent=EXPONENT, key_size=bits))


def private_pem(key: SigningKey) -> str:
    """Return the private half as PEM (PKCS#8, not encrypted)."""
    encoded = key.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded.decode("ascii")


def public_pem(key: SigningKey) -> str:
    """Return the public half as PEM, for platforms that take a pasted key."""
    encoded = key.private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded.decode("ascii")


def public_jwk(key: SigningKey) -> dict[str, str]:
    """Return the public half as a JWK (RFC 7517), members in a stable order."""
    n, e = _public_numbers(key.private_key)
    return {"kty": "RSA", "n": n, "e": e, "use": "sig", "alg": ALGORITHM, "kid": key.kid}


def _signing_key(private: RSAPrivateKey, kid: str = "") -> SigningKey:
    if private.key_size < LEAST_BITS:
        raise ConfigurationError(
            f"The key has {private.key_size} bits; platforms want {LEAST_BITS} or more.",
            remedy="Make a new one: lti-rosters keys new",
        )
    thumbprint = _thumbprint(private)
    return SigningKey(
        kid=kid or thumbprint, thumbprint=thumbprint, bits=private.key_size, private_key=private
    )


def _thumbprint(private: RSAPrivateKey) -> str:
    """Return the SHA-256 thumbprint: the required members, sorted, without space (RFC 7638 §3)."""
    n, e = _public_numbers(private)
    required = json.dumps({"e": e, "kty": "RSA", "n": n}, separators=(",", ":"))
    return _base64url(hashlib.sha256(required.encode("ascii")).digest())


def _public_numbers(private: RSAPrivateKey) -> tuple[str, str]:
    numbers = private.public_key().public_numbers()
    return _unsigned(numbers.n), _unsigned(numbers.e)


def _unsigned(number: int) -> str:
    """Return *number* as RFC 7518 §2 writes it: big-endian bytes, none to spare, base64url."""
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _from_pem(text: str) -> SigningKey:
    try:
        private = serialization.load_pem_private_key(
            text.encode("ascii"), password=None, unsafe_skip_rsa_key_validation=True
        )
        if isinstance(private, RSAPrivateKey):
            _check_numbers(private.private_numbers())
    except Exception:  # the library raises ValueError, TypeError and its own; none of them helps an operator
        raise ConfigurationError(
            "The PEM block holds no private key that can be read: it is cut off or damaged.",
            remedy="Copy it again, whole, with its BEGIN and END lines.",
        ) from None
    if not isinstance(private, RSAPrivateKey):
        raise _not_rsa(type(private).__name__.lstrip("_").removesuffix("PrivateKey"))
    return _signing_key(private)


def _from_json(text: str) -> SigningKey:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError(
            "The text begins like a JWK and is not JSON.", remedy="Copy the whole JWK, from { to }."
        ) from None
    jwk = _the_private_one(document)
    kid = jwk.get("kid")
    return _signing_key(_rsa_key(jwk), kid if isinstance(kid, str) else "")


def _the_private_one(document: Any) -> dict[str, Any]:
    """Return the JWK that *document* is, or the one private RSA key of the JWKS that it is."""
    members = document.get("keys", [document]) if isinstance(document, dict) else document
    keys = [key for key in members if isinstance(key, dict)] if isinstance(members, list) else []
    of_rsa = [key for key in keys if key.get("kty") == "RSA"]
    private = [key for key in of_rsa if "d" in key]
    if len(private) == 1:
        return private[0]
    if private:
        raise ConfigurationError(
            f"The JWKS holds {len(private)} private keys.", remedy="Give the one JWK to sign with."
        )
    if of_rsa:
        raise ConfigurationError(
            "This is the public half of a key (a JWK without d).",
            remedy="Give the private key; platforms get the public one.",
        )
    if kinds := sorted({str(key["kty"])[:12] for key in keys if isinstance(key.get("kty"), str)}):
        raise _not_rsa(" and ".join(kinds))
    raise ConfigurationError(
        "The JSON holds no key.", remedy='Give a JWK with "kty": "RSA" and its private members.'
    )


def _rsa_key(jwk: dict[str, Any]) -> RSAPrivateKey:
    n, e, d = (_integer(jwk, name) for name in ("n", "e", "d"))
    try:
        if jwk.get("p") and jwk.get("q"):
            p, q = _integer(jwk, "p"), _integer(jwk, "q")
        else:  # RFC 7518 §6.3.2: a producer should give the primes, and need not
            p, q = rsa.rsa_recover_prime_factors(n, e, d)
        numbers = rsa.RSAPrivateNumbers(
            p=p,
            q=q,
            d=d,
            dmp1=rsa.rsa_crt_dmp1(d, p),
            dmq1=rsa.rsa_crt_dmq1(d, q),
            iqmp=rsa.rsa_crt_iqmp(p, q),
            public_numbers=rsa.RSAPublicNumbers(e=e, n=n),
        )
        _check_numbers(numbers)
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)
    except (ValueError, ArithmeticError):
        raise ConfigurationError(
            "The numbers of the JWK do not belong to one RSA key.", remedy="Copy it again, whole."
        ) from None


def _check_numbers(numbers: RSAPrivateNumbers) -> None:
    """Raise ValueError where *numbers* do not belong to one key, as in one that was cut or altered.

    Only whether p and q are prime is not looked at: the library's own check, which takes a thousand times as long,
    guards against keys that others chose.
    """
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    p, q, d = numbers.p, numbers.q, numbers.d
    fits = (
        p > 1
        and q > 1
        and p * q == n
        and n % 2 == 1
        and e % 2 == 1
        and e > 1
        and d * e % (p - 1) == 1
        and d * e % (q - 1) == 1
        and (numbers.dmp1, numbers.dmq1) == (d % (p - 1), d % (q - 1))
        and numbers.iqmp * q % p == 1
    )
    if not fits:
        raise ValueError("the numbers do not belong to one key")


def _integer(jwk: dict[str, Any], name: str) -> int:
    value = jwk.get(name)
    try:
        if not isinstance(value, str) or not value:
            raise ValueError(name)
        padded = value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4)
        return int.from_bytes(base64.b64decode(padded, altchars=b"-_", validate=True), "big")
    except ValueError:
        raise ConfigurationError(
            f'The member "{name}" of the JWK is missing or is not base64url text.',
            remedy="Copy it again, whole.",
        ) from None


def _not_rsa(kind: str) -> ConfigurationError:
    return ConfigurationError(
        f"The key is of type {kind}; LTI platforms accept RSA keys (RS256).",
        remedy="Make one: lti-rosters keys new",
    )
