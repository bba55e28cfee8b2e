"""How fresh everything is, and who keeps it so: read from the database, whether or not a worker runs."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow, class_row, dict_row

from gaq_listen.db import source_bindings

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
select name, host, pid, gaq.is_there(backend_pid) as alive, state, started_at, seen_at, batches, pairs,
       swept_at, swept_found, found_by_sweeps
from gaq.workers order by name
"""
_FAILURES = """
select data_pass_id, d.name as data_pass, run_number, error, attempts, next_try_at
from gaq.failures left join gaq.source_data_passes d on d.id = data_pass_id
order by last_failed_at desc
"""
_PAUSED = "select paused_at, paused_by, reason from gaq.paused"


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """What a worker last said of itself; ``alive``: its session is there."""

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
class FailureRow:
    """A pair that could not be computed, and when it is tried again."""

    data_pass_id: int
    data_pass: str | None
    run_number: int
    error: str
    attempts: int
    next_try_at: datetime


@dataclass(frozen=True, slots=True)
class PausedRow:
    """Since when and by whom all work is paused."""

    paused_at: datetime
    paused_by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """All of one moment, ``at``.

    ``seconds_stale``: age of the oldest mark; None when everything is fresh. ``refreshed``: pairs refreshed in the last
    five minutes, which half and 99 % of had then been stale for ``p50_seconds`` and ``p99_seconds``;
    ``within_objective``: the share of them, 0 to 1, that had been for at most the ``objective`` (seconds).
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
    failures: tuple[FailureRow, ...]
    source_changes: tuple[str, ...] = ()
    """Sentences: why what is shown may be wrong, because the source tables are not those that were installed for."""

    def wrong(self) -> list[str]:
        """What makes the answer bad, in words; nothing: it is good."""
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
        """Nothing has been stale for longer than the objective, every trigger is enabled, and workers can refresh."""
        return not self.wrong()

    def as_json(self) -> dict[str, Any]:
        """Plain values; times in ISO 8601."""
        values: dict[str, Any] = _plain(asdict(self))
        return values | {"good": self.good, "wrong": self.wrong()}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    return value


def read(connection: Connection[TupleRow], objective: float = 1.0) -> Status:
    """Asks the database, in one snapshot."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        status = cursor.execute(_STATUS).fetchone() or {}
        freshness = cursor.execute(_FRESHNESS, (objective,)).fetchone() or {}
        with connection.cursor(row_factory=class_row(WorkerRow)) as rows:
            workers = tuple(rows.execute(_WORKERS).fetchall())
        with connection.cursor(row_factory=class_row(FailureRow)) as failed:
            failures = tuple(failed.execute(_FAILURES).fetchall())
        with connection.cursor(row_factory=class_row(PausedRow)) as pause:
            paused = pause.execute(_PAUSED).fetchone()
        changes = tuple(
            what for kind, what in source_bindings.source_changes(connection) if kind != source_bindings.TRIGGER
        )
    if freshness.get("within_objective") is not None:
        freshness["within_objective"] = float(freshness["within_objective"])
    return Status(
        objective=objective,
        **status,
        **freshness,
        workers=workers,
        failures=failures,
        paused=paused,
        source_changes=changes,
    )
