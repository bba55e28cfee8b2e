"""The command ``run``: a worker."""

import sys
from dataclasses import fields
from typing import Any

import click

from gaq_listen.cli.options import address, dsn_option, duration, log_format_option, objective_option, option
from gaq_listen.observers import Format
from gaq_listen.observers.http_server import Address
from gaq_listen.process import OutputSettings, run_worker
from gaq_listen.settings import AUDIT_RATE, BATCH, WorkerSettings


@click.command(short_help="Run a worker, which refreshes what is stale.")
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
    "--sync-commit",
    is_flag=True,
    help="Commit refreshes as the server's synchronous_commit says. By default a refresh does not wait for the disk: "
    "a crash that loses the refresh leaves its pairs stale.",
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
    sys.exit(run_worker(settings, OutputSettings(log_format, objective, metrics_listen)))
