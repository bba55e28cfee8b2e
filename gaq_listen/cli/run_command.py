"""Define the command ``run``, which runs a worker."""

import sys
from typing import Any

import click

from gaq_listen.cli.options import settings_options
from gaq_listen.process import run_worker
from gaq_listen.settings import OutputSettings, WorkerSettings, from_options


@click.command(short_help="Run a worker, which refreshes stale summaries.")
@settings_options(WorkerSettings)
@settings_options(OutputSettings)
def run(**values: Any) -> None:
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
    sys.exit(run_worker(from_options(WorkerSettings, values), from_options(OutputSettings, values)))
