"""Test how a worker waits, in each state."""

from math import inf

import pytest

from gaq_listen.worker.waiting import (
    BUSY_TICK,
    CHECK_HOLDER,
    CHECK_PAUSE,
    LONGEST_BUSY_TICK,
    LONGEST_TICK,
    MANY,
    REST_SHARE,
    RETRY_CLAIMED,
    SHORTEST_TICK,
    TICK,
    DoorbellState,
    Mode,
    PollInterval,
    Wait,
    WaitState,
    next_wait,
)

HELD, OTHER, NOT_HELD = DoorbellState.HELD, DoorbellState.HELD_BY_OTHER, DoorbellState.NOT_HELD
GIVEN_UP, UNAVAILABLE = DoorbellState.GIVEN_UP, DoorbellState.UNAVAILABLE
MAY_HOLD = (HELD, OTHER, NOT_HELD)


@pytest.mark.parametrize(
    ("doorbell", "next_due", "expected"),
    [
        (HELD, None, Wait(Mode.LISTENING, None)),
        (HELD, 0.07, Wait(Mode.LISTENING, 0.07)),
        (HELD, 0, Wait(Mode.LISTENING, 0)),
        (OTHER, None, Wait(Mode.FOLLOWING, CHECK_HOLDER)),
        (OTHER, 0, Wait(Mode.LISTENING, 0)),
        (OTHER, 0.07, Wait(Mode.LISTENING, 0.07)),
        (OTHER, 5.0, Wait(Mode.LISTENING, CHECK_HOLDER)),
        (NOT_HELD, None, Wait(Mode.LISTENING, 0.1)),
        (NOT_HELD, 0.07, Wait(Mode.LISTENING, 0.07)),
        (NOT_HELD, 5.0, Wait(Mode.LISTENING, 0.1)),
        (NOT_HELD, 0, Wait(Mode.LISTENING, TICK)),
        (UNAVAILABLE, None, Wait(Mode.POLLING, 0.1)),
        (UNAVAILABLE, 0, Wait(Mode.POLLING, 0.1)),
    ],
)
def test_wait_without_contention(doorbell: DoorbellState, next_due: float | None, expected: Wait) -> None:
    assert next_wait(WaitState(doorbell, next_due, rest=0.1)) == expected


@pytest.mark.parametrize(
    ("next_due", "since_change", "seconds"),
    [
        (None, inf, LONGEST_TICK),
        (None, 0.0, TICK),
        (None, 0.03 / REST_SHARE, 0.03),
        (0, inf, TICK),
        (0.07, inf, 0.07),
        (0.07, 0.03 / REST_SHARE, 0.03),
        (5.0, inf, LONGEST_TICK),
    ],
)
def test_wait_after_a_poll_that_found_nothing(next_due: float | None, since_change: float, seconds: float) -> None:
    assert next_wait(WaitState(GIVEN_UP, next_due, since_change=since_change)) == Wait(Mode.POLLING, seconds)


@pytest.mark.parametrize(
    ("found", "took", "seconds"),
    [
        (1, 0.0, TICK),
        (1, 0.004, TICK - 0.004),
        (1, 0.04, SHORTEST_TICK),
        (MANY // 2, 0.0, BUSY_TICK / 2),
        (MANY, 0.0, BUSY_TICK),
        (MANY, 0.12, 0.12),
        (MANY, 3.0, LONGEST_BUSY_TICK),
    ],
)
def test_wait_after_a_poll_that_found_pairs(found: int, took: float, seconds: float) -> None:
    wait = next_wait(WaitState(GIVEN_UP, found=found, took=took))
    assert wait.mode is Mode.POLLING
    assert wait.seconds == pytest.approx(seconds)


@pytest.mark.parametrize("doorbell", MAY_HOLD)
def test_pair_that_another_session_has_claimed_is_tried_again(doorbell: DoorbellState) -> None:
    assert next_wait(WaitState(doorbell, 0, was_due=True)) == Wait(Mode.LISTENING, RETRY_CLAIMED)


@pytest.mark.parametrize("doorbell", MAY_HOLD)
def test_pair_that_became_due_after_a_drain_is_not_claimed(doorbell: DoorbellState) -> None:
    at_once = next_wait(WaitState(doorbell, 0))
    assert at_once.seconds is not None
    assert at_once.seconds <= TICK
    assert next_wait(WaitState(doorbell, 0, was_due=True, found=1)) == at_once


def test_wait_beside_writers_that_do_not_ring_is_short_after_a_change() -> None:
    state = WaitState(NOT_HELD, since_change=0.03 / REST_SHARE, rest=1.0)
    assert next_wait(state) == Wait(Mode.LISTENING, 0.03)


def test_claimed_pair_is_polled_slowly_under_contention() -> None:
    assert next_wait(WaitState(GIVEN_UP, 0, was_due=True)) == Wait(Mode.POLLING, LONGEST_TICK)


@pytest.mark.parametrize("doorbell", DoorbellState)
def test_paused_worker_checks_now_and_then(doorbell: DoorbellState) -> None:
    mode = Mode.POLLING if doorbell is UNAVAILABLE else Mode.LISTENING
    assert next_wait(WaitState(doorbell, 0, was_due=True, paused=True)) == Wait(mode, CHECK_PAUSE)


def test_poll_interval_grows_until_restarted() -> None:
    interval = PollInterval(longest=0.05)
    expected = [TICK, 2 * TICK, 4 * TICK, 0.05, 0.05]
    assert [interval.next(restart=False) for _ in expected] == expected
    assert [interval.next(restart=True), interval.next(restart=False)] == [TICK, 2 * TICK]


def test_poll_interval_without_max_wait_is_no_busy_loop() -> None:
    interval = PollInterval(longest=0.0)
    assert [interval.next(restart=False) for _ in range(3)] == [TICK, TICK, TICK]
