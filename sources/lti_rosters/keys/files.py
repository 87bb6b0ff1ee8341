"""Key files: written whole or not at all, for their owner alone, and never over another file."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from ..errors import ConfigurationError
from .text import holds_key

OWNERS = 0o600  # the mode of a key file
OWNERS_FOLDER = 0o700
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def key_file(setting: str) -> Path | None:
    """Return the file that the setting `private_key` names, links followed; None where it is the key itself."""
    if not setting.strip() or holds_key(setting):
        return None
    try:
        return Path(setting.strip().strip("\"'")).expanduser().resolve()
    except (
        OSError,
        ValueError,
        RuntimeError,
    ):  # a NUL in it, a home that does not exist: no file at any rate
        return None


def is_open(path: Path) -> bool:
    """Tell whether others than its owner may read the key file *path*."""
    try:
        return os.name == "posix" and bool(path.stat().st_mode & OTHERS)
    except OSError:
        return False


def write_new(path: Path, content: bytes) -> None:
    """Write *content* to the new file *path*, mode 0600, and make the folders above it where there are none.

    It appears whole, or a crash leaves at most a hidden file beside it. Raises ConfigurationError where
    something is at *path* already, which is never overwritten, or where it cannot be written.
    """
    try:
        _make_folder(path.parent)
        hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
        try:
            _write(hidden, content)
            _name(hidden, path, content)
        finally:
            hidden.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError:
        raise ConfigurationError(
            f"{path.name} is there already; a key is never overwritten.",
            where=str(path.parent),
            remedy="Give another name, or move that file away first.",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{path.name} cannot be written ({type(error).__name__}).",
            where=str(path.parent),
            remedy="Choose a folder that you may write.",
        ) from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=OWNERS_FOLDER, parents=True, exist_ok=True)
    except FileExistsError as error:  # a file, where a folder is due
        raise NotADirectoryError(str(folder)) from error


def sync_folder(folder: Path) -> None:
    """Have what changed in *folder* survive a crash of the machine, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no folder
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _write(path: Path, content: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNERS)
    with os.fdopen(number, "wb") as file:
        path.chmod(OWNERS)  # whatever the umask
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _name(hidden: Path, path: Path, content: bytes) -> None:
    """Give the whole file its name; a link, unlike a renaming, fails where the name is taken."""
    try:
        path.hardlink_to(hidden)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # a file system without links
        _write(path, content)
