"""`lti-rosters keys` and `lti-rosters jwks`."""

# ruff: noqa: FBT001 - click passes options by name

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..keys.rotation import Ring
    from ..settings.key_settings import KeyUse

BITS = ("2048", "3072", "4096")
A_YEAR = 365  # days; an older key is due for a rotation
PARTIAL, CONFIGURATION, UNUSABLE = 3, 4, 8  # exit statuses (design §6)


def bits_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the option `--bits`."""
    lengths = click.Choice(BITS)
    told = "Length of the RSA key."
    return click.option("--bits", type=lengths, default=BITS[0], show_default=True, help=told)(command)


def registration_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the option `--registration`, as its argument `registrations`."""
    told = "The key of this one (repeatable)."
    return click.option("--registration", "registrations", multiple=True, metavar="NAME", help=told)(command)


@click.group()
def keys() -> None:
    """Make, show and change the keys that the tool signs with."""


@keys.command()
@click.argument("file", default="tool.pem", type=click.Path(path_type=Path))
@bits_option
def new(file: Path, bits: str) -> int:
    """Make a key pair in FILE (tool.pem), readable for its owner alone; nothing is ever overwritten."""
    from ..keys.files import write_new
    from ..keys.signing import new_key, private_pem

    key = new_key(int(bits))
    write_new(file, private_pem(key).encode("ascii"))
    click.echo(
        f"Made {file}: RSA {key.bits}, kid {key.kid}. Only its owner may read it; it stays on this machine."
    )
    click.echo(
        f"Next:\n"
        f'  1. In .dlt/secrets.toml, under [sources.lti_rosters]: private_key = "{file}"\n'
        f"  2. Give each platform the public half: `lti-rosters keys show {file} --pem` prints it to paste,\n"
        f"     `lti-rosters jwks {file}` as the JWKS to host (then set jwks_url to its address).\n"
        f"  3. lti-rosters check"
    )
    return 0


@keys.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@registration_option
@click.option("--pem", "form", flag_value="pem", help="Print the public key alone, as PEM.")
@click.option("--jwk", "form", flag_value="jwk", help="Print the public key alone, as a JWK.")
def show(files: tuple[str, ...], registrations: tuple[str, ...], form: str | None) -> int:
    """Show the keys of the settings, or of each FILE, and who signs with them; never a private key."""
    from ..keys.signing import public_jwk, public_pem

    uses, status = _found(files, registrations)
    for use in uses:
        if form == "pem":
            click.echo(public_pem(use.key), nl=False)
        elif form == "jwk":
            click.echo(json.dumps(public_jwk(use.key)))
        else:
            click.echo("\n".join(_described(use)))
    return status


@keys.command(epilog="In order: --publish, host the JWKS, a day later --switch, a day later --retire.")
@click.argument("file", required=False)
@registration_option
@click.option("--publish", "step", flag_value="publish", help="Make the next key and publish it too.")
@click.option("--switch", "step", flag_value="switch", help="Sign with the next key from now on.")
@click.option("--retire", "step", flag_value="retire", help="Remove the old key for good.")
@click.option("--undo", "step", flag_value="undo", help="Go back one stage.")
@click.option("--now", is_flag=True, help="Don't wait until platforms have fetched the JWKS again.")
@bits_option
def rotate(file: str | None, registrations: tuple[str, ...], step: str | None, now: bool, bits: str) -> int:
    """Change the key in stages; without an option: tell the stage and the next step."""
    from ..errors import ConfigurationError
    from ..keys import rotation
    from ..settings.key_settings import rotating

    path, key_ids = rotating(file, registrations)
    if step == "switch" and key_ids:
        raise ConfigurationError(
            f'key_id = "{key_ids[0]}" names the key in the settings; the next key would sign under its name.',
            where="keys rotate",
            remedy="Take key_id away first: the JWKS of this stage has the key under its own name too.",
        )
    steps = {
        None: rotation.read_ring,
        "publish": lambda at: rotation.publish(at, int(bits)),
        "switch": lambda at: rotation.switch(at, is_urgent=now),
        "retire": lambda at: rotation.retire(at, is_urgent=now),
        "undo": rotation.undo,
    }
    ring = steps[step](path)
    click.echo("\n".join([f"{ring.path.name}: kid {ring.current.kid} signs.", *_stage(ring)]))
    return 0


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@registration_option
@click.option(
    "--with", "more", multiple=True, metavar="FILE", help="Publish the key of FILE too (repeatable)."
)
@click.option(
    "--verify", "url", metavar="URL", help="Read the JWKS at URL as a platform would, and judge it."
)
def jwks(
    files: tuple[str, ...], registrations: tuple[str, ...], more: tuple[str, ...], url: str | None
) -> int:
    """Print the JWKS to host: the public keys of the settings, or of each FILE, rotations included."""
    from ..keys.jwks import key_set
    from ..settings.key_settings import published, use_of_file

    uses, status = _found(files, registrations)
    added = [use_of_file(path) for path in more]
    if url is not None:
        return _verified(url, uses, added) or status
    if uses or added:
        click.echo(json.dumps(key_set([*published(uses), *published(added)]), indent=2))
    return status


def _found(files: tuple[str, ...], registrations: tuple[str, ...]) -> tuple[list[KeyUse], int]:
    """The keys asked for and the exit status; what is wrong with others goes to stderr."""
    from ..settings.key_settings import key_uses, use_of_file

    if files:
        return [use_of_file(path) for path in files], 0
    uses, amiss = key_uses(registrations)
    if not uses and not amiss:
        amiss = ["No private_key is set. Make a key: lti-rosters keys new"]
    for each in amiss:
        click.echo(f"✗ {each}", err=True)
    return uses, 0 if not amiss else PARTIAL if uses else CONFIGURATION


def _verified(url: str, uses: list[KeyUse], added: list[KeyUse]) -> int:
    from ..keys.jwks import examine, kids
    from ..keys.published import read_published
    from ..web.urls import without_secrets

    signing = [key for use in uses for key in use.signing]
    others = [key for use in [*uses, *added] for key in use.others] + [use.key for use in added]
    found = read_published(url, where="jwks")
    remarks = examine(found.body, found.media_type, signing, others)
    for remark in remarks:
        click.echo(f"{'✗' if remark.is_fault else '!'} {remark.what} {remark.remedy}".rstrip())
    if found.is_redirected:
        click.echo("! it redirects; not every platform follows. Give them the address that it ends at.")
    if found.max_age is not None:
        click.echo(f"Platforms may keep their copy for {found.max_age:,} s.")
    if any(remark.is_fault for remark in remarks):
        return UNUSABLE
    if signing:
        told = ", ".join(dict.fromkeys(key.kid for key in signing))
        click.echo(f"✓ {without_secrets(url)} serves {len(kids(found.body))} keys, ours among them: {told}.")
    return 0


def _described(use: KeyUse) -> list[str]:
    from ..keys.files import is_open

    lines = [f"kid {use.key.kid}", f"  RSA {use.key.bits}, RS256"]
    if use.key.kid != use.key.thumbprint:
        lines.append(f"  thumbprint {use.key.thumbprint}")
    if use.registrations:
        lines.append(f"  signs for {', '.join(use.registrations)}")
    if use.ring is None:
        return [*lines, "  stands in the settings themselves"]
    path = use.ring.path
    made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    days = int((time.time() - made.timestamp()) // 86_400)
    lines.append(f"  file {path}, of {made:%Y-%m-%d}")
    if days > A_YEAR:
        lines.append(f"  ! it is {days} days old: change it with `lti-rosters keys rotate`")
    if is_open(path):
        lines.append(f"  ! others may read it: chmod 600 {path}")
    return [*lines, *(f"  {line}" for line in _stage(use.ring) if use.ring.stage != "settled")]


def _stage(ring: Ring) -> list[str]:
    """The stage of a rotation, the next step, and how long to wait for it."""
    from ..keys.rotation import WAIT

    due = ""
    if ring.since is not None and ring.left(time.time()):
        due = f" from {datetime.fromtimestamp(ring.since + WAIT, UTC):%Y-%m-%d %H:%M} UTC on"
    if ring.next is not None:
        return [
            f"Published beside it: kid {ring.next.kid}, the next key.",
            "Host what `lti-rosters jwks` prints now, see it there with --verify, and give platforms time to "
            "fetch it.",
            f"Then{due}: lti-rosters keys rotate --switch (where a platform has a pasted key, paste the new one "
            "that day).",
        ]
    if ring.old is not None:
        return [
            f"Still published: kid {ring.old.kid}, the old key.",
            f"Then{due}: lti-rosters keys rotate --retire, and host the JWKS once more.",
        ]
    return ["No rotation is under way. Begin one: lti-rosters keys rotate --publish"]
