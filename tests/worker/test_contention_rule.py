"""Test when a worker may hold the doorbell."""

import pytest

from gaq_listen.worker.contention import FEW, LONGEST_QUIET, RECENT, SHARED, SHORT, SHORTEST_QUIET, Contention

ANNA, BOB = frozenset({101}), frozenset({102})
"""The backends of two writers."""


def wake(contention: Contention, slept: float = 60.0, by: frozenset[int] = ANNA) -> None:
    """Record a wake-up of a worker that held the doorbell."""
    contention.record_wake_up(slept)
    contention.record_ringers(by)


def contended(now: float) -> Contention:
    """Return the rule of a worker that has given the doorbell up."""
    contention = Contention()
    contention.record_queue()
    assert not contention.may_hold(now)
    return contention


def poll(contention: Contention, now: float, seconds: float, share: float = 0.0, pairs: int = 1) -> list[float]:
    """Poll 50 times a second, find ``pairs`` in a share of the polls, and return when the worker might hold again."""
    held = []
    for tick in range(1, round(50 * seconds) + 1):
        if int(tick * share) > int((tick - 1) * share):
            contention.record_change(pairs)
        if contention.may_hold(now + tick / 50):
            held.append(now + tick / 50)
    return held


def test_single_change_after_a_quiet_hour_is_no_contention() -> None:
    contention = Contention()
    for hour in range(10 * RECENT):
        wake(contention, slept=3600)
        assert contention.may_hold(hour * 3600.0)


def test_queue_for_the_notify_lock_is_contention_at_any_rate() -> None:
    """Record a queue of writers at a disk that takes a second for a flush: they ring once a second."""
    contention = Contention()
    wake(contention, slept=1.0)
    contention.record_queue()
    assert not contention.may_hold(10.0)


def test_repeated_rings_of_several_writers_are_contention() -> None:
    contention = Contention()
    for number in range(SHARED):
        assert contention.may_hold(float(number))
        wake(contention)
        contention.record_ringers(BOB)  # Without a wait: under steady load there is none.
    assert not contention.may_hold(10.0)


def test_ring_of_a_second_writer_now_and_then_is_no_contention() -> None:
    contention = Contention()
    for number in range(10 * RECENT):
        wake(contention, by=ANNA | BOB if number % RECENT == 0 else ANNA)
        assert contention.may_hold(float(number))


def test_two_rings_of_one_writer_are_no_contention() -> None:
    contention = Contention()
    for number in range(10 * RECENT):
        wake(contention)
        contention.record_ringers(ANNA)
        assert contention.may_hold(float(number))


def test_rings_of_different_holds_are_no_contention() -> None:
    contention = Contention()
    for second in range(10 * RECENT):
        wake(contention, slept=1.0, by=BOB if second % 2 else ANNA)
        assert contention.may_hold(float(second)), "one ring for each time that the worker held the doorbell"


def test_short_sleeps_in_a_row_are_contention() -> None:
    contention = Contention()
    for number in range(1, RECENT):
        wake(contention, slept=SHORT / 2)
        assert contention.may_hold(float(number))
    wake(contention, slept=SHORT / 2)
    assert not contention.may_hold(10.0)


def test_changes_twice_as_rare_as_polls_are_no_contention() -> None:
    contention = Contention()
    for number in range(10 * RECENT):
        wake(contention, slept=4 * SHORT if number % 2 else 0.0)
        assert contention.may_hold(float(number))


def test_doorbell_is_held_again_after_a_quiet_time() -> None:
    contention = contended(10.0)
    assert poll(contention, 10.0, SHORTEST_QUIET)[:1] == [10 + SHORTEST_QUIET]


def test_doorbell_is_held_again_while_changes_are_few() -> None:
    contention = contended(10.0)
    assert poll(contention, 10.0, SHORTEST_QUIET, share=0.4)[:1] == [10 + SHORTEST_QUIET]


@pytest.mark.parametrize(("share", "pairs"), [(0.6, 1), (0.6, 0), (0.1, FEW // 4), (0.02, FEW)])
def test_doorbell_is_not_held_while_changes_are_many(share: float, pairs: int) -> None:
    contention = contended(10.0)
    assert poll(contention, 10.0, 60.0, share, pairs) == []
    assert poll(contention, 70.0, SHORTEST_QUIET + 1)[:1] == [70 + SHORTEST_QUIET]


def test_rings_while_polling_do_not_count_later() -> None:
    contention = contended(10.0)
    contention.record_ringers(ANNA | BOB)
    contention.record_queue()
    now = 10 + SHORTEST_QUIET
    assert contention.may_hold(now)
    for _ in range(RECENT):
        wake(contention, slept=1.0)
        now += 1
        assert contention.may_hold(now)


def test_quiet_time_grows_while_contention_comes_back_soon() -> None:
    contention = Contention()
    now = 0.0
    waits = []
    for _ in range(6):
        contention.record_queue()
        assert not contention.may_hold(now)
        given_up = now
        while not contention.may_hold(now):
            now += 0.25
        waits.append(now - given_up)
    assert waits == [SHORTEST_QUIET, 2, 4, LONGEST_QUIET, LONGEST_QUIET, LONGEST_QUIET]
    now += 2 * LONGEST_QUIET
    contention.record_queue()
    assert not contention.may_hold(now)
    assert contention.may_hold(now + SHORTEST_QUIET)


def test_contention_that_comes_back_within_two_longest_quiets_is_soon() -> None:
    contention = contended(10.0)
    assert poll(contention, 10.0, SHORTEST_QUIET)[:1] == [10 + SHORTEST_QUIET]
    again = 10 + SHORTEST_QUIET + 2 * LONGEST_QUIET - 1
    contention.record_queue()
    assert not contention.may_hold(again)
    assert poll(contention, again, 2 * SHORTEST_QUIET)[:1] == [again + 2 * SHORTEST_QUIET]


@pytest.mark.parametrize(("slept", "by", "wake_ups"), [(60.0, ANNA | BOB, SHARED), (SHORT / 2, ANNA, RECENT)])
def test_wake_ups_before_polling_do_not_count_later(slept: float, by: frozenset[int], wake_ups: int) -> None:
    contention = Contention()
    held = True
    for number in range(wake_ups):
        assert held
        wake(contention, slept, by)
        held = contention.may_hold(float(number))
    assert not held
    assert len(poll(contention, wake_ups - 1.0, SHORTEST_QUIET + 1)) == 51, "from the end of the quiet time on"
    wake(contention, slept, by)
    assert contention.may_hold(100.0)


def test_drains_without_a_ring_do_not_hide_repeated_rings_of_several() -> None:
    contention = Contention()
    for number in range(SHARED):
        for drain in range(2 * RECENT):
            assert contention.may_hold(number + drain / 100)
        wake(contention, by=ANNA | BOB)
    assert not contention.may_hold(10.0)


def test_many_changes_are_counted_by_the_second_when_polls_are_rare() -> None:
    contention = contended(10.0)
    for tick in range(1, 4):
        assert not contention.may_hold(10 + tick / 10)
    contention.record_change(FEW)
    assert contention.may_hold(10 + 4 * SHORTEST_QUIET)
