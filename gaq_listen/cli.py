"""The commands: they parse, call, and end with an exit code; what they do is elsewhere."""

import json
import sys
import time
from dataclasses import fields
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from gaq_listen import __version__
from gaq_listen.dba import commands as for_dbas
from gaq_listen.operating import commands as for_operators
from gaq_listen.options import Commands, connected, dsn_option, duration, option
from gaq_listen.reports import show as show_report
from gaq_listen.reports import status as status_report
from gaq_listen.running import LogFormat, run_worker
from gaq_listen.settings import WorkerSettings


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gaq-listen")
def main() -> None:
    """Keeps stored Global Aggregated Quality (GAQ) summaries fresh.

    Triggers mark what a change of QC flags, GAQ detectors or run times has made stale; a worker refreshes it within
    milliseconds. To see it all without a database of your own: gaq-listen demo
    """


@main.command(short_help="The worker: refreshes what is stale, until stopped.")
@dsn_option
@option("--once", is_flag=True, help="Refresh everything that is stale, then exit.")
@option(
    "--debounce",
    type=duration,
    default="100ms",
    help="A pair that was just refreshed waits until it has been quiet for so long.",
)
@option(
    "--max-wait",
    type=duration,
    default="1s",
    help="But not longer than this after its first mark.",
)
@option("--min-batch", type=int, default=20, help="Smallest number of pairs to ask for at a time.")
@option("--max-batch", type=int, default=400, help="Largest number of pairs in a batch.")
@option(
    "--sweep",
    type=duration,
    default="30s",
    help="How often to look for marks that no wake-up announced.",
)
@option(
    "--announce/--no-announce",
    default=True,
    help="Notify channel gaq_refreshed of the pairs of each batch.",
)
@option(
    "--audit-rate",
    type=int,
    default=0,
    help="Recompute and compare so many fresh pairs a minute, and mark those that differ. 0: none.",
)
@option(
    "--batch-timeout",
    type=duration,
    default="30s",
    help="How long a batch may take on the server; one that takes longer is done in parts.",
)
@option("--name", default="", show_default="host:process", help="What status calls this worker.")
@option(
    "--log-format",
    type=click.Choice(["auto", "rich", "plain"]),
    default="auto",
    help="auto: a live console on a terminal, else one line an event.",
)
def run(log_format: LogFormat, **given: Any) -> None:
    """The worker: refreshes what is stale within milliseconds, until it is stopped.

    Ctrl-C (or SIGTERM) finishes the batch in flight; a second one leaves at once. Either way nothing is lost.

    \b
    Example:
      gaq-listen run --dsn postgresql://gaq@db.example/bookkeeping
    """
    settings = WorkerSettings(**{f.name: given[f.name] for f in fields(WorkerSettings)})
    sys.exit(run_worker(settings, log_format))


@main.command(short_help="How fresh everything is.")
@dsn_option
@option("--watch", is_flag=True, help="Go on, every two seconds, until Ctrl-C.")
@option("--json", "as_json", is_flag=True, help="One JSON object (with --watch: one a line).")
@option("--objective", type=duration, default="1s", help="How long a pair may be stale at the most.")
def status(dsn: str, watch: bool, as_json: bool, objective: float) -> None:
    """How fresh everything is; read from the database, whether or not a worker runs.

    Exits with 0 when no pair has been stale for longer than the objective, 1 when one has, 3 when the database
    cannot be reached.

    \b
    Example:
      gaq-listen status --json --objective 5s
    """
    console = Console()
    with connected(dsn) as connection:
        report = status_report.read(connection)
        if not watch:
            _print_status(console, report, as_json, objective)
            sys.exit(0 if report.is_good(objective) else 1)
        try:
            with Live(console=console, auto_refresh=False) as live:
                while True:
                    if as_json or not console.is_terminal:
                        _print_status(console, report, as_json, objective)
                    else:
                        live.update(status_report.render(report, objective), refresh=True)
                    time.sleep(2)
                    report = status_report.read(connection)
        except KeyboardInterrupt:
            sys.exit(0 if report.is_good(objective) else 1)


def _print_status(console: Console, report: status_report.Status, as_json: bool, objective: float) -> None:
    if as_json:
        click.echo(json.dumps(report.as_json() | {"good": report.is_good(objective)}))
    else:
        console.print(status_report.render(report, objective), soft_wrap=True)


@main.command(short_help="The summaries of a data pass.")
@dsn_option
@click.argument("data_pass")
@click.argument("runs", nargs=-1, type=int, metavar="[RUN]...")
def show(dsn: str, data_pass: str, runs: tuple[int, ...]) -> None:
    """The summaries of a data pass, given by name or id: all runs, or the runs named.

    \b
    Example:
      gaq-listen show LHC22o_apass7 526641 526647
    """
    with connected(dsn) as connection:
        data_pass_id, name = show_report.data_pass(connection, data_pass)
        summaries = show_report.read(connection, data_pass_id, runs)
    Console().print(show_report.render(name, summaries))


@main.command(short_help="Everything at work, on a private throw-away PostgreSQL.")
@option(
    "--seconds",
    "length",
    type=duration,
    default=None,
    help="End after so long; else with Ctrl-C.",
)
@option("--rate", type=float, default=20.0, help="Changes a second that the shift makes.")
@option("--seed", type=int, default=0, help="Another seed, another shift.")
@option(
    "--log-format",
    type=click.Choice(["auto", "rich", "plain"]),
    default="auto",
    help="auto: a live console on a terminal, else one line an event.",
)
def demo(length: float | None, rate: float, seed: int, log_format: LogFormat) -> None:
    """Everything at work: a private PostgreSQL, an LHC period, a simulated shift, the worker and its console.

    Nothing is left behind. Needs the extra gaq-listen[demo], or a PostgreSQL that is installed.

    \b
    Example:
      gaq-listen demo --seconds 20
    """
    from gaq_listen.demo.play import play

    sys.exit(play(length, rate, seed, log_format))


for command in (
    for_operators.recalculate,
    for_operators.verify,
    for_operators.failures,
    for_operators.pause,
    for_operators.resume,
    for_dbas.install,
    for_dbas.uninstall,
    for_dbas.doctor,
    for_dbas.sql,
):
    main.add_command(command)
