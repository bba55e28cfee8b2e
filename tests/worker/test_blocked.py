"""Test that a worker gives way to a migration that locks source tables, so that no migration ends in a deadlock."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import psycopg
import pytest
from psycopg import Connection, errors

from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import events
from gaq_listen.worker.worker import Worker
from tests.conftest import where
from tests.support import small_world
from tests.support.altered_functions import alter
from tests.support.shapes import SHAPES, Shape
from tests.support.worker_harness import asleep, running_worker, stale

# Every table that the computation reads, from the catalogs.
_READ = """
SELECT DISTINCT refobjid::regclass::text FROM pg_depend
JOIN pg_rewrite ON pg_rewrite.oid = objid
JOIN pg_class ON pg_class.oid = refobjid
WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_class'::regclass AND relkind = 'r'
  AND relnamespace <> 'gaq'::regnamespace
  AND ev_class = ANY (ARRAY['gaq.source_runs', 'gaq.source_pairs', 'gaq.source_gaq_detectors', 'gaq.source_flags',
                            'gaq.source_flag_types', 'gaq.source_verifications', 'gaq.source_data_passes']::regclass[])
ORDER BY 1
"""
MARK = "INSERT INTO gaq.invalidations (data_pass_id, run_number, cause) VALUES (1, 501, 'test'); SELECT gaq.ring()"
_WAITS = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"


def migrated(dsn: str, watcher: Connection[Any], tables: tuple[str, str]) -> list[type[BaseException]]:
    """Alter two tables in this order, and begin a refresh in between. Return the errors of both sessions."""
    ended: list[type[BaseException]] = []
    watcher.execute("INSERT INTO gaq.wide_invalidations (kind, cause) VALUES ('everything', 'test')")
    with psycopg.connect(dsn, autocommit=True) as migration, psycopg.connect(dsn, autocommit=True) as worker:
        for connection in (migration, worker):
            connection.execute("SET deadlock_timeout = '50 ms'")

        def refresh() -> None:
            try:
                worker.execute("SELECT FROM gaq.refresh()")
            except psycopg.Error as error:
                ended.append(type(error))

        at_work = threading.Thread(target=refresh)
        try:
            with migration.transaction(force_rollback=True):
                migration.execute(f"ALTER TABLE {tables[0]} ADD extra int".encode())
                at_work.start()
                pid = worker.info.backend_pid
                while at_work.is_alive() and watcher.execute(_WAITS, [pid]).fetchall() != [(True,)]:
                    time.sleep(0.001)
                migration.execute(f"ALTER TABLE {tables[1]} ADD extra int".encode())
        except psycopg.Error as error:
            ended.append(type(error))
        at_work.join()
    return ended


def every_order(server: Any, request: pytest.FixtureRequest, shape: Shape, *, without_locks: bool) -> set[Any]:
    template = request.getfixturevalue(shape.template)
    with small_world.database(server, f"{template.dbname}_blocked", template.template_dbname) as db:
        small_world.build(shape.speak(db))
        if without_locks:
            alter(db, "gaq.lock_sources", ("lock table", "perform 1; return; lock table"))
        with psycopg.connect(where(db), autocommit=True) as watcher:
            tables = [table for (table,) in watcher.execute(_READ.encode()).fetchall()]
            assert len(tables) >= 7
            orders = list(itertools.permutations(tables, 2))
            return {(order, *migrated(where(db), watcher, order)) for order in orders}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_migration_of_two_tables_in_any_order_never_deadlocks(
    server: Any, request: pytest.FixtureRequest, shape: Shape
) -> None:
    """Check that the refresh fails at once, and the migration does not, whichever table the migration has locked."""
    for _, *ended in every_order(server, request, shape, without_locks=False):
        assert ended == [errors.LockNotAvailable]


def test_migration_deadlocks_if_the_refresh_takes_no_locks(server: Any, request: pytest.FixtureRequest) -> None:
    """Check that the test of the orders would see a deadlock."""
    outcomes = every_order(server, request, SHAPES[0], without_locks=True)
    assert [order for order, *ended in outcomes if errors.DeadlockDetected in ended]


async def test_worker_gives_way_to_a_migration_and_comes_back(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=3600.0) as work:
        await work.until(lambda: asleep(period))
        with psycopg.connect(dsn) as migration:
            migration.execute("ALTER TABLE qc_flag_types ADD colour text")
            period.execute(MARK)
            blocked = (await work.until(lambda: work.of(events.Blocked)))[0]
            assert 'could not obtain lock on relation "qc_flag_types"' in blocked.reason
            assert "gives way" in blocked.reason
            migration.execute("ALTER TABLE qc_flags ADD colour text")
            assert not work.of(events.Unblocked)
        await work.until(lambda: work.of(events.Unblocked))
        await work.until(lambda: not stale(period))
        assert not work.of(events.Disconnected)
        assert not work.of(events.Broken)


async def test_once_waits_for_a_migration(period: Connection[Any], dsn: str) -> None:
    told: list[events.Event] = []
    with psycopg.connect(dsn) as migration:
        migration.execute("ALTER TABLE qc_flag_types ADD colour text")
        period.execute(MARK)

        def hear(event: events.Event) -> None:
            told.append(event)
            if isinstance(event, events.Blocked):
                migration.rollback()

        await Worker(WorkerSettings(dsn=dsn, once=True), hear).run()
    assert [event for event in told if isinstance(event, events.BatchRefreshed)]
    assert not stale(period)
