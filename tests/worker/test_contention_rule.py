"""When a worker may hold the doorbell."""

from gaq_listen.worker.contention import FREQUENT, LONGEST_QUIET, SHORT, SHORTEST_QUIET, Contention

ANNA, BOB = frozenset({101}), frozenset({102})
"""Their backends."""


def rung(contention: Contention, slept: float = 60.0, by: frozenset[int] = ANNA) -> None:
    """One wake-up of a worker that held the doorbell."""
    contention.record_wake_up(slept)
    contention.record_ringers(by)


def contended(now: float) -> Contention:
    """A worker that has given the doorbell up."""
    contention = Contention()
    rung(contention, by=ANNA | BOB)
    assert not contention.may_hold(now)
    return contention


def test_a_single_change_after_a_quiet_hour_is_no_contention() -> None:
    contention = Contention()
    for hour in range(10):
        rung(contention, slept=3600)
        assert contention.may_hold(hour * 3600.0)


def test_rings_that_arrive_while_the_worker_refreshes_are_contention() -> None:
    contention = Contention()
    rung(contention)
    contention.record_ringers(BOB)  # heard without any wait: under steady load there is none
    assert not contention.may_hold(10.0)


def test_a_writer_that_rings_twice_contends_with_nobody() -> None:
    contention = Contention()
    rung(contention)
    contention.record_ringers(ANNA)
    assert contention.may_hold(10.0)


def test_rings_are_counted_from_one_hold_to_the_next() -> None:
    contention = Contention()
    for second in range(100):
        rung(contention, slept=1.0, by=BOB if second % 2 else ANNA)
        assert contention.may_hold(float(second)), "one ring for each time that the worker held the doorbell"


def test_a_queue_for_the_lock_is_contention_however_slowly_writers_ring() -> None:
    """On a disk that takes a second, writers that queue ring once a second: no rate shows that."""
    contention = Contention()
    rung(contention, slept=1.0)
    contention.record_queue()
    assert not contention.may_hold(10.0)


def test_a_few_short_sleeps_in_a_row_are_contention() -> None:
    contention = Contention()
    for number in range(1, FREQUENT):
        rung(contention, slept=SHORT / 2)
        assert contention.may_hold(float(number))
    rung(contention, slept=SHORT / 2)
    assert not contention.may_hold(10.0)


def test_a_longer_sleep_in_between_ends_the_row() -> None:
    contention = Contention()
    for number in range(10 * FREQUENT):
        rung(contention, slept=SHORT if number % FREQUENT == 0 else SHORT / 2)
        assert contention.may_hold(float(number))


def test_the_doorbell_is_held_again_once_nothing_has_changed_for_a_while() -> None:
    contention = contended(10.0)
    for tick in range(50):
        now = 10 + tick * SHORTEST_QUIET / 2
        contention.record_change(now)
        assert not contention.may_hold(now), "under steady load never"
    assert not contention.may_hold(now + SHORTEST_QUIET * 0.99)
    assert contention.may_hold(now + SHORTEST_QUIET)


def test_rings_while_it_polls_do_not_count_later() -> None:
    contention = contended(10.0)
    contention.record_ringers(ANNA | BOB)
    contention.record_queue()
    now = 10 + SHORTEST_QUIET
    assert contention.may_hold(now)
    rung(contention, slept=1.0)
    assert contention.may_hold(now + 1)


def test_contention_that_comes_back_soon_makes_it_wait_longer_and_later_is_forgotten() -> None:
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
