"""A writer that commits in the middle of a refresh: nothing is lost, however far the refresh is.

The refresh is stopped between two of its statements by a lock that the test holds. That these
courses can lose an invalidation is shown with mutants, made from the text of the refresh.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import pytest
from psycopg import Connection

from tests.conftest import Connect
from tests.database.altered import alter
from tests.database.world import A, D, assert_fresh, pairs, wrong
from tests.tables import drain, stale, stored

PAUSE = "perform pg_advisory_xact_lock_shared(42);"

# Where a statement begins, and so takes its snapshot.
PLACES = {
    "before wide marks are expanded": ("gaq.refresh", "    expanded := gaq.expand();\n    loop"),
    "before their pairs are marked": ("gaq.expand", "    insert into gaq.invalidations"),
    "before the expanded are deleted": ("gaq.expand", "    delete from gaq.wide_invalidations"),
    "before rows are seeded": ("gaq.refresh", "        if exists (select from unnest(passes, runs) m"),
    "before the claim": (
        "gaq.refresh",
        "        select array_agg(data_pass_id), array_agg(run_number)\n        into passes, runs\n",
    ),
    "before marks are deleted": ("gaq.refresh", "    with folded as ("),
    "before the computation": ("gaq.refresh", "    return query\n    with claimed as ("),
    "before the end": ("gaq.refresh", "    if announce then"),
}

# Each changes the summary of D, or adds or removes a pair.
CHANGES = {
    "a flag": "UPDATE qc_flags SET flag_type_id = 2 WHERE id = 41",
    "a flag type": "UPDATE qc_flag_types SET bad = true WHERE id = 1",
    "a verification": "INSERT INTO qc_flag_verifications (flag_id) VALUES (41)",
    "a run": "UPDATE runs SET time_trg_start = null, time_o2_start = null WHERE run_number = 103",
    "a pair that goes": "DELETE FROM data_pass_runs WHERE run_number = 103",
    "a pair that comes": "INSERT INTO data_pass_runs VALUES (2, 103)",
}


@contextmanager
def paused(worker: Connection[Any], work: LiteralString, holder: Connection[Any]) -> Iterator[None]:
    """The work has come to its pause, on the worker's connection, and goes on after the block."""
    with ThreadPoolExecutor(1) as thread:
        with holder.transaction():
            holder.execute("SELECT pg_advisory_xact_lock(42)")
            running = thread.submit(worker.execute, work)
            assert waits(holder, worker, running), running.exception()
            yield
        running.result(timeout=30)


def waits(observer: Connection[Any], worker: Connection[Any], running: Future[Any]) -> bool:
    """Whether the work comes to wait for a lock; otherwise it has ended."""
    deadline = time.monotonic() + 20
    while not running.done():
        blocked = observer.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [worker.info.backend_pid])
        if blocked.fetchone() == (True,):
            return True
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return False


ALL_STALE = "UPDATE gaq_summaries SET invalidated_at = now(); INSERT INTO qc_flag_verifications (flag_id) VALUES (12)"
A_STALE = "INSERT INTO qc_flag_verifications (flag_id) VALUES (12)"


def commit_in_a_pause(committed: Connection[Any], connect: Connect, change: str, seen: str = ALL_STALE) -> None:
    """A change is made before the refresh begins and is committed in its pause.

    Marks of other changes, made later, were committed before: those the refresh does see.
    """
    writer, worker, holder = connect(), connect(autocommit=True), connect(autocommit=True)
    writer.execute(change.encode())
    committed.execute(seen.encode())
    with paused(worker, "SELECT FROM gaq.refresh()", holder):
        writer.commit()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize(("function", "place"), PLACES.values(), ids=PLACES.keys())
def test_nothing_is_lost(committed: Connection[Any], connect: Connect, function: str, place: str, change: str) -> None:
    alter(committed, function, (place, f"{PAUSE}\n{place}"))
    # The pair that changes is refreshed as well, or it is left out, so that only its own mark can do.
    commit_in_a_pause(committed, connect, change, ALL_STALE if function == "gaq.refresh" else A_STALE)
    assert wrong(committed) <= stale(committed)
    drain(committed)
    assert_fresh(committed)


COMPUTED = (
    "from gaq.compute_apart("
    "(select array_agg(data_pass_id) from present), (select array_agg(run_number) from present)) f"
)
COMPUTED_EARLY = "from pg_temp.early f join present using (data_pass_id, run_number)"
ALL_PAIRS = "select array_agg(data_pass_id), array_agg(run_number) into passes, runs from gaq.source_pairs;"
EARLY = "create temporary table early on commit drop as select * from gaq.compute_apart"
DELETED = "delete from gaq.invalidations i\n        where i.ctid"
RETURNED = "\n        returning i.data_pass_id, i.run_number, i.invalidated_at, i.cause"
SEEN = "select i.data_pass_id, i.run_number, i.invalidated_at, i.cause from gaq.invalidations i\n        where i.ctid"
DELETED_LATER = """
    delete from gaq.invalidations i using unnest(passes, runs) c (data_pass_id, run_number)
    where (i.data_pass_id, i.run_number) = (c.data_pass_id, c.run_number) and """

MUTANTS = {
    "computes before it deletes": [
        ("    with folded as (", f"{EARLY}(passes, runs);\n{PAUSE}\n    with folded as ("),
        (COMPUTED, COMPUTED_EARLY),
    ],
    "computes before it claims": [
        (
            "    expanded := gaq.expand();\n    loop",
            f"expanded := gaq.expand();\n{ALL_PAIRS}\n{EARLY}(passes, runs);\n{PAUSE}\nloop",
        ),
        (COMPUTED, COMPUTED_EARLY),
    ],
    "deletes marks up to a time": [
        (DELETED, SEEN),
        (RETURNED, ""),
        ("    if announce then", f"{PAUSE}{DELETED_LATER} i.invalidated_at <= at;\n    if announce then"),
    ],
    "deletes marks up to the last one seen": [
        (DELETED, SEEN),
        (RETURNED, ""),
        ("    why text[];", "    why text[];\n    last_seen bigint;"),
        ("    with folded as (", "select max(id) into last_seen from gaq.invalidations;\n    with folded as ("),
        ("    if announce then", f"{PAUSE}{DELETED_LATER} i.id <= last_seen;\n    if announce then"),
    ],
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_refresh_in_another_order_loses(
    committed: Connection[Any], connect: Connect, mutant: list[tuple[str, str]]
) -> None:
    committed.execute("ALTER TABLE gaq.invalidations ADD id bigint GENERATED ALWAYS AS IDENTITY")
    alter(committed, "gaq.refresh", *mutant)
    commit_in_a_pause(committed, connect, CHANGES["a flag"])
    assert wrong(committed) == {D}
    assert stale(committed) == set()


@pytest.mark.parametrize("change", ["a flag type", "a verification", "a run"])
def test_expanding_up_to_a_number_loses(committed: Connection[Any], connect: Connect, change: str) -> None:
    """A number that comes before those seen may still be committed later."""
    place = "delete from gaq.wide_invalidations where id = any (ids)"
    alter(
        committed,
        "gaq.expand",
        (place, f"{PAUSE}\ndelete from gaq.wide_invalidations where id <= (select max(id) from unnest(ids) id)"),
    )
    commit_in_a_pause(committed, connect, CHANGES[change], A_STALE)
    drain(committed)
    assert D in wrong(committed)
    assert stale(committed) == set()


@pytest.mark.parametrize("refresh", ["refresh", "refresh_in_one_statement"])
def test_old_does_not_overwrite_new(committed: Connection[Any], connect: Connect, refresh: str) -> None:
    """One worker comes too late to claim a pair; the one that has it sees a change that came later.

    A worker that waits for its claim, and then goes on in the same statement, overwrites with what
    its older snapshot holds.
    """
    committed.execute((Path(__file__).parent / "one_statement.sql").read_bytes())
    committed.execute("UPDATE gaq_summaries SET invalidated_at = now() WHERE run_number = 103")
    first, second = connect(), connect(autocommit=True)
    first.execute("SELECT FROM gaq.summaries WHERE run_number = 103 FOR NO KEY UPDATE")
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(second.execute, f"SELECT FROM gaq.{refresh}()".encode())
        assert waits(committed, second, running) == (refresh == "refresh_in_one_statement")
        committed.execute(CHANGES["a flag"])
        first.execute("SELECT FROM gaq.refresh()")
        first.commit()
        running.result(timeout=20)
    assert stale(committed) == set()
    assert wrong(committed) == (set() if refresh == "refresh" else {D})


def test_a_pair_that_changes_while_it_is_refreshed_stays_stale(committed: Connection[Any], connect: Connect) -> None:
    """Another worker leaves it alone until the first has committed."""
    first, second = connect(), connect(autocommit=True)
    committed.execute("UPDATE qc_flags SET flag_type_id = 3 WHERE id IN (31, 41)")
    assert len(first.execute("SELECT FROM gaq.refresh()").fetchall()) == 2
    committed.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 41")
    committed.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 11")
    refreshed = second.execute("SELECT data_pass_id, run_number FROM gaq.refresh()").fetchall()
    assert refreshed == [A]
    first.commit()
    assert wrong(committed) == stale(committed) == {D}
    drain(committed)
    assert_fresh(committed)


def test_workers_do_not_wait_for_each_other(committed: Connection[Any], connect: Connect) -> None:
    """Not for wide marks, nor for pairs, nor for rows of pairs that are new: each does what it can."""
    first, second = connect(), connect(autocommit=True)
    committed.execute("UPDATE qc_flag_types SET mc_reproducible = false WHERE id = 3")
    committed.execute("INSERT INTO data_pass_runs VALUES (3, 104)")
    first.execute("SELECT FROM gaq.refresh()")
    committed.execute("INSERT INTO data_pass_runs VALUES (2, 104)")
    committed.execute("INSERT INTO qc_flag_verifications (flag_id) VALUES (12)")
    second.execute("SET lock_timeout = '1 s'")
    refreshed = second.execute("SELECT data_pass_id, run_number FROM gaq.refresh()").fetchall()
    assert refreshed == [A]
    first.commit()
    assert wrong(committed) == stale(committed) == {(2, 104)}
    drain(committed)
    assert_fresh(committed)


def test_a_rolled_back_refresh_leaves_everything_stale(committed: Connection[Any], connect: Connect) -> None:
    committed.execute(
        "UPDATE qc_flag_types SET bad = true WHERE id = 1; DELETE FROM data_pass_runs WHERE run_number = 101"
    )
    before = stored(committed)
    worker = connect()
    worker.execute("SELECT FROM gaq.refresh()")
    assert stale(worker) == set()
    worker.rollback()
    assert stored(committed) == before
    assert stale(committed) == before.keys()


def test_a_pair_that_left_is_not_seeded_again(committed: Connection[Any], connect: Connect) -> None:
    """One worker removes the summary of a pair that has left, while another adds rows for pairs that
    are new. It neither waits nor brings the removed row back, which no mark would ever remove."""
    committed.execute("DELETE FROM data_pass_runs WHERE run_number = 103")
    first, second = connect(), connect(autocommit=True)
    first.execute("SELECT FROM gaq.refresh()")
    committed.execute("INSERT INTO data_pass_runs VALUES (3, 104)")
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(second.execute, "SELECT FROM gaq.refresh()")
        waited = waits(committed, second, running)
        first.commit()
        running.result(timeout=20)
    assert stored(committed).keys() == pairs(committed)
    assert_fresh(committed)
    assert not waited
