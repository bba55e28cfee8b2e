"""How much at a time, and how long to rest."""

from math import inf

import pytest

from gaq_listen.worker.pacing import (
    AUDIT_EVERY,
    BUSY_TICK,
    CHECK_HOLDER,
    CLAIMED,
    LONGEST_BUSY_TICK,
    LONGEST_TICK,
    MANY,
    SHORTEST_TICK,
    SHORTEST_TIMEOUT,
    TARGET_BATCH_SECONDS,
    TICK,
    WARN_AFTER,
    WARN_AGAIN_AFTER,
    AuditSchedule,
    BacklogWarning,
    BatchSize,
    BatchTimeout,
    BatchTimeouts,
    Holder,
    Mode,
    PollInterval,
    Wait,
    next_poll,
    next_wait,
    poll_again,
)


def test_batches_grow_while_they_come_back_full_and_shrink_when_they_do_not() -> None:
    size = BatchSize(20, 100)
    grown = []
    for _ in range(4):
        size.after(size.pairs, seconds=0.01)
        grown.append(size.pairs)
    assert grown == [40, 80, 100, 100]

    size.after(70, seconds=0.01)
    assert size.pairs == 100
    size.after(50, seconds=0.01)
    assert size.pairs == 50
    for _ in range(4):
        size.after(1, seconds=0.01)
    assert size.pairs == 20


def test_batches_that_take_long_shrink_although_they_are_full() -> None:
    size = BatchSize(20, 400)
    size.after(20, seconds=0.01)
    size.after(40, seconds=3.0)
    assert size.pairs == 20


def test_a_batch_is_brief_until_one_took_longer_and_again_when_they_are_quick() -> None:
    allowance = BatchTimeouts(batch_timeout=30, heartbeat=10)
    brief, whole = BatchTimeout(5, answer=10), BatchTimeout(30, answer=40)
    assert allowance.next() == brief
    # Nothing is said of that one: it was ended, or its connection was.
    assert allowance.next() == whole
    allowance.took(2.5)
    assert allowance.next() == whole
    allowance.took(2.4)
    assert allowance.next() == brief
    allowance.took(4)
    assert allowance.next() == whole


def test_no_batch_is_ended_that_is_as_long_as_it_should_be_and_none_may_take_longer_than_all() -> None:
    assert BatchTimeouts(batch_timeout=30, heartbeat=0.5).next() == BatchTimeout(
        SHORTEST_TIMEOUT, answer=SHORTEST_TIMEOUT + 0.25
    )
    assert BatchTimeouts(batch_timeout=0.4, heartbeat=10).next().seconds == 0.4
    assert SHORTEST_TIMEOUT > TARGET_BATCH_SECONDS


@pytest.mark.parametrize(
    ("bell", "next_due", "claimed", "expected"),
    [
        (Holder.THIS_WORKER, None, False, Wait(Mode.LISTENING, None)),
        (Holder.THIS_WORKER, 0.07, False, Wait(Mode.LISTENING, 0.07)),
        (Holder.THIS_WORKER, 0, False, Wait(Mode.LISTENING, 0)),
        (Holder.THIS_WORKER, 0, True, Wait(Mode.LISTENING, CLAIMED)),
        (Holder.OTHER_WORKER, None, False, Wait(Mode.BESIDE, CHECK_HOLDER)),
        (Holder.OTHER_WORKER, 0, False, Wait(Mode.LISTENING, 0)),
        (Holder.OTHER_WORKER, 0.07, False, Wait(Mode.LISTENING, 0.07)),
        (Holder.OTHER_WORKER, 5.0, False, Wait(Mode.LISTENING, CHECK_HOLDER)),
        (Holder.WRITERS, None, False, Wait(Mode.LISTENING, 0.1)),
        (Holder.WRITERS, 0.07, False, Wait(Mode.LISTENING, 0.07)),
        (Holder.WRITERS, 5.0, False, Wait(Mode.LISTENING, 0.1)),
        (Holder.WRITERS, 0, False, Wait(Mode.LISTENING, TICK)),
        (Holder.WRITERS, 0, True, Wait(Mode.LISTENING, CLAIMED)),
    ],
)
def test_how_a_worker_waits_that_may_hold_the_doorbell(
    bell: Holder, next_due: float | None, claimed: bool, expected: Wait
) -> None:
    assert next_wait(bell, next_due, claimed, poll=0.1) == expected


@pytest.mark.parametrize(
    ("next_due", "claimed", "poll", "seconds"),
    [
        (None, False, 0.05, 0.05),
        (None, False, 1.0, LONGEST_TICK),
        (0, False, 1.0, TICK),
        (0, True, 1.0, LONGEST_TICK),
        (0.07, False, 1.0, 0.07),
        (5.0, False, 1.0, LONGEST_TICK),
    ],
)
def test_how_a_worker_waits_that_has_given_the_doorbell_up(
    next_due: float | None, claimed: bool, poll: float, seconds: float
) -> None:
    assert next_poll(next_due, claimed, poll) == Wait(Mode.POLLING, seconds)


@pytest.mark.parametrize(
    ("found", "took", "seconds"),
    [
        (1, 0.0, TICK),
        (1, 0.02, TICK - 0.02),
        (1, 0.04, SHORTEST_TICK),
        (MANY, 0.0, BUSY_TICK),
        (MANY, 0.12, 0.12),
        (MANY, 3.0, LONGEST_BUSY_TICK),
    ],
)
def test_a_worker_that_polls_rests_as_long_as_it_worked_when_there_is_much(
    found: int, took: float, seconds: float
) -> None:
    wait = poll_again(found, took)
    assert wait.mode is Mode.POLLING
    assert wait.seconds == pytest.approx(seconds)


def test_without_the_bell_even_no_debounce_is_no_busy_loop() -> None:
    poll = PollInterval(0, 1)
    wait = next_wait(Holder.WRITERS, None, claimed=False, poll=poll.after(False))
    assert wait == Wait(Mode.LISTENING, TICK)


def test_polling_slows_down_while_nothing_is_found() -> None:
    poll = PollInterval(0.1, 1)
    assert [poll.after(False) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1, 1]
    assert [poll.after(True), poll.after(False)] == [0.1, 0.2]


def test_a_backlog_that_stays_is_worth_a_warning_after_five_rounds_and_then_every_thirty() -> None:
    rounds = BacklogWarning(largest=400)
    warned = [number for number in range(1, 100) if rounds.after(full=True) and rounds.above(401)]
    assert warned == [
        WARN_AFTER,
        WARN_AFTER + WARN_AGAIN_AFTER,
        WARN_AFTER + 2 * WARN_AGAIN_AFTER,
        WARN_AFTER + 3 * WARN_AGAIN_AFTER,
    ]
    assert (rounds.warned, rounds.passed) == (True, 99)
    assert not rounds.after(full=False)
    assert (rounds.warned, rounds.passed) == (False, 0)


def test_full_batches_with_less_than_another_one_behind_them_are_no_backlog() -> None:
    rounds = BacklogWarning(largest=400)
    counted = [number for number in range(1, 13) if rounds.after(full=True) and not rounds.above(400)]
    assert counted == [5, 10]
    assert not rounds.warned


def test_portions_are_so_many_a_minute() -> None:
    portions = AuditSchedule(a_minute=60, now=0.0)
    assert portions.next() == AUDIT_EVERY
    assert portions.due(9.9) == 0
    assert [portions.due(now) for now in (10.0, 20.0, 25.0, 30.5)] == [10, 10, 0, 10]
    # The half that was owed is not lost; what was missed in a long absence is.
    assert portions.due(41.0) == 11
    assert portions.due(1000.0) == 20


def test_less_than_one_a_portion_adds_up() -> None:
    portions = AuditSchedule(a_minute=2, now=0.0)
    assert sum(portions.due(second * 10.0) for second in range(1, 19)) == 6


def test_no_audit_is_never_due() -> None:
    assert AuditSchedule(a_minute=0, now=0.0).next() == inf
    assert AuditSchedule(a_minute=0, now=0.0).due(1e9) == 0
