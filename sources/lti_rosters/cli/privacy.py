"""`lti-rosters identity`, `erase` and `retain`: whose data it is, and for how long."""

# ruff: noqa: FBT001 - click passes options by name

import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from .output import as_json_option, result

STEPS = {
    "wait": "Another run is at work in this directory: waiting for it to end.",
    "wait_load": "Another run is loading into this warehouse: waiting for it to end.",
    "wait_models": "Another run is building the models of this warehouse: waiting for it to end.",
    "models": "Building the models …",
}


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that changes what is loaded."""
    for option in (
        click.option("--no-wait", is_flag=True, help="Stop with exit 10 if another run is at work here."),
        click.option("--no-models", is_flag=True, help="Build the models another time."),
        click.option("--destination", metavar="NAME", help="duckdb (rosters.duckdb here) by default."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Tell how many rows of which table; change nothing."),
    ):
        command = option(command)
    return as_json_option(command)


def _order(
    question: str,
    *,
    destination: str | None,
    dry_run: bool = False,
    yes: bool = False,
    no_wait: bool = False,
    no_models: bool = False,
) -> dict[str, Any]:
    return {
        "destination": destination,
        "is_dry": dry_run,
        "is_confirmed": yes,
        "is_patient": not no_wait,
        "with_models": not no_models,
        "confirm": _asking(question) if sys.stdin.isatty() else None,
        "on_step": lambda step: click.echo(STEPS[step], err=True),
    }


def _asking(question: str) -> Callable[[Mapping[str, int]], bool]:
    def confirm(rows: Mapping[str, int]) -> bool:
        for table, count in rows.items():
            click.echo(f"{count:>12,}  {table}", err=True)
        return click.confirm(question, err=True)

    return confirm


@click.group(invoke_without_command=True)
@click.option("--destination", metavar="NAME", help="duckdb (rosters.duckdb here) by default.")
@as_json_option
@click.pass_context
def identity(context: click.Context, destination: str | None, as_json: bool) -> int | None:
    """Show how members are stored: keep, pseudonymize or drop."""
    if context.invoked_subcommand is not None:
        return None
    from ..custody.going_over import show
    from ..custody.session import Order
    from ..custody.text import print_identity

    return result(show(Order(**_order("", destination=destination))), print_identity, as_json=as_json)


@identity.command(name="apply")
@_shared
def apply_identity(as_json: bool, **told: Any) -> int:
    """Rewrite what is loaded as the setting `identity` has it; there is no way back."""
    from ..custody.going_over import apply
    from ..custody.session import Order
    from ..custody.text import print_rows

    order = Order(**_order("Rewrite these rows? There is no way back.", **told))
    return result(apply(order), print_rows, as_json=as_json)


@click.command(
    epilog="Examples: lti-rosters erase --registration canvas --user-id - --dry-run; lti-rosters erase --list"
)
@click.option("--registration", metavar="NAME", help="Where the person is known.")
@click.option("--user-id", metavar="ID", help='The id as the platform sends it; "-" reads it from stdin.')
@click.option("--pseudonym", metavar="HEX", help="The person's pseudonym, in place of the id.")
@click.option("--list", "is_list", is_flag=True, help="Tell when people were erased; never who.")
@_shared
def erase(
    registration: str | None,
    user_id: str | None,
    pseudonym: str | None,
    is_list: bool,
    as_json: bool,
    **told: Any,
) -> int:
    """Remove a person from every table, history included, and keep them out."""
    from ..custody.erasure import Erasure, erasures
    from ..custody.erasure import erase as erase_person
    from ..custody.session import Order
    from ..custody.text import print_erasures, print_rows

    if is_list:
        order = Order(**_order("", **told))
        return result(erasures(order), print_erasures, as_json=as_json)
    if registration is None or (user_id is None) == (pseudonym is None):
        raise click.UsageError("Give --registration, and --user-id or --pseudonym (or --list alone).")
    if user_id == "-":
        user_id = sys.stdin.readline().rstrip("\r\n")
    if not (user_id or pseudonym):
        raise click.UsageError("The id is empty.")
    question = "Erase this person? There is no way back."
    erasure = Erasure(
        registration=registration, user_id=user_id, pseudonym=pseudonym, **_order(question, **told)
    )
    return result(erase_person(erasure), print_rows, as_json=as_json)


@click.command(epilog="Example: lti-rosters retain --older-than 3y --dry-run")
@click.option("--older-than", required=True, metavar="PERIOD", help="3y, 18m, 26w or 90d.")
@_shared
def retain(older_than: str, as_json: bool, **told: Any) -> int:
    """Drop history that is older; never a roster in force."""
    from ..custody.retention import Retention
    from ..custody.retention import retain as drop_old
    from ..custody.text import print_rows

    order = Retention(older_than=older_than, **_order("Drop these rows? There is no way back.", **told))
    return result(drop_old(order), print_rows, as_json=as_json)
