"""The commands that only read: how fresh it is, what the summaries are, and why."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from gaq_listen.options import connected, data_pass_argument, dsn_option, duration, option, tell
from gaq_listen.reports import explain as explaining
from gaq_listen.reports import names, show_view, status_view
from gaq_listen.reports import show as showing
from gaq_listen.reports import status as asking
from gaq_listen.reports.comparison import Comparison
from gaq_listen.reports.saving import SUFFIXES, save

WATCH_EVERY = 2.0
"""Seconds between two looks of ``status --watch``."""


@click.command(short_help="How fresh everything is, and who keeps it so.")
@dsn_option
@option("--watch", is_flag=True, help="Go on, every two seconds, until Ctrl-C.")
@option("--json", "as_json", is_flag=True, help="One JSON object (with --watch: one a line).")
@option("--objective", type=duration, default="1s", help="How long a pair may be stale at the most.")
def status(dsn: str, watch: bool, as_json: bool, objective: float) -> None:
    """How fresh everything is, and who keeps it so; read from the database, whether or not a worker runs.

    Exits with 0 when no pair has been stale for longer than the objective and all triggers are in order, 1 when not,
    3 when the database cannot be reached: made for a monitor.

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


def _comparisons(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[Comparison, ...]:
    try:
        return tuple(Comparison.read(text) for text in given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(short_help="The summaries of a data pass.")
@dsn_option
@option("--stale", is_flag=True, help="Only those that are stale.")
@option("--below", type=click.FloatRange(0, 1), default=None, help="Only those with less than this that is good: 0.9")
@option(
    "--good",
    multiple=True,
    callback=_comparisons,
    metavar="COMPARISON",
    help="Only those whose good fraction compares like this: '<0.9', '>=0.5'. Repeat it for a range.",
)
@option(
    "--not-bad",
    multiple=True,
    callback=_comparisons,
    metavar="COMPARISON",
    help="The same for 1 minus the bad fraction, in which time without a flag counts as not bad.",
)
@option("--mc-as-not-bad", is_flag=True, help="MC reproducible counts as not bad, in --json and --csv, too.")
@option("--sort", type=click.Choice(list(showing.SORTS)), default="run", help="What to sort by: the worst comes first.")
@option("--json", "as_json", is_flag=True, help="A JSON list.")
@option("--csv", "as_csv", is_flag=True, help="CSV, with a line of names.")
@data_pass_argument
@click.argument("runs", nargs=-1, type=int, metavar="[RUN]...")
def show(
    dsn: str,
    data_pass: str,
    runs: tuple[int, ...],
    stale: bool,
    below: float | None,
    good: tuple[Comparison, ...],
    not_bad: tuple[Comparison, ...],
    mc_as_not_bad: bool,
    sort: str,
    as_json: bool,
    as_csv: bool,
) -> None:
    """The summaries of a data pass, given by name or id: all runs, or the runs named.

    \b
    Examples:
      gaq-listen show LHC22o_apass7
      gaq-listen show LHC22o_apass7 526525 526726
      gaq-listen show LHC22o_apass7 --below 0.9 --mc-as-not-bad --sort good
      gaq-listen show LHC22o_apass7 --not-bad '<0.9'
      gaq-listen show LHC22o_apass7 --csv > LHC22o_apass7.csv
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    chosen = showing.Selection(runs, stale, below, mc_as_not_bad, sort, good, not_bad)
    with connected(dsn) as connection:
        data_pass_id, name = names.data_pass(connection, data_pass)
        summaries = chosen.of(showing.read(connection, data_pass_id, runs))
    if as_json:
        click.echo(show_view.as_json(data_pass_id, name, summaries, mc_as_not_bad))
    elif as_csv:
        click.echo(show_view.as_csv(data_pass_id, name, summaries, mc_as_not_bad), nl=False)
    else:
        console = Console()
        console.print(show_view.render(name, summaries, chosen, datetime.now(UTC), console.width))


def _file(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix not in SUFFIXES:
        raise click.BadParameter(f"the name must end in {', '.join(SUFFIXES)}: that decides what is written")
    return path


@click.command(short_help="Why the summary of a pair is what it is.")
@dsn_option
@option(
    "--save",
    "save_to",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default=None,
    callback=_file,
    metavar="FILE",
    help="Write it to a file to send around: .svg, .html or .txt.",
)
@data_pass_argument
@click.argument("run_number", type=int, metavar="RUN")
def explain(dsn: str, data_pass: str, run_number: int, save_to: Path | None) -> None:
    """Why the summary of a run in a data pass is what it is.

    Draws what each detector that matters has been flagged, which flag hides which, and what that makes of the whole;
    how the numbers add up; and why the summary is stale or when, for what and by whom it was last refreshed.

    \b
    Examples:
      gaq-listen explain LHC22o_apass7 526525
      gaq-listen explain LHC22o_apass7 526525 --save 526525.svg
    """
    with connected(dsn) as connection:
        data_pass_id, name = names.data_pass(connection, data_pass)
        pair = explaining.read(connection, data_pass_id, name, run_number)
    if save_to is None:
        console = Console()
        console.print(explaining.render(pair, console.width))
        return
    save(save_to, lambda width: explaining.render(pair, width), f"GAQ of {name} / {run_number}")
    tell(f"written: {save_to}")
