"""Changing the tool's key while every platform stays able to verify it: published, switched, retired.

The state is which files stand beside the key file, so that it survives a crash and `ls` shows it. With
`private_key = "tool.pem"` the tool signs with tool.pem at every stage:

    settled    tool.pem
    published  tool.pem  tool.next.pem     both are in the JWKS; platforms fetch it again in their own time
    switched   tool.pem  tool.old.pem      the next key has become tool.pem; the old one stays in the JWKS

Each step first writes a copy and then renames or removes one file. A crash between the two leaves one key
under two names, which the thumbprints tell; the same step, asked for again, finishes it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ..errors import ConfigurationError
from .files import sync_folder, write_new
from .signing import LEAST_BITS, SigningKey, new_key, private_pem, read_key

Stage = Literal["settled", "published", "switched"]

# Seconds between two stages: a platform may keep its copy of a JWKS for a day.
WAIT = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """The key file *path* and the keys of a rotation beside it; *since*: when its stage began, Unix time."""

    path: Path
    stage: Stage
    current: SigningKey
    next: SigningKey | None
    old: SigningKey | None
    since: float | None

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """Every key that is to be published, the signing one first."""
        beside = (key for key in (self.next, self.old) if key is not None)
        return (self.current, *beside)

    def left(self, now: float) -> float:
        """Seconds that are still to be waited before the next step; 0 where none are."""
        return 0.0 if self.since is None else max(0.0, self.since + WAIT - now)


def next_file(path: Path) -> Path:
    """Return where the key that follows that of *path* stands."""
    return path.with_name(f"{path.stem}.next{path.suffix}")


def old_file(path: Path) -> Path:
    """Return where the key before that of *path* stands."""
    return path.with_name(f"{path.stem}.old{path.suffix}")


def read_ring(path: Path) -> Ring:
    """Read the key file *path* and what stands beside it.

    Raises ConfigurationError for a file that holds no key, and for a state that no step leaves behind.
    """
    current = read_key(str(path), where=str(path))
    upcoming, old = _beside(next_file(path), current), _beside(old_file(path), current)
    if upcoming is not None and old is not None:
        raise ConfigurationError(
            f"{next_file(path).name} and {old_file(path).name} are both there.",
            where=str(path.parent),
            remedy="One rotation at a time: move the one away that is not in use.",
        )
    stage: Stage = "published" if upcoming else "switched" if old else "settled"
    file = next_file(path) if upcoming else old_file(path) if old else None
    since = file.stat().st_mtime if file else None
    return Ring(path=path, stage=stage, current=current, next=upcoming, old=old, since=since)


def publish(path: Path, bits: int = LEAST_BITS) -> Ring:
    """Make the next key of *bits* bits, to be published beside the current one; nothing is signed with it yet."""
    ring = read_ring(path)
    if ring.stage != "settled":
        raise _wrong_stage(ring, "--publish")
    _tidy(ring)
    write_new(next_file(path), private_pem(new_key(bits)).encode("ascii"))
    return read_ring(path)


def switch(path: Path, *, is_urgent: bool = False, now: float | None = None) -> Ring:
    """Sign with the next key from now on; the old one stays published.

    Raises ConfigurationError before WAIT has passed, unless *is_urgent*: a platform that keeps an older copy
    of the JWKS would refuse the new key.
    """
    ring = read_ring(path)
    if ring.stage != "published":
        raise _wrong_stage(ring, "--switch")
    _check_wait(ring, is_urgent=is_urgent, now=now, why="platforms may not have seen the next key yet")
    _exchange(path, kept=old_file(path), taken=next_file(path))
    return read_ring(path)


def retire(path: Path, *, is_urgent: bool = False, now: float | None = None) -> Ring:
    """Remove the old key for good."""
    ring = read_ring(path)
    if ring.stage != "switched":
        raise _wrong_stage(ring, "--retire")
    _check_wait(ring, is_urgent=is_urgent, now=now, why="another machine may still sign with the old key")
    _remove(old_file(path))
    return read_ring(path)


def undo(path: Path) -> Ring:
    """Go back one stage: sign with the old key again, or take the next one away."""
    ring = read_ring(path)
    if ring.stage == "settled":
        raise _wrong_stage(ring, "--undo")
    if ring.stage == "published":
        _remove(next_file(path))
    else:
        _exchange(path, kept=next_file(path), taken=old_file(path))
    return read_ring(path)


def _beside(path: Path, current: SigningKey) -> SigningKey | None:
    """The key of *path*; None without one, and where it is the current one: then a step was not finished."""
    if not path.exists():
        return None
    key = read_key(str(path), where=str(path))
    return None if key.thumbprint == current.thumbprint else key


def _exchange(path: Path, *, kept: Path, taken: Path) -> None:
    """Make *taken* the key file, whose key goes to *kept*: there is a whole key file at every moment.

    Where *kept* is there already it holds the same key, or the state would have been refused: a crash came
    between the two steps.
    """
    if not kept.exists():
        write_new(kept, path.read_bytes())
    _change(lambda: taken.replace(path), path)


def _tidy(ring: Ring) -> None:
    """Remove copies of the current key that an unfinished step left."""
    for path in (next_file(ring.path), old_file(ring.path)):
        if path.exists():
            _remove(path)


def _remove(path: Path) -> None:
    _change(path.unlink, path)


def _change(act: Callable[[], object], path: Path) -> None:
    try:
        act()
    except FileNotFoundError:
        raise ConfigurationError(
            "the key files changed meanwhile.", where=str(path.parent), remedy="Look again: keys rotate."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{path.name} cannot be changed ({type(error).__name__}).",
            where=str(path.parent),
            remedy="Run this where the folder may be written, or take the steps by hand.",
        ) from None
    sync_folder(path.parent)


def _check_wait(ring: Ring, *, is_urgent: bool, now: float | None, why: str) -> None:
    left = ring.left(time.time() if now is None else now)
    if is_urgent or not left or ring.since is None:
        return
    due = datetime.fromtimestamp(ring.since + WAIT, UTC)
    raise ConfigurationError(
        f"too early: {why}.",
        where=str(ring.path),
        remedy=f"Wait until {due:%Y-%m-%d %H:%M} UTC, or add --now where every platform is known to be ready.",
    )


def _wrong_stage(ring: Ring, step: str) -> ConfigurationError:
    reasons = {
        "settled": "no rotation is under way. Begin one with --publish",
        "published": "the next key is published already. Go on with --switch, or back with --undo",
        "switched": "the old key is not retired yet. Go on with --retire, or back with --undo",
    }
    what, _, remedy = reasons[ring.stage].partition(". ")
    return ConfigurationError(f"{step} is not due: {what}.", where=str(ring.path), remedy=f"{remedy}.")
