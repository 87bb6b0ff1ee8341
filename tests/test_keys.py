"""Keys: every form an operator may have one in, every mistake told, nothing of a key ever repeated."""

import base64
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption
from cryptography.hazmat.primitives.serialization import PrivateFormat as Form

from lti_rosters.errors import ConfigurationError
from lti_rosters.keys.signing import new_key, private_pem, public_jwk, public_pem, read_key
from patience import PATIENCE

# The example of RFC 7638 §3.1: a public key, hence its numbers alone.
RFC_7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4"
    "n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0"
    "zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-c"
    "sFCur-kEgU8awapJzKnqDKgw"
)
RFC_7638_THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@cache
def private(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Make one key for all tests: each costs a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem(form: Form = Form.PKCS8, key: Any = None) -> str:
    """Return a private key as PEM."""
    return (key or private()).private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def jwk(**more: Any) -> dict[str, Any]:
    """Return the private key as a JWK."""
    return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private())), **more}


def thumbprint_by_hand() -> str:
    """Compute the key's thumbprint with PyJWT's numbers instead of ours."""
    import hashlib

    numbers = jwk()
    text = '{"e":"' + numbers["e"] + '","kty":"RSA","n":"' + numbers["n"] + '"}'
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


FORMS = {
    "PKCS#8": lambda: pem(),
    "PKCS#1": lambda: pem(Form.TraditionalOpenSSL),
    "literal backslash-n": lambda: pem().replace("\n", "\\n"),
    "literal backslash-r-n": lambda: pem().replace("\n", "\\r\\n"),
    "CRLF": lambda: pem().replace("\n", "\r\n"),
    "old Mac line ends": lambda: pem().strip().replace("\n", "\r"),
    "double quotes": lambda: f'"{pem()}"',
    "quotes in quotes and space": lambda: f" '\"{pem()}\"' \n",
    "spaces for line breaks": lambda: pem().replace("\n", " "),
    "no line breaks": lambda: pem().replace("\n", ""),
    "indented": lambda: pem().replace("\n", "\n    "),
    "byte-order mark": lambda: "\ufeff" + pem(),
    "text around": lambda: f"Bag Attributes\n  name: x\n{pem()}\n",
    "certificate before": lambda: f"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{pem()}",
    "base64 of PEM": lambda: base64.b64encode(pem().encode()).decode(),
    "base64 of PEM, wrapped": lambda: base64.encodebytes(pem().encode()).decode(),
    "inside of a PKCS#8 block": lambda: "".join(pem().splitlines()[1:-1]),
    "inside of a PKCS#1 block": lambda: "".join(pem(Form.TraditionalOpenSSL).splitlines()[1:-1]),
    "JWK": lambda: json.dumps(jwk()),
    "JWK, indented": lambda: json.dumps(jwk(), indent=2),
    "JWK without primes": lambda: json.dumps({name: jwk()[name] for name in ("kty", "n", "e", "d")}),
    "JWK with padding": lambda: json.dumps(jwk(n=jwk()["n"] + "==")),
    "base64 of JWK": lambda: base64.b64encode(json.dumps(jwk()).encode()).decode(),
    "JWKS with public keys beside": lambda: json.dumps(
        {"keys": [{"kty": "EC", "crv": "P-256"}, {"kty": "RSA", "n": "AQ", "e": "AQAB"}, jwk()]}
    ),
    "list of one JWK": lambda: json.dumps([jwk()]),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    """Every form gives the same key (E122)."""
    key = read_key(FORMS[form](), where="canvas")

    assert key.kid == thumbprint_by_hand()
    assert key.private_key.private_numbers() == private().private_numbers()


@pytest.mark.parametrize("form", ["PKCS#8", "literal backslash-n", "byte-order mark", "JWK", "base64 of PEM"])
def test_forms_in_a_file(form: str, tmp_path: Path) -> None:
    """A path to a file of any form is as good as the text."""
    file = tmp_path / "tool.key"
    file.write_text(FORMS[form](), encoding="utf-8")

    assert read_key(str(file), where="canvas").kid == thumbprint_by_hand()


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is taken from the working directory."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "tool").write_text(pem())
    monkeypatch.chdir(tmp_path)

    assert read_key("  keys/tool\n", where="canvas").bits == 2048


def test_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde is the user's home."""
    (tmp_path / "tool.pem").write_text(pem())
    monkeypatch.setenv("HOME", str(tmp_path))

    assert read_key("~/tool.pem", where="canvas").bits == 2048


def ec_key() -> ec.EllipticCurvePrivateKey:
    """Make a key that is not RSA."""
    return ec.generate_private_key(ec.SECP256R1())


def public_text() -> str:
    """Return the public half as PEM."""
    return (
        private()
        .public_key()
        .public_bytes(Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def encrypted(form: Form) -> str:
    """Return the key under a passphrase."""
    return private().private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"passphrase")).decode()


WRONG = {
    "encrypted PKCS#8": (lambda: encrypted(Form.PKCS8), "encrypted with a passphrase"),
    "encrypted PKCS#1": (lambda: encrypted(Form.TraditionalOpenSSL), "encrypted with a passphrase"),
    "public PEM": (public_text, "public half"),
    "public PEM, backslash-n": (lambda: public_text().replace("\n", "\\n"), "public half"),
    "public JWK": (lambda: json.dumps({name: jwk()[name] for name in ("kty", "n", "e")}), "public half"),
    "public JWKS": (lambda: json.dumps({"keys": [{"kty": "RSA", "n": "AQ", "e": "AQAB"}]}), "public half"),
    "public SSH": (lambda: "ssh-rsa AAAAB3Nza" + "C" * 300, "public half"),
    "EC PEM": (lambda: pem(key=ec_key()), "type EllipticCurve|type EC"),
    "EC PEM, SEC1": (lambda: pem(Form.TraditionalOpenSSL, ec_key()), "type EC"),
    "Ed25519 PEM": (lambda: pem(key=ed25519.Ed25519PrivateKey.generate()), "type Ed25519"),
    "EC JWK": (lambda: json.dumps({"kty": "EC", "d": "c2VjcmV0"}), "type EC"),
    "symmetric JWK": (lambda: json.dumps({"kty": "oct", "k": "c2VjcmV0"}), "type oct"),
    "short": (lambda: pem(key=private(1024)), "1024 bits"),
    "OpenSSH's form": (lambda: pem(Form.OpenSSH), "OpenSSH"),
    "certificate": (lambda: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificate"),
    "first line of PEM": (lambda: pem().split("\n")[0], "cut off"),
    "half a PEM": (lambda: pem()[:800], "cut off"),
    "PEM with a hole": (lambda: pem()[:300] + pem()[500:], "cut off or damaged"),
    "empty PEM": (
        lambda: "-----BEGIN {0}-----\n-----END {0}-----".format("PRIVATE KEY"),
        "cut off or damaged",
    ),
    "two PEMs": (lambda: pem() + pem(), "2 private keys"),
    "half a base64": (lambda: "".join(pem().splitlines()[1:-1])[:701], "cut-off base64"),
    "half a JWK": (lambda: json.dumps(jwk())[:400], "not JSON"),
    "JWK without n": (lambda: json.dumps({**jwk(), "n": None}), '"n" of the JWK'),
    "JWK with plain number": (lambda: json.dumps({**jwk(), "e": 65537}), '"e" of the JWK'),
    "JWK with odd letters": (lambda: json.dumps({**jwk(), "d": "!!" + jwk()["d"]}), '"d" of the JWK'),
    "JWK of two keys": (lambda: json.dumps({**jwk(), "d": jwk()["n"]}), "one RSA key"),
    "JWK of zeros": (lambda: json.dumps({"kty": "RSA", "n": "AA", "e": "AA", "d": "AA"}), "one RSA key"),
    "two private JWKs": (lambda: json.dumps({"keys": [jwk(), jwk()]}), "2 private keys"),
    "empty object": (lambda: "{}", "holds no key"),
    "keys that are no list": (lambda: '{"keys": 7}', "holds no key"),
    "deep nesting": (lambda: "[" * 100_000, "not JSON"),
    "nothing": (lambda: "", "empty"),
    "blank": (lambda: ' " " ', "empty"),
    "a word": (lambda: "garbage", "There is no file"),
    "several lines": (lambda: "gar\nbage", "There is no file"),
    "NUL": (lambda: "gar\x00bage", "cannot be opened"),
    "a very long word": (lambda: "x_" * 3000, "cannot be opened"),
    "no such home": (lambda: "~nobody-of-this-name/x.pem", "There is no file|cannot be opened"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes(mistake: str) -> None:
    """Every mistake is told for what it is, with a remedy, and without a piece of the text (E122)."""
    make, expected = WRONG[mistake]
    text = make()

    with pytest.raises(ConfigurationError, match=expected) as caught:
        read_key(text, where='registration "canvas"')

    assert str(caught.value).startswith('registration "canvas": ')
    assert caught.value.remedy
    assert_not_leaked(text, caught.value)


@pytest.mark.parametrize("form", [Form.PKCS8, Form.TraditionalOpenSSL])
def test_one_bit_of_a_key_is_enough(form: Form) -> None:
    """A key of which any one bit is another is told to be damaged, whichever of its numbers holds it."""
    inside = base64.b64decode("".join(pem(form).splitlines()[1:-1]))
    frame = pem(form).splitlines()

    for place in range(0, len(inside), 9):
        damaged = bytearray(inside)
        damaged[place] ^= 1
        text = "\n".join([frame[0], base64.encodebytes(damaged).decode().strip(), frame[-1]])
        with pytest.raises(ConfigurationError):
            read_key(text, where="canvas")


def assert_not_leaked(text: str, error: Exception) -> None:
    """Check that no 12 characters of the key's inside are in the traceback's text, causes included."""
    told = "".join(traceback.format_exception(error)) + repr(error)
    inside = [
        line for line in text.replace("\\n", "\n").splitlines() if "-----" not in line and len(line) > 40
    ]
    for line in inside:
        assert all(line[n : n + 12] not in told for n in range(0, len(line) - 12, 7))


def test_pasted_key_is_not_told_as_a_file_name() -> None:
    """A key pasted without its BEGIN line, too short or odd to be known as one, is not repeated."""
    piece = "".join(pem().splitlines()[1:4]) + "!"

    with pytest.raises(ConfigurationError) as caught:
        read_key(piece, where="canvas")

    assert "not shown" in str(caught.value)
    assert_not_leaked(piece, caught.value)


@pytest.mark.parametrize("start", ["MIIEvQIBADANBg.x", "eyJrdHkiOiJSU0Ei.e", "LS0tLS1CRUdJTiBQ.pem"])
def test_beginnings_of_keys_are_no_file_names(start: str) -> None:
    """What begins like a key is not repeated even if it ends like a file's name."""
    with pytest.raises(ConfigurationError) as caught:
        read_key(start, where="canvas")

    assert start not in str(caught.value)


def test_missing_file_is_named() -> None:
    """A missing file is told by its name."""
    with pytest.raises(ConfigurationError, match=r"There is no file keys/canvas\.pem\."):
        read_key("keys/canvas.pem", where="canvas")


def test_directory(tmp_path: Path) -> None:
    """A directory is no key."""
    folder = tmp_path / "keys.d"
    folder.mkdir()

    with pytest.raises(ConfigurationError, match="is a directory"):
        read_key(str(folder), where="canvas")


def test_binary_file(tmp_path: Path) -> None:
    """A key in DER is told, with the command that converts it."""
    file = tmp_path / "tool.der"
    file.write_bytes(private().private_bytes(Encoding.DER, Form.PKCS8, NoEncryption()))

    with pytest.raises(ConfigurationError, match="not text") as caught:
        read_key(str(file), where="canvas")

    assert "openssl" in caught.value.remedy


def test_file_of_something_else(tmp_path: Path) -> None:
    """A file without a key is told, its text not."""
    file = tmp_path / "notes.txt"
    file.write_text("my password is hunter2")

    with pytest.raises(ConfigurationError, match="neither a PEM nor a JWK") as caught:
        read_key(str(file), where="canvas")

    assert "hunter2" not in str(caught.value)


def test_large_file(tmp_path: Path) -> None:
    """A file too large to be a key is not read whole."""
    file = tmp_path / "dump.sql"
    file.write_bytes(b"x" * 1_000_001)

    with pytest.raises(ConfigurationError, match="too large"):
        read_key(str(file), where="canvas")


@pytest.fixture
def nobody() -> Iterator[None]:
    """Give up root's right to read everything, for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_forbidden_file(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A file that may not be read is told as such."""
    file = tmp_path / "tool.pem"
    file.write_text(pem())
    file.chmod(0)
    request.getfixturevalue("nobody")

    with pytest.raises(ConfigurationError, match="may not be read"):
        read_key(str(file), where="canvas")


def test_file_that_names_a_file(tmp_path: Path) -> None:
    """A file is read once: a path within it is not followed."""
    (tmp_path / "tool.pem").write_text(pem())
    (tmp_path / "a.txt").write_text(str(tmp_path / "tool.pem"))

    with pytest.raises(ConfigurationError, match="neither a PEM nor a JWK"):
        read_key(str(tmp_path / "a.txt"), where="canvas")


def test_kid_of_a_jwk() -> None:
    """A JWK that states its own kid keeps it: platforms know the key by it."""
    key = read_key(json.dumps(jwk(kid="2026-a")), where="canvas")

    assert key.kid == "2026-a"
    assert key.thumbprint == thumbprint_by_hand()


def test_with_kid() -> None:
    """Another name leaves the key as it is."""
    key = read_key(pem(), where="canvas")

    assert key.with_kid("x").kid == "x"
    assert key.with_kid("x").thumbprint == key.kid


def test_thumbprint_of_the_rfc() -> None:
    """The thumbprint is that of RFC 7638 §3.1 for its own example."""
    from lti_rosters.keys import signing as keys

    n = int.from_bytes(base64.urlsafe_b64decode(RFC_7638_N + "=="), "big")

    class Numbers:
        """Stands for a private key whose public half is the RFC's."""

        def public_key(self) -> rsa.RSAPublicKey:
            return rsa.RSAPublicNumbers(e=65537, n=n).public_key()

    assert keys._thumbprint(Numbers()) == RFC_7638_THUMBPRINT  # type: ignore[arg-type]


def test_public_jwk() -> None:
    """The public JWK has the public members, in a stable order, and no others."""
    members = public_jwk(read_key(pem(), where="canvas"))

    assert list(members) == ["kty", "n", "e", "use", "alg", "kid"]
    assert members == {
        "kty": "RSA",
        "n": jwk()["n"],
        "e": jwk()["e"],
        "use": "sig",
        "alg": "RS256",
        "kid": thumbprint_by_hand(),
    }


def test_signature_verifies_with_the_public_jwk() -> None:
    """What the key signs, a platform verifies with the published JWK."""
    key = read_key(pem(), where="canvas")

    token = jwt.encode({"sub": "x"}, key.private_key, "RS256", {"kid": key.kid})

    assert jwt.decode(token, jwt.PyJWK(public_jwk(key)), ["RS256"]) == {"sub": "x"}


def test_new_key_comes_back() -> None:
    """A new key is written as PKCS#8 and read back as the same."""
    key = new_key()

    assert private_pem(key).startswith("-----BEGIN PRIVATE KEY-----")
    assert read_key(private_pem(key), where="") == key


def test_public_pem() -> None:
    """The public PEM is the one that a platform takes."""
    assert public_pem(read_key(pem(), where="")) == public_text()


def test_new_key_is_long_enough() -> None:
    """A key too short for platforms is not made."""
    with pytest.raises(ConfigurationError, match="too short"):
        new_key(1024)


def test_import_without_cryptography() -> None:
    """`dlt init` imports the package with stubs for missing packages: import touches nothing of theirs."""
    program = """
import importlib.abc, sys
from dlt.common.reflection.ref import import_module_with_missing

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "cryptography":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
    del sys.modules[name]
sys.meta_path.insert(0, Missing())
print(import_module_with_missing("lti_rosters.keys.signing").SigningKey.__name__)
"""

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert done.stdout == "SigningKey\n", done.stderr


def test_repr_shows_no_key() -> None:
    """The text of a key object names it and no more."""
    told = repr(read_key(pem(), where=""))

    assert "RSAPrivateKey" not in told
    assert thumbprint_by_hand() in told
