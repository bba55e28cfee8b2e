"""Read whether, and by whom, all work in the database is paused."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

_PAUSED = "select paused_at, paused_by, reason from gaq.paused"


@dataclass(frozen=True, slots=True)
class PausedRow:
    """Hold the row of ``gaq.paused``."""

    paused_at: datetime
    paused_by: str
    reason: str | None


def read(connection: Connection[TupleRow]) -> PausedRow | None:
    """Return the present pause; None if workers may work."""
    with connection.cursor(row_factory=class_row(PausedRow)) as cursor:
        return cursor.execute(_PAUSED).fetchone()
