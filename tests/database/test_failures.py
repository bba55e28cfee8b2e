"""A pair that cannot be computed holds nobody up, keeps its value and its mark, and is tried again."""

from typing import Any

import pytest
from psycopg import Connection, errors

from tests.conftest import Connect
from tests.support.small_period import BAD_FLAG
from tests.support.tables import drain
from tests.support.uncomputable_pairs import heal, poison

REFRESH = "select data_pass_id, run_number, error is null from gaq.refresh(100, announce => false)"

TROUBLE = """
create function public.trouble() returns int language plpgsql as
$$ begin raise exception 'trouble' using errcode = '{state}'; end $$;
create or replace view gaq.source_runs as
select run_number, qc_time_start, qc_time_end from runs where public.trouble() is null;
"""


def refreshed(db: Connection[Any], call: str = REFRESH) -> dict[tuple[int, int], bool]:
    """The pairs of a batch, and whether each could be computed."""
    return {(row[0], row[1]): row[2] for row in db.execute(call.encode()).fetchall()}


def failures(db: Connection[Any]) -> dict[int, int]:
    """Attempts by run."""
    return dict(db.execute("select run_number, attempts from gaq.failures").fetchall())


def make_due(db: Connection[Any]) -> None:
    db.execute("update gaq.failures set next_try_at = clock_timestamp()")


def stale_runs(db: Connection[Any]) -> list[int]:
    return [row[0] for row in db.execute("select run_number from gaq.pending order by 1").fetchall()]


@pytest.mark.parametrize("culprits", [(501,), (503,), (505,), (501, 502), (501, 502, 503, 504, 505)])
def test_culprits_fail_and_the_rest_of_the_batch_is_stored(period: Connection[Any], culprits: tuple[int, ...]) -> None:
    for run in range(501, 506):
        period.execute(BAD_FLAG, (1, run))
    poison(period, 1, *culprits)
    assert refreshed(period) == {(1, run): run not in culprits for run in range(501, 506)}
    assert failures(period) == dict.fromkeys(culprits, 1)
    assert stale_runs(period) == list(culprits)
    good = period.execute(
        "select run_number, explicitly_not_bad_run_coverage from gaq.summaries where data_pass_id = 1"
    ).fetchall()
    assert dict(good) == {run: 1.0 if run in culprits else 0.0 for run in range(501, 506)}


def test_it_stays_stale_since_its_first_mark(period: Connection[Any]) -> None:
    poison(period, 1, 501)
    before = period.execute("select invalidated_at from gaq_summaries where (data_pass_id, run_number) = (1, 501)")
    since = before.fetchone()
    for _ in range(3):
        refreshed(period)
        make_due(period)
    marks = period.execute("select invalidated_at from gaq.invalidations").fetchall()
    assert marks == [since]


def test_it_is_not_tried_before_its_time_and_then_it_is(period: Connection[Any]) -> None:
    poison(period, 1, 501)
    refreshed(period)
    assert refreshed(period) == {}
    ((due,),) = period.execute("select gaq.next_due('100 ms', '1 s')").fetchall()
    assert 0 < due < 1.26
    make_due(period)
    assert period.execute("select gaq.next_due('100 ms', '1 s')").fetchone() == (0,)
    assert refreshed(period) == {(1, 501): False}
    assert failures(period) == {501: 2}


def test_a_new_mark_tries_at_once(period: Connection[Any]) -> None:
    poison(period, 1, 501)
    refreshed(period)
    period.execute("update gaq.failures set next_try_at = clock_timestamp() + interval '1 h'")
    heal(period)
    assert period.execute("select gaq.next_due('0', '0')").fetchone() == (0,)
    assert refreshed(period) == {(1, 501): True}
    assert failures(period) == {}
    assert stale_runs(period) == []


def test_a_clock_that_was_set_back_does_not_put_the_next_try_off(period: Connection[Any]) -> None:
    poison(period, 1, 501)
    refreshed(period)
    period.execute(
        "update gaq.failures"
        " set last_failed_at = last_failed_at + interval '1 h', next_try_at = next_try_at + interval '1 h'"
    )
    assert period.execute("select gaq.next_due('0', '0')").fetchone() == (0,)
    assert refreshed(period) == {(1, 501): False}


def test_the_pauses_double_up_to_five_minutes(period: Connection[Any]) -> None:
    poison(period, 1, 501)
    pauses = []
    for _ in range(14):
        ((pause,),) = period.execute("select next_try from gaq.refresh()").fetchall()
        pauses.append(pause)
        make_due(period)
    for attempt, pause in enumerate(pauses):
        assert 0.75 <= pause / min(300, 2**attempt) <= 1.25, attempt
    assert len({round(pause, 6) for pause in pauses[-4:]}) == 4  # with jitter


def test_one_that_leaves_is_forgotten(period: Connection[Any]) -> None:
    poison(period, 1, 501)
    refreshed(period)
    period.execute("delete from data_pass_runs where (data_pass_id, run_number) = (1, 501)")
    drain(period)
    assert failures(period) == {}
    assert period.execute("select count(*) from gaq_summaries where run_number = 501").fetchone() == (1,)


def test_many_that_fail_do_not_hide_one_that_can_be_computed(period: Connection[Any]) -> None:
    poison(period, 1, 501, 502, 503, 504, 505)
    refreshed(period)
    period.execute(BAD_FLAG, (2, 505))
    assert refreshed(period, "select data_pass_id, run_number, true from gaq.refresh(1)") == {(2, 505): True}


def test_a_missing_right_fails_each_pair_and_heals_by_itself(period: Connection[Any]) -> None:
    period.execute("update gaq_summaries set invalidated_at = now()")
    period.execute("revoke select on qc_flags from gaq_owner")
    rows = period.execute("select error from gaq.refresh()").fetchall()
    assert rows == [("permission denied for table qc_flags",)] * 10
    period.execute("grant select on qc_flags to gaq_owner")
    make_due(period)
    assert set(refreshed(period).values()) == {True}


@pytest.mark.parametrize("state", ["53200", "40P01", "55P03", "57P01"])
def test_what_is_no_pairs_fault_fails_none(period: Connection[Any], state: str) -> None:
    period.execute("update gaq_summaries set invalidated_at = now()")
    period.execute(TROUBLE.format(state=state).encode())
    with pytest.raises(errors.lookup(state)):
        period.execute("select from gaq.refresh()")
    assert failures(period) == {}
    assert len(stale_runs(period)) == 10


def test_one_that_the_server_ended_is_noted_by_its_worker(period: Connection[Any], connect: Connect) -> None:
    period.execute(BAD_FLAG, (1, 501))
    period.execute(BAD_FLAG, (1, 501))
    noted = period.execute(
        "select attempts, next_try from gaq.record_failure(1, 501, 'took too long', '57014')"
    ).fetchone()
    assert noted is not None
    assert noted[0] == 1
    assert period.execute("select count(*), min(cause) from gaq.invalidations").fetchone() == (1, "flag")
    assert refreshed(period) == {}

    # Neither one that is fresh, nor one that another worker has just claimed.
    assert period.execute("select from gaq.record_failure(1, 502, 'x', '57014')").fetchall() == []
    period.execute(BAD_FLAG, (1, 503))
    other = connect()
    other.execute("select from gaq.refresh()")
    assert period.execute("select from gaq.record_failure(1, 503, 'x', '57014')").fetchall() == []
    assert failures(period) == {501: 1}


def test_some_pairs_and_no_others_are_refreshed_whatever_their_pace(period: Connection[Any]) -> None:
    for run in (501, 502, 503):
        period.execute(BAD_FLAG, (1, run))
    these = "array[1, 1, 9], array[502, 504, 501]"
    call = f"select data_pass_id, run_number, true from gaq.refresh(10, '1 h', '2 h', false, 'me', {these})"
    assert refreshed(period, call) == {(1, 502): True}
    assert stale_runs(period) == [501, 503]
    assert period.execute(
        "select refreshed_for, refreshed_by from gaq.summaries where run_number = 502 and data_pass_id = 1"
    ).fetchone() == ("flag", "me")


def test_failing_pairs_are_not_announced(period: Connection[Any], connect: Connect) -> None:
    listener = connect(autocommit=True)
    listener.execute("listen gaq_refreshed")
    period.execute(BAD_FLAG, (1, 502))
    poison(period, 1, 501)
    period.execute("select from gaq.refresh()")
    assert [notice.payload for notice in listener.notifies(timeout=20, stop_after=1)] == ["[[1, 502]]"]
