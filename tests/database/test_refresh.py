"""Which pairs a refresh takes, and when the next is due."""

from typing import Any

import pytest
from psycopg import Connection

from tests.conftest import Connect

MARK = """
insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
values (%s, %s, clock_timestamp() - %s * interval '1 ms', 'test')
"""
PACE = "debounce => '100 ms', max_wait => '1 s'"


def mark(db: Connection[Any], data_pass_id: int, run_number: int, *milliseconds_ago: float) -> None:
    for ago in milliseconds_ago:
        db.execute(MARK, (data_pass_id, run_number, ago))


def refreshed_ago(db: Connection[Any], milliseconds: float) -> None:
    db.execute("update gaq.summaries set updated_at = clock_timestamp() - %s * interval '1 ms'", (milliseconds,))


def runs(db: Connection[Any], call: str) -> list[int]:
    return [row[0] for row in db.execute(f"select run_number from {call}".encode()).fetchall()]


@pytest.mark.parametrize(
    ("first", "last", "refreshed", "due"),
    [
        (1000, 1000, None, 1000),  # never refreshed: at once
        (1000, 1050, 900, 1000),  # was quiet: at once, whatever came after
        (1000, 1000, 901, 1100),  # had just been refreshed: after 100 ms of quiet
        (1000, 1700, 990, 1800),
        (1000, 1950, 990, 2000),  # but not more than a second after the first mark
        (1000, 9000, 990, 2000),
        (1000, 1000, 5000, 1100),  # refreshed in the future: the clock was set back
    ],
)
def test_due_at(db: Connection[Any], first: int, last: int, refreshed: int | None, due: int) -> None:
    at = "'2026-01-01 00:00Z'::timestamptz + %s::int * interval '1 ms'"
    query = f"select gaq.due_at({at}, {at}, {at}, '100 ms', '1 s') = {at}"
    assert db.execute(query.encode(), (first, last, refreshed, due)).fetchone() == (True,)


def test_first_come_first_served_by_the_first_mark(period: Connection[Any]) -> None:
    mark(period, 1, 503, 300)
    mark(period, 1, 501, 500, 1)
    mark(period, 1, 502, 400, 200, 2)
    assert runs(period, "gaq.refresh(2)") == [501, 502]
    assert runs(period, "gaq.refresh(2)") == [503]


def test_a_pair_that_was_just_refreshed_waits_and_one_that_was_quiet_does_not(period: Connection[Any]) -> None:
    refreshed_ago(period, 40)
    mark(period, 1, 501, 20)
    assert runs(period, f"gaq.refresh({PACE})") == []
    (due,) = period.execute(f"select gaq.next_due({PACE})".encode()).fetchall()
    assert 0 < due[0] <= 0.08

    refreshed_ago(period, 5000)
    assert period.execute(f"select gaq.next_due({PACE})".encode()).fetchone() == (0,)
    assert runs(period, f"gaq.refresh({PACE})") == [501]
    assert period.execute(f"select gaq.next_due({PACE})".encode()).fetchone() == (None,)


def test_a_pair_that_is_marked_on_and_on_waits_at_most_so_long(period: Connection[Any]) -> None:
    refreshed_ago(period, 1100)
    mark(period, 1, 501, *range(1050, 0, -50))
    assert runs(period, f"gaq.refresh({PACE})") == [501]


def test_a_mark_from_the_future_is_due(period: Connection[Any]) -> None:
    """The server's clock was set back by an hour: its marks must not wait for an hour."""
    refreshed_ago(period, 10)
    mark(period, 1, 501, -3_600_000)
    assert runs(period, f"gaq.refresh({PACE})") == [501]


def test_a_pair_with_very_many_marks_does_not_hide_the_others(period: Connection[Any]) -> None:
    period.execute(
        "insert into gaq.invalidations (data_pass_id, run_number, cause)"
        " select 1, 501, 'x' from generate_series(1, 5000)"
    )
    mark(period, 1, 502, 0)
    mark(period, 1, 503, 0)
    assert runs(period, "gaq.refresh(3)") == [501, 502, 503]
    assert period.execute("select count(*) from gaq.invalidations").fetchone() == (0,)


def test_pairs_that_were_marked_at_one_time_are_refreshed_by_data_pass(period: Connection[Any]) -> None:
    """Most runs of a few data passes cost less than a few runs of each, see ``gaq.source_reads_data_pass``."""
    period.execute(
        "insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)"
        " select 1 + n % 10, 1000 + n / 10, now() - interval '1 h', 'x' from generate_series(0, 899) n"
    )
    mark(period, 7, 501, 7_200_000)
    pairs = "select data_pass_id, run_number from gaq.refresh(151)"
    first = [(data_pass, 1000 + number) for data_pass in (1, 2) for number in range(90)]
    assert set(period.execute(pairs).fetchall()) == {(7, 501), *first[:150]}


def test_a_wide_mark_is_expanded_by_data_pass(period: Connection[Any]) -> None:
    period.execute("insert into data_passes (id, name) select n, 'P' || n from generate_series(11, 19) n")
    period.execute(
        "insert into data_pass_runs (data_pass_id, run_number)"
        " select p.id, run_number from data_passes p, runs where p.id > 10 order by run_number, p.id desc"
    )
    period.execute("truncate gaq.invalidations, gaq.wide_invalidations")
    period.execute("insert into gaq.wide_invalidations (kind, cause) values ('everything', 'test')")
    period.execute("select gaq.expand()")
    expanded = period.execute("select data_pass_id, run_number from gaq.invalidations order by ctid").fetchall()
    assert expanded == sorted(expanded)
    assert len(expanded) > 30


def test_behind_a_long_backlog_an_eighth_of_a_batch_is_for_the_newest_marks(period: Connection[Any]) -> None:
    period.execute(
        "insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)"
        " select 1, 10000 + n, now() - interval '1 h' + n * interval '1 ms', 'x' from generate_series(1, 3000) n"
    )
    # What it had been marked for before does not make it any newer.
    mark(period, 1, 502, 1000)
    mark(period, 1, 501, 500)
    mark(period, 1, 502, 0)
    oldest, newest = list(range(10001, 10072)), list(range(12994, 13001))
    assert runs(period, "gaq.refresh(80)") == [*oldest, *newest, 502, 501]
    # However much comes, the oldest go on.
    mark(period, 1, 503, *range(100))
    assert runs(period, "gaq.refresh(80)") == [*range(10072, 10151), 503]


@pytest.mark.parametrize(("max_pairs", "first_left", "last_left"), [(80, 11001, 14876), (200, 12001, 14751)])
def test_behind_many_wide_marks_an_eighth_is_for_the_newest(
    period: Connection[Any], max_pairs: int, first_left: int, last_left: int
) -> None:
    period.execute(
        "insert into gaq.wide_invalidations (kind, key, invalidated_at, cause)"
        " select 'run', n, now() - interval '1 h' + n * interval '1 ms', 'x' from generate_series(10001, 15000) n;"
        "insert into gaq.wide_invalidations (kind, key, cause) values ('run', 502, 'x')"
    )
    assert runs(period, f"gaq.refresh({max_pairs})") == [502, 502]  # in two data passes
    left = "select min(key), max(key) from gaq.wide_invalidations"
    assert period.execute(left).fetchone() == (first_left, last_left)


def test_a_long_backlog_is_not_counted_exactly(period: Connection[Any]) -> None:
    backlog = "select stale_pairs, stale_since::text from gaq.backlog()"
    since = period.execute(
        "insert into gaq.wide_invalidations (kind, key, cause)"
        " select 'flag', id, 'x' from qc_flags where run_number = 501 returning invalidated_at::text"
    ).fetchone()
    assert since is not None
    assert period.execute(backlog.encode()).fetchone() == (2, *since)
    period.execute(
        "insert into gaq.wide_invalidations (kind, key, cause) select 'flag', -n, 'x' from generate_series(1, 1000) n"
    )
    # Not more than there are.
    assert period.execute(backlog.encode()).fetchone() == (10, *since)


def test_wide_marks_that_stand_for_nothing_do_not_hide_one_that_does(period: Connection[Any]) -> None:
    """It is neither among the oldest nor among the newest."""
    period.execute(
        "insert into gaq.wide_invalidations (kind, key, invalidated_at, cause)"
        " select case n when 1250 then 'run' else 'flag' end, case n when 1250 then 501 else -n end,"
        " now() + n * interval '1 ms', 'x' from generate_series(1, 2500) n"
    )
    assert runs(period, "gaq.refresh(100)") == [501, 501]
    assert period.execute("select count(*) from gaq.wide_invalidations").fetchone() == (2500 - 2 * (1000 + 125),)


def test_what_another_worker_has_claimed_is_left_to_it_and_counts_as_due(
    period: Connection[Any], connect: Connect
) -> None:
    mark(period, 1, 501, 30)
    mark(period, 1, 502, 20)
    other = connect()
    assert runs(other, "gaq.refresh(1)") == [501]
    assert runs(period, "gaq.refresh(10)") == [502]
    assert period.execute("select gaq.next_due()").fetchone() == (0,)
    other.rollback()
    assert runs(period, "gaq.refresh(10)") == [501]


def test_many_that_others_have_claimed_do_not_hide_the_rest(period: Connection[Any], connect: Connect) -> None:
    period.execute(
        "insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)"
        " select 1, 501, now() - interval '1 min', 'x' from generate_series(1, 3000)"
    )
    mark(period, 1, 502, 0)
    other = connect()
    assert runs(other, "gaq.refresh(1)") == [501]
    assert runs(period, "gaq.refresh(1)") == [502]


def test_what_was_and_what_is(period: Connection[Any]) -> None:
    period.execute("insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, 501, 1, 2)")
    row = period.execute(
        "select data_pass, causes, good_before, good_after, removed, seconds_stale between 0 and 60 from gaq.refresh()"
    ).fetchone()
    assert row == ("LHC22o_apass7", "flag", 1.0, 0.0, False, True)


def test_more_detectors_than_can_be_counted_are_refused(period: Connection[Any]) -> None:
    period.execute("insert into detectors (id, name) select n, 'D' || n from generate_series(100, 1200) n")
    period.execute("insert into gaq_detectors select 1, 501, n from generate_series(100, 1200) n")
    ((error, attempts),) = period.execute("select error, attempts from gaq.refresh()").fetchall()
    assert error == "run 501 in data pass 1 has 1103 GAQ detectors: at most 1023 can be counted"
    assert attempts == 1
