"""Test how large a batch is, how long it may take, and when a backlog is worth a warning."""

from gaq_listen.worker.batching import (
    SHORTEST_TIMEOUT,
    TARGET_SECONDS,
    WARN_AFTER,
    WARN_AGAIN_AFTER,
    BacklogWarning,
    BatchSize,
    BatchTimeout,
    BatchTimeouts,
)


def test_batches_grow_while_full_and_shrink_when_not() -> None:
    size = BatchSize(20, 100)
    grown = []
    for _ in range(4):
        size.record(size.pairs, seconds=0.01)
        grown.append(size.pairs)
    assert grown == [40, 80, 100, 100]

    size.record(70, seconds=0.01)
    assert size.pairs == 100
    size.record(50, seconds=0.01)
    assert size.pairs == 50
    for _ in range(4):
        size.record(1, seconds=0.01)
    assert size.pairs == 20


def test_slow_batches_shrink_although_full() -> None:
    size = BatchSize(20, 400)
    size.record(20, seconds=0.01)
    size.record(40, seconds=3.0)
    assert size.pairs == 20


def test_timeout_is_full_after_a_batch_that_was_not_short() -> None:
    timeouts = BatchTimeouts(batch_timeout=30, heartbeat=10)
    short, full = BatchTimeout(5, response=10), BatchTimeout(30, response=40)
    assert timeouts.next() == short
    # Nothing was recorded: the server ended that batch, or its connection was lost.
    assert timeouts.next() == full
    timeouts.record(2.5)
    assert timeouts.next() == full
    timeouts.record(2.4)
    assert timeouts.next() == short
    timeouts.record(4)
    assert timeouts.next() == full


def test_short_timeout_is_above_the_target_and_at_most_the_full_one() -> None:
    assert BatchTimeouts(batch_timeout=30, heartbeat=0.5).next() == BatchTimeout(
        SHORTEST_TIMEOUT, response=SHORTEST_TIMEOUT + 0.25
    )
    assert BatchTimeouts(batch_timeout=0.4, heartbeat=10).next().statement == 0.4
    assert SHORTEST_TIMEOUT > TARGET_SECONDS


def test_backlog_that_stays_is_warned_of_repeatedly() -> None:
    warning = BacklogWarning(largest=400)
    warned = [n for n in range(1, 100) if warning.record_batch(full=True) and warning.record_pairs_left(401)]
    assert warned == [
        WARN_AFTER,
        WARN_AFTER + WARN_AGAIN_AFTER,
        WARN_AFTER + 2 * WARN_AGAIN_AFTER,
        WARN_AFTER + 3 * WARN_AGAIN_AFTER,
    ]
    assert (warning.warned, warning.full_batches) == (True, 99)
    assert not warning.record_batch(full=False)
    assert (warning.warned, warning.full_batches) == (False, 0)


def test_backlog_of_less_than_a_batch_is_not_warned_of() -> None:
    warning = BacklogWarning(largest=400)
    counted = [n for n in range(1, 13) if warning.record_batch(full=True) and not warning.record_pairs_left(400)]
    assert counted == [5, 10]
    assert not warning.warned
