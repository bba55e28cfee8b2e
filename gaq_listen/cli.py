"""The commands: they parse, call, and end with an exit code; what they do is elsewhere."""

import sys
from dataclasses import fields
from typing import Any

import click

from gaq_listen import __version__
from gaq_listen.dba import commands as for_dbas
from gaq_listen.observe import Format
from gaq_listen.observe.serving import Address
from gaq_listen.operating import commands as for_operators
from gaq_listen.options import Commands, address, dsn_option, duration, log_format_option, option
from gaq_listen.reports import commands as reports
from gaq_listen.reports.changes_command import changes
from gaq_listen.reports.show_command import show
from gaq_listen.running import Showing, run_worker
from gaq_listen.settings import WorkerSettings


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gaq-listen")
def main() -> None:
    """Keeps stored Global Aggregated Quality (GAQ) summaries fresh.

    Triggers mark what a change of QC flags, GAQ detectors or run times has made stale; a worker refreshes it within
    milliseconds. To see it all without a database of your own: gaq-listen demo

    The examples that each command's --help ends with work as they are once GAQ_LISTEN_DSN says where the database is;
    the demo prints what to set it to.
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
@option(
    "--min-batch", type=click.IntRange(1, 10_000), default=20, help="Smallest number of pairs to ask for at a time."
)
@option("--max-batch", type=click.IntRange(1, 10_000), default=400, help="Largest number of pairs in a batch.")
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
    type=click.IntRange(0, 100_000),
    default=0,
    help="Recompute and compare so many fresh pairs a minute, and mark those that differ. 0: none.",
)
@option(
    "--batch-timeout",
    type=duration,
    default="30s",
    help="How long a batch may take on the server; one that takes longer is done in parts.",
)
@option(
    "--heartbeat",
    type=duration,
    default="10s",
    help="After so much silence the server is asked whether it is there; it has as long to answer.",
)
@option(
    "--require-listen",
    is_flag=True,
    help="End, rather than poll, where notifications do not arrive: a pooler, a standby.",
)
@option("--name", default="", show_default="host:process", help="What status calls this worker.")
@option(
    "--objective", type=duration, default="1s", help="How long a pair may be stale at the most: what it is held to."
)
@log_format_option
@option(
    "--metrics-listen",
    type=address,
    default=None,
    metavar="HOST:PORT",
    help="Serve /metrics for Prometheus, /healthz and /readyz there. Needs gaq-listen[metrics].",
)
def run(log_format: Format, objective: float, metrics_listen: Address | None, **given: Any) -> None:
    """The worker: refreshes what is stale within milliseconds, until it is stopped.

    What it does is its output: a live console, or lines on stdout. What ends it is said on stderr.

    Ctrl-C (or SIGTERM) finishes the batch in flight; a second one leaves at once. Either way nothing is lost.

    \b
    Examples:
      gaq-listen run
      gaq-listen run --once
      gaq-listen run --log-format json --metrics-listen 127.0.0.1:9187
    """
    settings = WorkerSettings(**{f.name: given[f.name] for f in fields(WorkerSettings)})
    sys.exit(run_worker(settings, Showing(log_format, objective, metrics_listen)))


@main.command(short_help="Everything at work, on a private throw-away PostgreSQL.")
@option(
    "--seconds",
    "length",
    type=duration,
    default=None,
    help="End after so long; else with Ctrl-C.",
)
@option(
    "--rate", type=click.FloatRange(min=0, min_open=True), default=20.0, help="Changes a second that the shift makes."
)
@option("--seed", type=int, default=0, help="Another seed, another shift.")
@log_format_option
def demo(length: float | None, rate: float, seed: int, log_format: Format) -> None:
    """Everything at work: a private PostgreSQL, an LHC period, a simulated shift, the worker and its console.

    Nothing is left behind. Needs the extra gaq-listen[demo], or a PostgreSQL that is installed.

    \b
    Example:
      gaq-listen demo --seconds 20
    """
    from gaq_listen.demo.play import play

    sys.exit(play(length, rate, seed, log_format))


for command in (
    reports.status,
    show,
    reports.explain,
    changes,
    for_operators.recalculate,
    for_operators.verify,
    for_operators.failures,
    for_operators.pause,
    for_operators.resume,
    for_dbas.install,
    for_dbas.detach,
    for_dbas.uninstall,
    for_dbas.doctor,
    for_dbas.sql,
):
    main.add_command(command)
