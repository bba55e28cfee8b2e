"""Two refreshes at once, and one that is rolled back. (What happens in the middle of one is in ``tests/proof``.)"""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from tests.conftest import Connect
from tests.support.small_world import A, D, assert_fresh, wrong
from tests.support.tables import drain, stale, stored


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
