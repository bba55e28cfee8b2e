"""Wait for workers, and show their progress."""

import time
from collections.abc import Callable, Sequence

from psycopg import Connection
from psycopg.rows import TupleRow
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gaq_listen.errors import GaqListenError
from gaq_listen.reports import pause
from gaq_listen.types import Key, columns
from gaq_listen.wording import count

INTERVAL = 0.1
"""Seconds between two checks."""

_STALE = """
select count(*), count(e.error), min(e.error)
from unnest(%s::bigint[], %s::bigint[]) u (data_pass_id, run_number)
join gaq.pending p using (data_pass_id, run_number)
left join gaq.failures e using (data_pass_id, run_number)
"""
_HAS_WORKERS = "select exists (select from gaq.workers where gaq.backend_exists(backend_pid))"


def progress_bar() -> Progress:
    """Return a progress bar on stderr. If stderr is no terminal, only the last state is printed."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def until_fresh(connection: Connection[TupleRow], pairs: Sequence[Key], note: Callable[[str], object]) -> None:
    """Wait until none of the pairs is stale. Note once why no worker refreshes them.

    Raises:
        GaqListenError: only pairs that cannot be computed are left.
    """
    noted = ""
    with progress_bar() as bar:
        task = bar.add_task("refreshed", total=len(pairs))
        while True:
            ((stale, failing, error),) = connection.execute(_STALE, columns(pairs)).fetchall()
            bar.update(task, completed=len(pairs) - stale)
            if stale == 0:
                return
            if failing == stale:
                raise GaqListenError(f"{failing} pairs cannot be computed ({error}); see: gaq-listen failures")
            obstacle = _obstacle(connection)
            if obstacle and obstacle != noted:
                note(f"waiting: {obstacle}")
            noted = obstacle
            time.sleep(INTERVAL)


def _obstacle(connection: Connection[TupleRow]) -> str:
    """Return why no worker refreshes; an empty text if workers are running."""
    if paused := pause.read(connection):
        return f"paused by {paused.paused_by}"
    ((has_workers,),) = connection.execute(_HAS_WORKERS).fetchall()
    return "" if has_workers else "no worker is running: gaq-listen run"


def until_no_batch(connection: Connection[TupleRow], note: Callable[[str], object]) -> None:
    """Wait until workers have finished all batches that they had begun. Note once that there are some."""
    noted = False
    while True:
        ((batches,),) = connection.execute("select gaq.batches_in_flight()").fetchall()
        if not batches:
            return
        if not noted:
            note(f"waiting for {count(batches, 'batch')} in flight")
            noted = True
        time.sleep(INTERVAL)
