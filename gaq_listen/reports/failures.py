"""Pairs that cannot be computed, as ``gaq.failures`` has them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from rich.table import Table
from rich.text import Text

from gaq_listen.wording import duration, sanitize

_FAILURES = """
select data_pass_id, name as data_pass, run_number, error, sqlstate, attempts, first_failed_at, last_failed_at,
       next_try_at, date_part('epoch', next_try_at - clock_timestamp()) as next_try
from gaq.failures
left join gaq.source_data_passes on id = data_pass_id
order by first_failed_at, data_pass_id, run_number
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """One row; ``next_try`` is in seconds from now, negative when it is due. ``attempts`` have failed in a row."""

    data_pass_id: int
    data_pass: str | None
    run_number: int
    error: str
    sqlstate: str
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    next_try_at: datetime
    next_try: float

    def as_json(self) -> dict[str, Any]:
        """Plain values; times in ISO 8601."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


def read(connection: Connection[TupleRow]) -> list[Failure]:
    """All of them, the oldest first."""
    with connection.cursor(row_factory=class_row(Failure)) as cursor:
        return cursor.execute(_FAILURES).fetchall()


def render(failures: Sequence[Failure]) -> Table:
    """For people."""
    table = Table(box=None, pad_edge=False)
    for heading in ("data pass", "run", "since (UTC)", "attempts", "next try"):
        table.add_column(heading, no_wrap=True)
    table.add_column("error", overflow="fold")
    for failure in failures:
        table.add_row(
            Text(sanitize(failure.data_pass) if failure.data_pass else f"#{failure.data_pass_id}"),
            str(failure.run_number),
            f"{failure.first_failed_at:%m-%d %H:%M:%S}",
            str(failure.attempts),
            f"in {duration(failure.next_try)}" if failure.next_try > 0 else "now",
            Text(sanitize(failure.error)),
        )
    return table
