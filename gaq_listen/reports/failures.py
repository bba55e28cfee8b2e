"""Read and show the pairs that cannot be computed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from rich.table import Table
from rich.text import Text

from gaq_listen.reports.json_values import plain
from gaq_listen.types import Key
from gaq_listen.wording import data_pass_name, duration, sanitize

_FAILURES = """
select data_pass_id, d.name as data_pass, run_number, error, sqlstate, attempts,
       gaq.representable(first_failed_at) as first_failed_at, gaq.representable(last_failed_at) as last_failed_at,
       gaq.representable(next_try_at) as next_try_at,
       date_part('epoch', gaq.representable(next_try_at) - clock_timestamp()) as next_try
from gaq.failures
left join gaq.source_data_passes d on d.id = data_pass_id
where data_pass_id = coalesce(%(data_pass_id)s, data_pass_id)
  and run_number = coalesce(%(run_number)s, run_number)
order by first_failed_at, data_pass_id, run_number
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """Hold a row of ``gaq.failures``. Times are None if no program can show them.

    ``attempts`` counts the failures in a row. ``next_try`` is in seconds from now, and negative if it is overdue.
    """

    data_pass_id: int
    data_pass: str | None
    run_number: int
    error: str
    sqlstate: str
    attempts: int
    first_failed_at: datetime | None
    last_failed_at: datetime | None
    next_try_at: datetime | None
    next_try: float | None

    def as_json(self) -> dict[str, Any]:
        """Return the values by name, with times in ISO 8601."""
        values: dict[str, Any] = plain(asdict(self))
        return values


def read(connection: Connection[TupleRow], pair: Key | None = None) -> list[Failure]:
    """Return all failing pairs, those that have failed for longest first; or the failure of one pair."""
    data_pass_id, run_number = pair or (None, None)
    with connection.cursor(row_factory=class_row(Failure)) as cursor:
        return cursor.execute(_FAILURES, {"data_pass_id": data_pass_id, "run_number": run_number}).fetchall()


def render(failures: Sequence[Failure]) -> Table:
    """Draw a table of failing pairs."""
    table = Table(box=None, pad_edge=False)
    for heading in ("data pass", "run", "since (UTC)", "attempts", "next try"):
        table.add_column(heading, no_wrap=True)
    table.add_column("error", overflow="fold")
    for failure in failures:
        table.add_row(
            Text(data_pass_name(failure.data_pass, failure.data_pass_id)),
            str(failure.run_number),
            f"{failure.first_failed_at:%m-%d %H:%M:%S}" if failure.first_failed_at else "unknown",
            str(failure.attempts),
            _next_try(failure.next_try),
            Text(sanitize(failure.error)),
        )
    return table


def _next_try(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"in {duration(seconds)}" if seconds > 0 else "now"
