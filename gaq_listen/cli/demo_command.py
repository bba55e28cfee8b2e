"""Define the command ``demo``, which runs a worker and a simulated shift on a private PostgreSQL."""

import sys

import click

from gaq_listen.cli.options import DURATION, log_format_option, option
from gaq_listen.settings import LogFormat


@click.command(short_help="Run a complete demonstration on a private PostgreSQL.")
@option(
    "--seconds",
    "length",
    type=DURATION,
    default=None,
    help="Length of the demonstration, such as 20s. Without this option, it lasts until Ctrl-C.",
)
@option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    help="Changes a second that the simulated shift makes.",
)
@option("--seed", type=int, default=0, help="Seed of the simulation. Each seed makes another shift.")
@log_format_option
def demo(length: float | None, rate: float, seed: int, log_format: LogFormat) -> None:
    """Run a complete demonstration on a private, temporary PostgreSQL: a simulated shift, a worker and its console.

    The demonstration leaves nothing behind. It needs the extra gaq-listen[demo], or an installed PostgreSQL.

    \b
    Example:
      gaq-listen demo --seconds 20
    """
    from gaq_listen.demo.play import play

    sys.exit(play(length, rate, seed, log_format))
