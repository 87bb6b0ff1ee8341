"""From the setting `private_key` to the text of one key: a pasted one repaired, or the file that it names.

Knows the ways in which keys get damaged between a vault, a shell and a TOML file (E122): literal backslash-n,
carriage returns, quotes, one long line, base64 around the whole. Knows nothing of cryptography.
"""

import base64
import binascii
import re
from pathlib import Path

from ..errors import ConfigurationError

LONGEST_FILE = 1_000_000  # bytes: a key file has a few thousand
LONGEST_SHOWN = 200  # characters of a file name in a message

BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
BASE64 = re.compile(r"[A-Za-z0-9+/\s]{200,}=*\s*")  # shorter than the shortest key that we take
FILE_NAME = re.compile(r"(?!MII|eyJ|LS0tLS1)[^\x00-\x1f\x7f]*\.[A-Za-z0-9_]{1,12}")

FORMS = "Give the private key as PEM or JWK, or the path of a file that holds it."

# What stands where a private key is due, by the label of its PEM block; the first that fits is told.
WRONG_BLOCKS = (
    (
        "ENCRYPTED",
        "The key is encrypted with a passphrase.",
        "Give it unencrypted: openssl pkey -in KEY -out NEW",
    ),
    ("OPENSSH", "The key is in OpenSSH's own format.", "Convert a copy: ssh-keygen -p -m PKCS8 -f KEY"),
    (
        "PUBLIC KEY",
        "This is the public half of a key.",
        "Give the private key; platforms get the public one.",
    ),
    ("CERTIFICATE", "This is a certificate, not a private key.", "Give the private key that belongs to it."),
)


def found_text(setting: str) -> tuple[str, bool]:
    """Return the key text that *setting* holds or names, and whether it is JSON (else one PEM block).

    Raises ConfigurationError for anything else.
    """
    text = _unwrapped(setting)
    if not text:
        raise ConfigurationError("The key is empty.", remedy=FORMS)
    if (found := _recognised(text)) is not None:
        return found
    found = _recognised(_unwrapped(_file_text(text)))
    if found is None:
        raise ConfigurationError("The file holds neither a PEM nor a JWK.", remedy=FORMS)
    return found


def holds_key(setting: str) -> bool:
    """Tell whether *setting* is key text itself, good or bad, and not the path of a file."""
    try:
        return _recognised(_unwrapped(setting)) is not None
    except ConfigurationError:
        return True


def _unwrapped(text: str) -> str:
    """Return *text* without byte-order mark, white space and quotes around it."""
    bare = text.strip("\ufeff \t\r\n")
    while len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
        bare = bare[1:-1].strip()
    return bare


def _recognised(text: str) -> tuple[str, bool] | None:
    """Return *text* as key text, and whether it is JSON; None when it is neither PEM nor JSON."""
    if text.startswith(("{", "[")):
        return text, True
    if "-----BEGIN" in text:
        return _private_block(text), False
    if text.startswith(("ssh-rsa ", "ssh-ed25519 ", "ecdsa-")):
        raise ConfigurationError("This is the public half of an SSH key.", remedy=FORMS)
    if BASE64.fullmatch(text):
        return _decoded(text)
    return None


def _decoded(text: str) -> tuple[str, bool]:
    """Read base64 around a whole PEM or JWK, as vaults give it, or what stands inside a PEM block."""
    try:
        inside = base64.b64decode("".join(text.split()))
    except binascii.Error:
        raise ConfigurationError("The text looks like a cut-off base64 key.", remedy=FORMS) from None
    if inside.lstrip()[:5] in (b"-----", b'{"kty', b'{"key') or inside.lstrip()[:1] == b"{":
        found = _recognised(inside.decode("utf-8", "replace").strip())
        if found is not None:
            return found
    return _armoured(
        "PRIVATE KEY" if b"\x06\x09\x2a\x86\x48\x86\xf7" in inside[:40] else "RSA PRIVATE KEY", text
    ), False


def _private_block(text: str) -> str:
    """Return the one block of *text* that is a private key, with its line breaks in place."""
    mended = text.replace("\\r", "").replace("\\n", "\n").replace("\r", "")
    blocks = [(found[1], found[2]) for found in BLOCK.finditer(mended)]
    if not blocks:
        raise ConfigurationError(
            "The PEM text is cut off: a BEGIN line without its END line.",
            remedy="In TOML, put a key of several lines between triple quotes; in the environment, quote it.",
        )
    private = [(label, body) for label, body in blocks if label.endswith("PRIVATE KEY")]
    label, body = (private or blocks)[0]
    if len(private) > 1:
        raise ConfigurationError(f"The text holds {len(private)} private keys.", remedy="Give one.")
    kind = f"{label} ENCRYPTED" if "ENCRYPTED" in body else label
    for sign, what, remedy in WRONG_BLOCKS:
        if sign in kind:
            raise ConfigurationError(what, remedy=remedy)
    return _armoured(label, body)


def _armoured(label: str, body: str) -> str:
    """Return a PEM block (RFC 7468 §2) of *body*, whatever white space, or none, it came with."""
    packed = "".join(re.sub(r"[^A-Za-z0-9+/=]", "", body))
    lines = "\n".join(packed[n : n + 64] for n in range(0, len(packed), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def _file_text(name: str) -> str:
    shown = _shown(name)
    try:
        path = Path(name).expanduser()
        with path.open("rb") as file:
            octets = file.read(LONGEST_FILE + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"There is no file {shown}.", remedy=FORMS) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{shown} is a directory.", remedy=FORMS) from None
    except PermissionError:
        raise ConfigurationError(
            f"{shown} may not be read.", remedy="Give this user the right to read it."
        ) from None
    except (OSError, ValueError, RuntimeError):  # a name too long, a NUL in it, a home that does not exist
        raise ConfigurationError(f"The text is no key, and {shown} cannot be opened.", remedy=FORMS) from None
    if len(octets) > LONGEST_FILE:
        raise ConfigurationError(f"{shown} is too large to be a key.", remedy=FORMS)
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"{shown} is not text: perhaps a key in DER, or a PKCS#12 store.",
            remedy="Convert it to PEM: openssl pkey -inform DER -in KEY -out NEW",
        ) from None


def _shown(name: str) -> str:
    """Return *name* for a message if it looks like a file's; else its length alone: it may be a key."""
    if len(name) <= LONGEST_SHOWN and FILE_NAME.fullmatch(name):
        return name
    return f"of that name ({len(name)} characters, not shown: they may be a key)"
