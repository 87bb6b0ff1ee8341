"""`lti-rosters demo`."""

# ruff: noqa: FBT001 - click passes options by name

from functools import partial

import click

from .output import as_json_option, result, stop_on_signal


@click.command()
@as_json_option
@click.option("--seed", type=int, default=7, show_default=True, help="Another campus for another number.")
def demo(as_json: bool, seed: int) -> int:
    """Show the whole path on invented platforms: no network, no settings, half a minute."""
    from ..demo.demo import print_demo
    from ..demo.demo import run as run_demo

    document = run_demo(seed=seed, say=partial(click.echo, err=True), stop=stop_on_signal())
    return result(document, print_demo, as_json=as_json)
