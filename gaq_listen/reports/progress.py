"""Waits, and shows how far it is, until workers have done what was asked for."""

import time
from collections.abc import Callable, Sequence

from psycopg import Connection
from psycopg.rows import TupleRow
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gaq_listen.errors import GaqListenError
from gaq_listen.types import Key, columns

EVERY = 0.1
"""Seconds between two looks."""

_LEFT = """
select count(*), count(e.error), min(e.error)
from unnest(%s::bigint[], %s::bigint[]) u (data_pass_id, run_number)
join gaq.pending p using (data_pass_id, run_number)
left join gaq.failures e using (data_pass_id, run_number)
"""
_HINDRANCE = """
select (select 'paused by ' || paused_by from gaq.paused),
       (select count(*) from gaq.workers where gaq.is_there(backend_pid))
"""


def progress() -> Progress:
    """A bar on stderr; off a terminal only what it ends with."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def until_fresh(connection: Connection[TupleRow], pairs: Sequence[Key], tell: Callable[[str], object]) -> None:
    """Waits until none of the pairs is stale; tells once what hinders it.

    Raises:
        GaqListenError: some of them cannot be computed.
    """
    told = ""
    with progress() as bar:
        task = bar.add_task("refreshed", total=len(pairs))
        while True:
            ((left, failing, error),) = connection.execute(_LEFT, columns(pairs)).fetchall()
            bar.update(task, completed=len(pairs) - left)
            if left == 0:
                return
            if failing == left:
                raise GaqListenError(f"{failing} pairs cannot be computed ({error}); see: gaq-listen failures")
            ((paused, workers),) = connection.execute(_HINDRANCE).fetchall()
            hindrance = paused or ("" if workers else "no worker is running: gaq-listen run")
            if hindrance and hindrance != told:
                tell(f"waiting: {hindrance}")
            told = hindrance
            time.sleep(EVERY)


def until_no_batch(connection: Connection[TupleRow], tell: Callable[[str], object]) -> None:
    """Waits until no batch is in flight any more."""
    told = False
    while True:
        ((batches,),) = connection.execute("select gaq.batches_in_flight()").fetchall()
        if not batches:
            return
        if not told:
            tell(f"waiting for {batches} in flight")
            told = True
        time.sleep(EVERY)
