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
from gaq_listen.options import Commands, address, dsn_option, duration, log_format_option, objective_option, option
from gaq_listen.reports import commands as reports
from gaq_listen.reports.changes_command import changes
from gaq_listen.reports.show_command import show
from gaq_listen.running import Showing, run_worker
from gaq_listen.settings import AUDIT_RATE, BATCH, WorkerSettings


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gaq-listen")
def main() -> None:
    """Keep stored Global Aggregated Quality (GAQ) summaries fresh.

    Triggers mark the summaries that a change of QC flags, GAQ detectors or run times makes stale. A worker refreshes
    them within milliseconds. To see that without a database of your own: gaq-listen demo

    Each command's --help ends with an example. The examples work once GAQ_LISTEN_DSN says where the database is. The
    demo prints what to set it to.
    """


@main.command(short_help="Run a worker, which refreshes what is stale.")
@dsn_option
@option("--once", is_flag=True, help="Refresh everything that is stale, then exit.")
@option(
    "--debounce",
    type=duration,
    default="100ms",
    help="Refresh a pair that was just refreshed only after it has had no change for this long. Raise it to save work.",
)
@option(
    "--max-wait",
    type=duration,
    default="1s",
    help="Refresh a pair at the latest this long after its first change, even if it keeps changing.",
)
@option("--min-batch", type=click.IntRange(*BATCH), default=20, help="Fewest pairs that a batch may ask for.")
@option(
    "--max-batch",
    type=click.IntRange(*BATCH),
    default=400,
    help="Most pairs that a batch may ask for. Lower it where batches take long.",
)
@option(
    "--sweep",
    type=duration,
    default="30s",
    help="Interval between two looks for marks that no notification announced.",
)
@option(
    "--announce/--no-announce",
    default=True,
    help="Notify the channel gaq_refreshed of the pairs of each batch.",
)
@option(
    "--audit-rate",
    type=click.IntRange(*AUDIT_RATE),
    default=0,
    help="Recompute this many fresh pairs a minute, compare them with what is stored, and mark those that differ.",
)
@option(
    "--batch-timeout",
    type=duration,
    default="30s",
    help="Longest time that a batch may take on the server. A batch that takes longer is divided.",
)
@option(
    "--heartbeat",
    type=duration,
    default="10s",
    help="Probe the server after this much silence, and reconnect if it does not answer within the same time.",
)
@option(
    "--require-listen",
    is_flag=True,
    help="Exit with an error instead of polling where notifications do not arrive: behind a pooler, on a standby.",
)
@option(
    "--name",
    default="",
    show_default="host:process",
    help="Name of this worker in status. Each worker of a database needs another.",
)
@objective_option
@log_format_option
@option(
    "--metrics-listen",
    type=address,
    default=None,
    metavar="HOST:PORT",
    help="Serve /metrics for Prometheus, /healthz and /readyz at this address. Needs gaq-listen[metrics].",
)
def run(log_format: Format, objective: float, metrics_listen: Address | None, **given: Any) -> None:
    """Run a worker, which refreshes stale summaries within milliseconds, until it is stopped.

    The worker shows its work as a live console on a terminal, and as lines on stdout elsewhere. An error that ends
    the worker goes to stderr.

    Ctrl-C (or SIGTERM) lets the worker finish its batch. A second one ends the worker at once. Nothing is lost.

    \b
    Examples:
      gaq-listen run
      gaq-listen run --once
      gaq-listen run --log-format json --metrics-listen 127.0.0.1:9187
    """
    settings = WorkerSettings(**{f.name: given[f.name] for f in fields(WorkerSettings)})
    sys.exit(run_worker(settings, Showing(log_format, objective, metrics_listen)))


@main.command(short_help="Run a complete demonstration on a private PostgreSQL.")
@option(
    "--seconds",
    "length",
    type=duration,
    default=None,
    help="End after this long instead of with Ctrl-C.",
)
@option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    help="Changes a second that the simulated shift makes.",
)
@option("--seed", type=int, default=0, help="Seed of the simulation. Each seed makes another shift.")
@log_format_option
def demo(length: float | None, rate: float, seed: int, log_format: Format) -> None:
    """Run a complete demonstration on a private, temporary PostgreSQL: a simulated shift, a worker and its console.

    The demonstration leaves nothing behind. It needs the extra gaq-listen[demo], or an installed PostgreSQL.

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
