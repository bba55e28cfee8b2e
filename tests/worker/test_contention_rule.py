"""Test when a worker may hold the doorbell."""

from gaq_listen.worker.contention import FREQUENT, LONGEST_QUIET, SHORT, SHORTEST_QUIET, Contention

ANNA, BOB = frozenset({101}), frozenset({102})
"""The backends of two writers."""


def rung(contention: Contention, slept: float = 60.0, by: frozenset[int] = ANNA) -> None:
    """Record a wake-up of a worker that held the doorbell."""
    contention.record_wake_up(slept)
    contention.record_ringers(by)


def contended(now: float) -> Contention:
    """Return the rule of a worker that has given the doorbell up."""
    contention = Contention()
    rung(contention, by=ANNA | BOB)
    assert not contention.may_hold(now)
    return contention


def test_single_change_after_a_quiet_hour_is_no_contention() -> None:
    contention = Contention()
    for hour in range(10):
        rung(contention, slept=3600)
        assert contention.may_hold(hour * 3600.0)


def test_ring_of_a_second_writer_during_a_refresh_is_contention() -> None:
    contention = Contention()
    rung(contention)
    contention.record_ringers(BOB)  # Without a wait: under steady load there is none.
    assert not contention.may_hold(10.0)


def test_two_rings_of_one_writer_are_no_contention() -> None:
    contention = Contention()
    rung(contention)
    contention.record_ringers(ANNA)
    assert contention.may_hold(10.0)


def test_rings_of_different_holds_are_no_contention() -> None:
    contention = Contention()
    for second in range(100):
        rung(contention, slept=1.0, by=BOB if second % 2 else ANNA)
        assert contention.may_hold(float(second)), "one ring for each time that the worker held the doorbell"


def test_queue_for_the_notify_lock_is_contention_at_any_rate() -> None:
    """Record rings of writers that queue at a disk that takes a second for a flush: they ring once a second."""
    contention = Contention()
    rung(contention, slept=1.0)
    contention.record_queue()
    assert not contention.may_hold(10.0)


def test_short_sleeps_in_a_row_are_contention() -> None:
    contention = Contention()
    for number in range(1, FREQUENT):
        rung(contention, slept=SHORT / 2)
        assert contention.may_hold(float(number))
    rung(contention, slept=SHORT / 2)
    assert not contention.may_hold(10.0)


def test_longer_sleep_ends_the_row_of_short_ones() -> None:
    contention = Contention()
    for number in range(10 * FREQUENT):
        rung(contention, slept=SHORT if number % FREQUENT == 0 else SHORT / 2)
        assert contention.may_hold(float(number))


def test_doorbell_is_held_again_after_a_quiet_time() -> None:
    contention = contended(10.0)
    for tick in range(50):
        now = 10 + tick * SHORTEST_QUIET / 2
        contention.record_change(now)
        assert not contention.may_hold(now), "under steady load never"
    assert not contention.may_hold(now + SHORTEST_QUIET * 0.99)
    assert contention.may_hold(now + SHORTEST_QUIET)


def test_rings_while_polling_do_not_count_later() -> None:
    contention = contended(10.0)
    contention.record_ringers(ANNA | BOB)
    contention.record_queue()
    now = 10 + SHORTEST_QUIET
    assert contention.may_hold(now)
    rung(contention, slept=1.0)
    assert contention.may_hold(now + 1)


def test_quiet_time_grows_while_contention_comes_back_soon() -> None:
    contention = Contention()
    now = 0.0
    waits = []
    for _ in range(6):
        rung(contention, slept=0.0, by=ANNA | BOB)
        assert not contention.may_hold(now)
        given_up = now
        while not contention.may_hold(now):
            now += 0.25
        waits.append(now - given_up)
    assert waits == [SHORTEST_QUIET, 2, 4, LONGEST_QUIET, LONGEST_QUIET, LONGEST_QUIET]
    now += 2 * LONGEST_QUIET
    rung(contention, by=ANNA | BOB)
    assert not contention.may_hold(now)
    assert contention.may_hold(now + SHORTEST_QUIET)
