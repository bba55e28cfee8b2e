"""gaq_summaries as its readers know it: since when a summary is stale, until when, and how to ask
for a new one. And what gaq.refresh and gaq.drain promise to whoever calls them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from tests.conftest import Connect
from tests.support.shapes import in_every_shape
from tests.support.small_world import A, B, C, D, assert_fresh, marks
from tests.support.tables import Key, drain, stale, stored

LAST = 2**63 - 1

pytestmark = in_every_shape


def stale_since(connection: Connection[Any], pair: Key) -> datetime | None:
    row = connection.execute(
        "SELECT invalidated_at FROM gaq_summaries WHERE data_pass_id = %s AND run_number = %s", pair
    ).fetchone()
    assert row is not None
    since: datetime | None = row[0]
    return since


def clock(connection: Connection[Any]) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE qc_flags SET deleted = true WHERE id = 41",
        "DELETE FROM gaq_detectors WHERE run_number = 103",
        "UPDATE runs SET time_trg_end = null WHERE run_number = 103",
        "UPDATE qc_flag_types SET bad = true WHERE id = 1",
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (41)",
        "TRUNCATE qc_flag_verifications",
        "UPDATE gaq_summaries SET invalidated_at = '2000-01-01' WHERE data_pass_id = 3",
    ],
)
def test_stale_from_the_commit_since_the_statement(committed: Connection[Any], connect: Connect, change: str) -> None:
    """Whatever the time zones, and however long before the transaction began."""
    writer = connect()
    writer.execute("SET timezone = 'Asia/Tokyo'")
    committed.execute("SET timezone = 'America/Lima'")
    before = clock(writer)
    writer.execute(change.encode())
    after = clock(writer)
    assert stale(committed) == set()
    writer.commit()

    since = stale_since(committed, D)
    assert since is not None
    assert before < since < after


def test_stale_until_the_commit_of_the_refresh(committed: Connection[Any], connect: Connect) -> None:
    committed.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 41")
    before = stored(committed)
    since = stale_since(committed, D)

    worker = connect()
    worker.execute("SELECT FROM gaq.refresh()")
    assert stored(worker)[D].bad == 1
    assert stale_since(worker, D) is None
    assert stale_since(committed, D) == since
    assert stored(committed) == before

    worker.commit()
    assert_fresh(committed)


def test_stale_since_the_first_of_several_changes(committed: Connection[Any]) -> None:
    committed.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 41")
    since = stale_since(committed, D)
    committed.execute("UPDATE qc_flags SET flag_type_id = 3 WHERE id = 41")
    committed.execute("TRUNCATE qc_flag_verifications")
    committed.execute("UPDATE gaq_summaries SET invalidated_at = now() WHERE run_number = 103")
    assert stale_since(committed, D) == since
    since_truncate = stale_since(committed, A)
    assert since is not None
    assert since_truncate is not None
    assert since < since_truncate

    committed.execute("SELECT gaq.expand()")
    assert (stale_since(committed, D), stale_since(committed, A)) == (since, since_truncate)


def test_a_new_pair_shows_no_values_until_computed(rolled_back: Connection[Any]) -> None:
    rolled_back.execute("INSERT INTO data_pass_runs VALUES (3, 101)")
    row = rolled_back.execute(
        "SELECT to_jsonb(s) - 'data_pass_id' - 'run_number' - 'invalidated_at' FROM gaq_summaries s"
        " WHERE (data_pass_id, run_number) = (3, 101)"
    ).fetchone()
    assert row is not None
    assert set(row[0].values()) == {None}

    drain(rolled_back)
    assert stored(rolled_back)[3, 101].not_computable


def test_a_pair_that_has_left_loses_its_summary(rolled_back: Connection[Any]) -> None:
    rolled_back.execute("DELETE FROM data_pass_runs WHERE run_number = 101")
    assert stored(rolled_back).keys() == {A, B, C, D}
    drain(rolled_back)
    assert stored(rolled_back).keys() == {B, D}
    rolled_back.execute("INSERT INTO data_pass_runs VALUES (1, 101)")
    drain(rolled_back)
    assert_fresh(rolled_back)
    assert stored(rolled_back).keys() == {A, B, D}


def test_an_update_asks_for_recomputation(rolled_back: Connection[Any]) -> None:
    rolled_back.execute("UPDATE gaq.summaries SET bad_run_coverage = 0.5")
    rolled_back.execute("UPDATE gaq_summaries SET invalidated_at = now() WHERE data_pass_id = 1")
    assert stale(rolled_back) == {A, B}
    rolled_back.execute("UPDATE gaq_summaries SET invalidated_at = now()")
    assert stale(rolled_back) == {A, B, C, D}
    drain(rolled_back)
    assert_fresh(rolled_back)


def test_an_insert_asks_for_computation(rolled_back: Connection[Any]) -> None:
    rolled_back.execute("INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (1, 101)")
    rolled_back.execute(
        "INSERT INTO gaq_summaries (data_pass_id, run_number)"
        " SELECT data_pass_id, run_number FROM data_pass_runs ON CONFLICT DO NOTHING"
    )
    rolled_back.execute("INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (3, 104)")
    assert stale(rolled_back) == {A, B, C, D, (3, 104)}
    drain(rolled_back)
    assert_fresh(rolled_back)


@pytest.mark.parametrize("pair", [(LAST, LAST), (-LAST - 1, -LAST - 1), (0, 2**31), (-1, 101), (1, -101)])
def test_a_request_for_no_pair_is_harmless(rolled_back: Connection[Any], pair: Key) -> None:
    rolled_back.execute("INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (%s, %s)", pair)
    assert stale(rolled_back) == {pair}
    drain(rolled_back)
    assert_fresh(rolled_back)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gaq_summaries SET invalidated_at = null WHERE run_number = 101",
        "UPDATE gaq_summaries SET bad_run_coverage = 0 WHERE run_number = 101",
        "UPDATE gaq_summaries SET invalidated_at = now(), not_computable = true WHERE run_number = 101",
        "UPDATE gaq_summaries SET run_number = 104 WHERE run_number = 101",
        "UPDATE gaq_summaries SET data_pass_id = null WHERE run_number = 101",
        "UPDATE gaq_summaries SET updated_at = now() WHERE run_number = 101",
        "INSERT INTO gaq_summaries (data_pass_id) VALUES (1)",
        "INSERT INTO gaq_summaries (run_number) VALUES (101)",
    ],
)
def test_what_is_refused(committed: Connection[Any], statement: str) -> None:
    before = stored(committed)
    with pytest.raises(psycopg.Error, match=r"gaq_summaries|a request for a summary"):
        committed.execute(statement.encode())
    assert marks(committed) == (0, 0)
    assert stored(committed) == before


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_refresh_refuses_an_old_snapshot(committed: Connection[Any], level: str) -> None:
    committed.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 41")
    committed.execute(f"BEGIN ISOLATION LEVEL {level}")
    with pytest.raises(psycopg.Error, match=f"READ COMMITTED.*{level}"):
        committed.execute("SELECT FROM gaq.refresh()")
    committed.execute("ROLLBACK")
    assert stale(committed) == {D}


@pytest.mark.parametrize("max_pairs", ["0", "-1", "null", "100001", "2147483647"])
def test_refresh_refuses_to_do_nothing_or_too_much(committed: Connection[Any], max_pairs: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="max_pairs must be between 1 and 100000"):
        committed.execute(f"SELECT FROM gaq.refresh({max_pairs})".encode())


def test_refresh_takes_the_oldest_first(committed: Connection[Any]) -> None:
    for run_number, data_pass_id in ((102, 1), (103, 3), (101, 2), (102, 1), (101, 1)):
        committed.execute(
            "UPDATE gaq_summaries SET invalidated_at = now() WHERE (data_pass_id, run_number) = (%s, %s)",
            (data_pass_id, run_number),
        )
    one_by_one = [committed.execute("SELECT data_pass_id, run_number FROM gaq.refresh(1)").fetchone() for _ in range(5)]
    assert one_by_one == [B, D, C, A, None]


def test_drain_commits_batch_by_batch(committed: Connection[Any]) -> None:
    committed.execute("UPDATE qc_flag_types SET bad = true WHERE id = 1")
    committed.execute("CALL gaq.drain(2)")
    assert_fresh(committed)
    transactions = committed.execute("SELECT count(*) FROM gaq.summaries GROUP BY xmin::text").fetchall()
    assert transactions == [(2,), (2,)]


def test_drain_says_what_it_could_not_do(committed: Connection[Any]) -> None:
    said: list[str | None] = []
    committed.add_notice_handler(lambda notice: said.append(notice.message_primary))
    committed.execute("INSERT INTO detectors SELECT n, 'D' || n FROM generate_series(10, 1100) n")
    committed.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 41")
    committed.execute("INSERT INTO gaq_detectors SELECT 2, 101, id FROM detectors WHERE id >= 10")
    committed.execute("CALL gaq.drain()")
    assert stale(committed) == {C}
    assert stored(committed)[D].bad == 1
    assert said == ["1 pairs cannot be computed: see gaq.failures"]
    committed.execute("SELECT gaq.pause()")
    committed.execute("UPDATE qc_flags SET flag_type_id = 1 WHERE id = 41")
    committed.execute("CALL gaq.drain()")
    assert stale(committed) == {C, D}
    assert said[1] == "gaq-listen is paused: nothing is refreshed until gaq.resume()"


def test_refreshed_pairs_are_told(committed: Connection[Any], connect: Connect) -> None:
    """With the commit, each once, in messages that PostgreSQL takes, however long the numbers."""
    asked = {(LAST - n, -LAST + n) for n in range(400)} | {A, B, C, D}
    listener = connect(autocommit=True)
    listener.execute("LISTEN gaq_refreshed")
    with committed.cursor() as cursor:
        cursor.executemany("INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (%s, %s)", list(asked))

    committed.execute("BEGIN")
    committed.execute("SELECT FROM gaq.refresh(404)")
    committed.execute("NOTIFY gaq_refreshed, 'not yet'")
    committed.execute("ROLLBACK")
    committed.execute("CALL gaq.drain(404)")
    committed.execute("NOTIFY gaq_refreshed, '[]'")

    messages: list[str] = []
    for notification in listener.notifies(timeout=20):
        if notification.payload == "[]":
            break
        messages.append(notification.payload)
    assert all(len(message) < 8000 for message in messages)
    told = [tuple(pair) for message in messages for pair in json.loads(message)]
    assert len(told) == len(asked)
    assert set(told) == asked


def test_nothing_is_told_unasked(committed: Connection[Any], connect: Connect) -> None:
    listener = connect(autocommit=True)
    listener.execute("LISTEN gaq_refreshed")
    committed.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 41")
    committed.execute("SELECT FROM gaq.refresh(announce => false)")
    committed.execute("CALL gaq.drain()")
    committed.execute("NOTIFY gaq_refreshed, '[]'")
    assert [message.payload for message in listener.notifies(timeout=20, stop_after=1)] == ["[]"]
