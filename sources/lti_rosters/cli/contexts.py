"""`lti-rosters contexts`, `contexts add` and `contexts import`."""

# ruff: noqa: FBT001 - click passes options by name

from pathlib import Path

import click

from .output import as_json_option, result

MOST_TOLD = 200  # rows of an import told one by one


@click.group(
    invoke_without_command=True,
    epilog="Examples: lti-rosters contexts --registration canvas; lti-rosters contexts import canvas launches.jsonl",
)
@click.option(
    "--registration", "registrations", multiple=True, metavar="NAME", help="List this one only (repeatable)."
)
@click.option("--destination", metavar="NAME", help="duckdb (rosters.duckdb here) by default.")
@as_json_option
@click.pass_context
def contexts(
    context: click.Context, registrations: tuple[str, ...], destination: str | None, as_json: bool
) -> int | None:
    """List the catalogue with the state of each course: no platform is asked."""
    if context.invoked_subcommand is not None:
        return None
    from ..courses.listing import Order, list_contexts
    from ..courses.text import print_contexts

    order = Order(registrations=registrations, destination=destination)
    return result(list_contexts(order), print_contexts, as_json=as_json)


@contexts.command(
    epilog="Example: lti-rosters contexts add canvas https://canvas.example.edu/api/lti/courses/7/names_and_roles"
)
@click.argument("registration")
@click.argument("memberships_url", required=False)
@click.option("--context-id", metavar="ID", help="The platform's id of the course.")
@click.option("--title", help="What it is called.")
@click.option("--label", help="Its code.")
@click.option("--resource-link-id", metavar="ID", help="Read who reaches this link, too.")
@click.option("--service-key", metavar="KEY", help="LTIAAS: what finds the roster, instead of a URL.")
def add(registration: str, **row: str | None) -> None:
    """Add a course to the catalogue's CSV or JSONL file."""
    from ..courses.additions import add as add_row
    from ..courses.merging import ADDED
    from ..runs.text import plain

    change = add_row(registration, row)
    said = (
        f"Added {change.course} to {change.where}."
        if change.what == ADDED
        else f"{change.where}: {change.why}."
    )
    click.echo(plain(said))


@contexts.command(
    name="import",
    epilog="Example: lti-rosters contexts import moodle launches.jsonl (or - for standard input)",
)
@click.argument("registration")
@click.argument("launches", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
def import_(registration: str, launches: str) -> int:
    """Add the courses of launches (JSONL of ID tokens' claims); known ones get the newest launch's address.

    Lines that are no launch are told, and exit 3 (8 if there is nothing else).
    """
    from ..courses.additions import counted, exit_status, import_launches
    from ..courses.merging import SKIPPED
    from ..runs.text import plain

    with click.open_file(launches, encoding="utf-8-sig", errors="strict") as file:
        try:
            text = file.read()
        except UnicodeDecodeError:
            raise click.BadParameter(f"{launches} is not UTF-8.", param_hint="LAUNCHES") from None
    name = "standard input" if launches == "-" else Path(launches).name
    changes = import_launches(registration, text, name)
    for change in changes[:MOST_TOLD]:
        why = f" ({change.why})" if change.why else ""
        told = f"{change.where}: {change.what} {change.course}".rstrip() + why
        click.echo(plain(told), err=change.what == SKIPPED)
    if len(changes) > MOST_TOLD:
        click.echo(f"… and {len(changes) - MOST_TOLD:,} more", err=True)
    click.echo(", ".join(f"{count:,} {what}" for what, count in counted(changes).items()) + ".")
    return exit_status(changes)
