"""The commands that only read: how fresh it is, and why a summary is what it is."""

import json
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from gaq_listen.cli.options import connected, data_pass_argument, dsn_option, objective_option, option, tell
from gaq_listen.reports import data_pass_names, status_view
from gaq_listen.reports import explain as explaining
from gaq_listen.reports import status as asking
from gaq_listen.reports.saving import SUFFIXES, save

WATCH_EVERY = 2.0
"""Seconds between two looks of ``status --watch``."""


@click.command(short_help="Show how fresh the summaries are, and who works.")
@dsn_option
@option("--watch", is_flag=True, help="Show the status again every two seconds, until Ctrl-C.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object; with --watch, one a line.")
@objective_option
def status(dsn: str, watch: bool, as_json: bool, objective: float) -> None:
    """Show how fresh the summaries are, and which workers are running. Reads the database, also without a worker.

    Exits with 0 if no pair has been stale for longer than the objective and all triggers are in order, 1 if not, and
    3 if the database cannot be reached. A monitor can run it.

    \b
    Examples:
      gaq-listen status
      gaq-listen status --json --objective 5s
      gaq-listen status --watch
    """
    console = Console()
    with connected(dsn) as connection:
        report = asking.read(connection, objective)
        if not watch:
            _print_status(console, report, as_json)
            sys.exit(0 if report.good else 1)
        try:
            if as_json or not console.is_terminal:
                while True:
                    _print_status(console, report, as_json)
                    time.sleep(WATCH_EVERY)
                    report = asking.read(connection, objective)
            with Live(status_view.render(report), console=console, auto_refresh=False) as live:
                while True:
                    live.update(status_view.render(report), refresh=True)
                    time.sleep(WATCH_EVERY)
                    report = asking.read(connection, objective)
        except KeyboardInterrupt:
            sys.exit(0 if report.good else 1)


def _print_status(console: Console, report: asking.Status, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.as_json()))
    else:
        console.print(status_view.render(report), soft_wrap=True)


def _file(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix not in SUFFIXES:
        raise click.BadParameter(f"the name must end in {', '.join(SUFFIXES)}: that decides what is written")
    return path


@click.command(short_help="Explain why the summary of a run is what it is.")
@dsn_option
@option(
    "--save",
    "save_to",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default=None,
    callback=_file,
    metavar="FILE",
    help="Write the explanation to a file instead: .svg, .html or .txt.",
)
@option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object: periods, flags, totals, and why the summary is stale.",
)
@data_pass_argument
@click.argument("run_number", type=int, metavar="RUN")
def explain(dsn: str, data_pass: str, run_number: int, save_to: Path | None, as_json: bool) -> None:
    """Explain why the summary of a run in a data pass is what it is.

    Draws the flags of each detector that matters, which flag hides which, and the quality that results. Shows how the
    numbers add up. Says why the summary is stale, or when, why and by whom it was last refreshed.

    \b
    Examples:
      gaq-listen explain LHC22o_apass7 526525
      gaq-listen explain LHC22o_apass7 526525 --save 526525.svg
      gaq-listen explain LHC22o_apass7 526525 --json > 526525.json
    """
    if as_json and save_to is not None:
        raise click.UsageError("--json and --save exclude each other: redirect the JSON to a file")
    with connected(dsn) as connection:
        data_pass_id, name = data_pass_names.data_pass(connection, data_pass)
        pair = explaining.read(connection, data_pass_id, name, run_number)
    if as_json:
        click.echo(explaining.as_json(pair))
        return
    if save_to is None:
        console = Console()
        console.print(explaining.render(pair, console.width))
        return
    save(save_to, lambda width: explaining.render(pair, width), f"GAQ of {name} / {run_number}")
    tell(f"written: {save_to}")
