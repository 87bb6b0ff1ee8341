"""`lti-rosters check`."""

# ruff: noqa: FBT001 - click passes options by name

import click

from .output import as_json_option, result, stop_on_signal

DEFAULT = ""  # `--destination` without a name


@click.command(epilog="Examples: lti-rosters check; lti-rosters check --registration canvas --destination")
@click.option(
    "--registration", "registrations", multiple=True, metavar="NAME", help="Check this one only (repeatable)."
)
@click.option(
    "--destination",
    is_flag=False,
    flag_value=DEFAULT,
    metavar="[NAME]",
    help="Try the destination too: a scratch schema is made there and removed.",
)
@as_json_option
def check(registrations: tuple[str, ...], destination: str | None, as_json: bool) -> int:
    """Visit every platform and say what is wrong and what to do: keys, token, scope, one page, clocks."""
    from ..checks.check import Order
    from ..checks.check import check as carry_out
    from ..checks.text import print_check

    order = Order(
        registrations=registrations,
        with_destination=destination is not None,
        destination=destination or None,
    )
    return result(carry_out(order, stop=stop_on_signal()), print_check, as_json=as_json)
