"""How fresh everything is: read from the database, whether or not a worker runs."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from rich.table import Table

from gaq_listen.observe.text import duration

_STATUS = """
select stale_pairs, stale_since, date_part('epoch', clock_timestamp() - stale_since) as seconds_stale,
       summaries, not_computable, last_refresh, somebody_listens, triggers_enabled, triggers_disabled
from gaq.status
"""


@dataclass(frozen=True, slots=True)
class Status:
    """One row of ``gaq.status``. ``seconds_stale``: age of the oldest mark; None when everything is fresh."""

    stale_pairs: int
    stale_since: datetime | None
    seconds_stale: float | None
    summaries: int
    not_computable: int
    last_refresh: datetime | None
    somebody_listens: bool
    triggers_enabled: int
    triggers_disabled: int

    def is_good(self, objective: float) -> bool:
        """Nothing has been stale for longer than ``objective`` seconds, and every trigger is enabled."""
        return (self.seconds_stale or 0) <= objective and not self.triggers_disabled

    def as_json(self) -> dict[str, Any]:
        """Plain values; times in ISO 8601."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


def read(connection: Connection[TupleRow]) -> Status:
    """Asks the database."""
    with connection.cursor(row_factory=class_row(Status)) as cursor:
        (status,) = cursor.execute(_STATUS).fetchall()
        return status


def render(status: Status, objective: float) -> Table:
    """For people."""
    table = Table.grid(padding=(0, 2))
    if status.stale_since is None:
        stale = "none"
    else:
        stale = (
            f"{status.stale_pairs:,}, the oldest since {status.stale_since:%Y-%m-%d %H:%M:%S} UTC "
            f"({duration(status.seconds_stale or 0)})"
        )
    last = f"{status.last_refresh:%Y-%m-%d %H:%M:%S} UTC" if status.last_refresh else "never"
    triggers = f"{status.triggers_enabled} enabled always"
    if status.triggers_disabled:
        triggers += f", {status.triggers_disabled} NOT: run gaq-listen install"
    verdict = "FRESH" if status.is_good(objective) else "NOT FRESH"
    for label, text in (
        ("state", f"{verdict} (objective {duration(objective)})"),
        ("stale pairs", stale),
        ("summaries", f"{status.summaries:,}, of them {status.not_computable:,} not computable"),
        ("last refresh", last),
        ("worker", "one sleeps at the doorbell" if status.somebody_listens else "none sleeps"),
        ("triggers", triggers),
    ):
        table.add_row(label, text)
    return table
