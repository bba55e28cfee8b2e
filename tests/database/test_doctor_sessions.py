"""What the doctor finds in other sessions: backlogs, forgotten transactions, the doorbell."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.dba import doctor, installer
from gaq_listen.dba.checks import notifications, vacuum
from gaq_listen.dba.checks.finding import Finding
from gaq_listen.dba.scripts import script
from gaq_listen.private_postgres.server import PrivatePostgres
from tests.conftest import Connect
from tests.support.tables import drain


def only(connection: Connection[Any]) -> Finding:
    (finding,) = doctor.examine(connection)
    return finding


def number_of(connection: Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_doctor_finds_a_backlog(committed: Connection[Any], connect: Connect) -> None:
    committed.execute("insert into gaq.invalidations values (1, 101, now() - interval '2 minutes', 'flag')")
    found = only(committed)
    assert re.fullmatch(r"1 pair stale, the oldest for 2 min 0\d s", found.what)
    assert found.why == "no worker is connected, so nothing refreshes them"
    worker = connect(autocommit=True)
    worker.execute("select gaq.register_worker('a', 'here', 7)")
    assert f"pid {worker.info.backend_pid}" in only(committed).why
    drain(committed)
    assert doctor.examine(committed) == []


def test_doctor_finds_a_forgotten_transaction(
    db: Connection[Any], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = connect(application_name="forgetful")
    other.execute("select 1")
    assert doctor.examine(db) == []
    monkeypatch.setattr(vacuum, "MAX_IDLE_IN_TRANSACTION", 0.0)
    found = only(db)
    assert found.what.startswith(f"session {other.info.backend_pid} of forgetful has been in an idle transaction for ")
    db.execute(found.fix.encode())


def test_doctor_finds_dead_rows_and_the_oldest_snapshot(
    db: Connection[Any], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = connect(application_name="report")
    holder.execute("set transaction isolation level repeatable read; select 1")
    with connect() as writer:
        writer.execute("insert into gaq.invalidations select g, g, now(), 'flag' from generate_series(1, 3000) g")
        writer.execute("delete from gaq.invalidations")
    # Sessions report such numbers when they end.
    monkeypatch.setattr(vacuum, "MAX_DEAD_ROWS", 2000)
    monkeypatch.setattr(vacuum, "MAX_SNAPSHOT_AGE", 0.0)
    expected = f"gaq.invalidations has 3 000 dead rows, held by session {holder.info.backend_pid} of report, open for "
    wait = psycopg.connect(db.info.dsn, password=db.info.password or None, autocommit=True)
    with wait:
        for _ in range(200):
            if number_of(wait, "select n_dead_tup from pg_stat_all_tables where relid = 'gaq.invalidations'::regclass"):
                break
            wait.execute("select pg_sleep(0.05)")
    assert only(db).what.startswith(expected)
    monkeypatch.setattr(vacuum, "MAX_SNAPSHOT_AGE", 60.0)
    assert doctor.examine(db) == []


def test_doctor_finds_prepared_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        PrivatePostgres(settings={"max_prepared_transactions": "2"}) as server,
        psycopg.connect(server.dsn(), autocommit=True) as connection,
    ):
        connection.execute(script("reference_tables").encode())
        installer.install(connection)
        connection.execute("begin")
        connection.execute("insert into data_passes values (1, 'x')")
        connection.execute("prepare transaction 'it''s'")
        assert doctor.examine(connection) == []
        monkeypatch.setattr(vacuum, "MAX_PREPARED", 0.0)
        commit, _, rollback = only(connection).fix.partition(" or ")
        assert commit == "COMMIT PREPARED 'it''s';"
        connection.execute(rollback.encode())
        assert doctor.examine(connection) == []


def test_doctor_quotes_names_of_prepared_transactions() -> None:
    (found,) = vacuum.prepared_findings([("'it''s'", 90)])
    assert found.what == "transaction 'it''s' was prepared 1 min 30 s ago, and has not ended"
    assert found.fix == "COMMIT PREPARED 'it''s'; or ROLLBACK PREPARED 'it''s';"


def test_doctor_finds_a_filling_notification_queue() -> None:
    assert notifications.queue_findings(0.25, ["7"]) == []
    (found,) = notifications.queue_findings(0.31, ["7", "8"])
    assert found.what == "the notification queue is 31% full"
    assert "7, 8" in found.fix


def test_doctor_finds_a_session_that_holds_the_doorbell(db: Connection[Any], connect: Connect) -> None:
    stranger = connect(autocommit=True, application_name="psql")
    stranger.execute("select pg_advisory_lock(gaq.bell_key())")
    found = only(db)
    assert found.what.startswith(f"session {stranger.info.backend_pid} of psql holds the doorbell's lock")
    assert "writers ring and wake no worker" in found.why
    stranger.execute("select pg_advisory_unlock_all(), pg_advisory_lock_shared(gaq.bell_key())")
    assert "workers cannot sleep" in only(db).why
    stranger.execute("select pg_advisory_unlock_all()")
    assert doctor.examine(db) == []


def test_doctor_finds_a_writer_that_keeps_workers_awake(
    db: Connection[Any], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect(application_name="import")
    writer.execute("select pg_try_advisory_xact_lock_shared(gaq.bell_key())")
    assert doctor.examine(db) == []
    monkeypatch.setattr(notifications, "MAX_WRITER_TRANSACTION", 0.0)
    assert only(db).what.startswith(f"session {writer.info.backend_pid} of import holds the doorbell's lock for ")


def test_doctor_finds_a_worker_that_hangs(
    db: Connection[Any], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = connect(autocommit=True, application_name="what PGAPPNAME says")
    listening.execute("listen gaq_invalidated")
    worker = connect(autocommit=True)
    worker.execute("select gaq.register_worker('a', 'here', 7)")
    worker.execute("select gaq.register_doorbell('a', %s)", (listening.info.backend_pid,))
    assert doctor.examine(db) == []
    monkeypatch.setattr(notifications, "MAX_INACTIVITY", 0.0)
    assert only(db).what.startswith(f"a worker listens (session {listening.info.backend_pid}), but neither refreshes")
    with worker.transaction():
        worker.execute("select 1")
        assert doctor.examine(db) == [], "the worker drains a backlog"
    listening.execute("select pg_advisory_lock(gaq.bell_key())")
    assert doctor.examine(db) == []


def test_doctor_finds_a_server_setting_that_is_off(db: Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # The server's own setting can be changed for all databases only; another of the session's stands in.
    monkeypatch.setattr(vacuum, "_AUTOVACUUM", vacuum._AUTOVACUUM.replace("'track_counts'", "'jit_expressions'"))
    db.execute("set jit_expressions = off")
    assert only(db).what == "jit_expressions=off, on the whole server"
