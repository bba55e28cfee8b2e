"""Define the commands ``status`` and ``explain``, which only read."""

import json
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from gaq_listen.cli.options import (
    connected,
    data_pass_argument,
    dsn_option,
    objective_option,
    option,
    print_note,
    save_option,
)
from gaq_listen.reports import explain as explain_
from gaq_listen.reports import status as status_
from gaq_listen.reports.data_pass_names import find_data_pass
from gaq_listen.reports.saving import SUFFIXES, save
from gaq_listen.reports.status_view import render as render_status

WATCH_INTERVAL = 2.0
"""Seconds between two readings of ``status --watch``."""


@click.command(short_help="Show how fresh the summaries are, and which workers are running.")
@dsn_option
@option("--watch", is_flag=True, help="Show the status again every two seconds, until Ctrl-C.")
@option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the status as one JSON object. With --watch, print one object a line.",
)
@objective_option
def status(dsn: str, watch: bool, as_json: bool, objective: float) -> None:
    """Show how fresh the summaries are, and which workers are running. Reads the database, also without a worker.

    Exits with 0 if no pair has been stale for longer than the objective and all triggers are in order, with 1 if not,
    and with 3 if the database cannot be reached. So a monitor can run this command.

    \b
    Examples:
      gaq-listen status
      gaq-listen status --json --objective 5s
      gaq-listen status --watch
    """
    console = Console()
    with connected(dsn) as connection:
        report = status_.read(connection, objective)
        if not watch:
            _print_status(console, report, as_json)
            sys.exit(0 if report.good else 1)
        try:
            if as_json or not console.is_terminal:
                while True:
                    _print_status(console, report, as_json)
                    time.sleep(WATCH_INTERVAL)
                    report = status_.read(connection, objective)
            with Live(render_status(report), console=console, auto_refresh=False) as live:
                while True:
                    live.update(render_status(report), refresh=True)
                    time.sleep(WATCH_INTERVAL)
                    report = status_.read(connection, objective)
        except KeyboardInterrupt:
            sys.exit(0 if report.good else 1)


def _print_status(console: Console, report: status_.Status, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.as_json()))
    else:
        console.print(render_status(report), soft_wrap=True)


@click.command(short_help="Explain why the summary of a run is what it is.")
@dsn_option
@save_option(SUFFIXES, "Write the explanation to a file instead of stdout. The name ends in .svg, .html or .txt.")
@option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the explanation as one JSON object: periods, flags, totals, and why the summary is stale.",
)
@data_pass_argument
@click.argument("run_number", type=int, metavar="RUN")
def explain(dsn: str, data_pass: str, run_number: int, save_to: Path | None, as_json: bool) -> None:
    """Explain why the summary of a run in a data pass is what it is.

    Draws the flags of each detector that matters, which flag hides which, and the quality that results. Shows how the
    numbers add up. Says why the summary is stale, or when, why and by which worker it was last refreshed.

    \b
    Examples:
      gaq-listen explain LHC22o_apass7 526525
      gaq-listen explain LHC22o_apass7 526525 --save 526525.svg
      gaq-listen explain LHC22o_apass7 526525 --json > 526525.json
    """
    if as_json and save_to is not None:
        raise click.UsageError("--json and --save exclude each other: redirect the JSON to a file")
    with connected(dsn) as connection:
        data_pass_id, name = find_data_pass(connection, data_pass)
        pair = explain_.read(connection, data_pass_id, name, run_number)
    if as_json:
        click.echo(explain_.as_json(pair))
        return
    if save_to is None:
        console = Console()
        console.print(explain_.render(pair, console.width))
        return
    save(save_to, lambda width: explain_.render(pair, width), f"GAQ of {name} / {run_number}")
    print_note(f"written: {save_to}")
