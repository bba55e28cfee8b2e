"""Read from the database how fresh the summaries are, and which workers are running."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow, class_row, dict_row

from gaq_listen.db import source_bindings
from gaq_listen.reports import failures, pause
from gaq_listen.reports.failures import Failure
from gaq_listen.reports.json_values import plain
from gaq_listen.reports.pause import PausedRow

_STATUS = """
select clock_timestamp() as at, stale_pairs, stale_since,
       greatest(date_part('epoch', clock_timestamp() - stale_since), 0) as seconds_stale,
       summaries, not_computable, last_refresh, somebody_listens, triggers_enabled, triggers_disabled,
       greatest(0, (select count(*) from gaq.installed_objects where kind = 'trigger')
                   - (select count(*) from pg_trigger join pg_proc on pg_proc.oid = tgfoid
                      where pronamespace = 'gaq'::regnamespace and tgparentid = 0)) as triggers_missing
from gaq.status
"""
_FRESHNESS = """
select refreshed, p50_seconds, p99_seconds, within_objective from gaq.freshness(%s * interval '1 s')
"""
_WORKERS = """
select name, host, pid, gaq.backend_exists(backend_pid) as alive, state, started_at, seen_at, batches, pairs,
       swept_at, swept_found, found_by_sweeps
from gaq.workers order by name
"""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """Hold what a worker last reported. ``alive``: its session exists."""

    name: str
    host: str
    pid: int
    alive: bool
    state: str
    started_at: datetime
    seen_at: datetime
    batches: int
    pairs: int
    swept_at: datetime | None
    swept_found: int | None
    found_by_sweeps: int


@dataclass(frozen=True, slots=True)
class Status:
    """Hold the status of a database at one moment, ``at``.

    ``seconds_stale`` is the age of the oldest mark, and None if everything is fresh. ``refreshed`` pairs were refreshed
    in the last five minutes. Half of them had been stale for at most ``p50_seconds``, and 99 % for at most
    ``p99_seconds``. A share of ``within_objective``, from 0 to 1, had been stale for at most the ``objective``, in
    seconds. ``source_changes`` has a sentence for each source table or column that is not the one that was installed
    for, so that values may be wrong.
    """

    at: datetime
    objective: float
    stale_pairs: int
    stale_since: datetime | None
    seconds_stale: float | None
    refreshed: int
    p50_seconds: float | None
    p99_seconds: float | None
    within_objective: float | None
    summaries: int
    not_computable: int
    last_refresh: datetime | None
    somebody_listens: bool
    triggers_enabled: int
    triggers_disabled: int
    triggers_missing: int
    paused: PausedRow | None
    workers: tuple[WorkerRow, ...]
    failures: tuple[Failure, ...]
    source_changes: tuple[str, ...] = ()

    def wrong(self) -> list[str]:
        """Return a text for each reason why the summaries do not count as fresh."""
        wrong = []
        if self.source_changes:
            wrong.append(source_bindings.alarm(self.source_changes))
        if (self.seconds_stale or 0) > self.objective:
            wrong.append(f"pairs have been stale for longer than {self.objective:g} s")
        if self.triggers_disabled or self.triggers_missing:
            wrong.append("triggers are disabled or missing, so changes are not seen")
        if any(worker.alive and worker.state == "broken" for worker in self.workers):
            wrong.append("a worker can refresh nothing, because the database lacks something; see: gaq-listen doctor")
        return wrong

    @property
    def good(self) -> bool:
        """Return whether no pair is stale for longer than the objective, and triggers and workers are in order."""
        return not self.wrong()

    def as_json(self) -> dict[str, Any]:
        """Return the values by name, with times in ISO 8601."""
        values: dict[str, Any] = plain(asdict(self))
        return values | {"good": self.good, "wrong": self.wrong()}


def read(connection: Connection[TupleRow], objective: float) -> Status:
    """Read the status in one snapshot. ``objective`` is in seconds."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        status = cursor.execute(_STATUS).fetchone() or {}
        freshness = cursor.execute(_FRESHNESS, (objective,)).fetchone() or {}
        with connection.cursor(row_factory=class_row(WorkerRow)) as rows:
            workers = tuple(rows.execute(_WORKERS).fetchall())
        failed = tuple(failures.read(connection))
        paused = pause.read(connection)
        changes = tuple(
            what for kind, what in source_bindings.source_changes(connection) if kind != source_bindings.TRIGGER
        )
    if freshness.get("within_objective") is not None:
        # The server returns a numeric, which psycopg reads as a Decimal.
        freshness["within_objective"] = float(freshness["within_objective"])
    return Status(
        objective=objective,
        **status,
        **freshness,
        workers=workers,
        failures=failed,
        paused=paused,
        source_changes=changes,
    )
