"""`lti-rosters run` and `lti-rosters models`."""

# ruff: noqa: FBT001 - click passes options by name

from typing import Any

import click

from .output import as_json_option, result, stop_on_signal


@click.command(
    epilog="Examples: lti-rosters run --dry-run --limit 3; lti-rosters run --registration canvas --json"
)
@click.option(
    "--registration", "registrations", multiple=True, metavar="NAME", help="Read this one only (repeatable)."
)
@click.option(
    "--context", "context_ids", multiple=True, metavar="ID", help="Read this context_id only (repeatable)."
)
@click.option(
    "--destination", metavar="NAME", help="duckdb (rosters.duckdb here) by default; else as dlt names it."
)
@click.option("--dry-run", is_flag=True, help="Read and tell, load nothing.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read at most N contexts.")
@click.option("--full", is_flag=True, help="Write every roster again, unchanged ones too.")
@click.option("--no-models", is_flag=True, help="Load only; build the models another time.")
@click.option("--no-wait", is_flag=True, help="Stop with exit 10 if another run is at work here.")
@click.option(
    "--fail-fast", is_flag=True, help="Stop at the first failure; what is complete is still loaded."
)
@as_json_option
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "log", "none"]),
    default="auto",
    help="How to show progress.",
)
def run(
    registrations: tuple[str, ...],
    context_ids: tuple[str, ...],
    destination: str | None,
    dry_run: bool,
    limit: int | None,
    full: bool,
    no_models: bool,
    no_wait: bool,
    fail_fast: bool,
    as_json: bool,
    progress: str,
) -> int:
    """Read the rosters, load what changed, build the models."""
    from ..runs.progress import shown
    from ..runs.run import Order
    from ..runs.run import run as carry_out

    order = Order(
        registrations=registrations,
        context_ids=context_ids,
        destination=destination,
        is_dry=dry_run,
        limit=limit,
        is_full=full,
        with_models=not no_models,
        is_patient=not no_wait,
        is_fail_fast=fail_fast,
    )
    with shown(progress) as watcher:
        document = carry_out(order, watcher=watcher, stop=stop_on_signal())
    return result(document, _print_result, as_json=as_json)


@click.command()
@click.option(
    "--destination", metavar="NAME", help="duckdb (rosters.duckdb here) by default; else as dlt names it."
)
@as_json_option
def models(destination: str | None, as_json: bool) -> int:
    """Build the models alone, of what is loaded: no platform is asked."""
    from ..runs.progress import shown
    from ..runs.run import Order
    from ..runs.run import run as carry_out

    order = Order(destination=destination, is_models_only=True, command="models")
    with shown("auto") as watcher:
        document = carry_out(order, watcher=watcher, stop=stop_on_signal())
    return result(document, _print_models, as_json=as_json)


def _print_result(document: dict[str, Any], *consoles: Any) -> None:
    from ..runs.text import print_result

    print_result(document, *consoles)


def _print_models(document: dict[str, Any], *consoles: Any) -> None:
    from ..runs.text import print_models

    print_models(document, *consoles)
