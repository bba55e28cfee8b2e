"""How much at a time, and how long to rest."""

import pytest

from gaq_listen.pacing import (
    CLAIMED,
    COLLEAGUE,
    RINGS_A_SECOND,
    TICK,
    BatchSize,
    Bell,
    Rings,
    rest,
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


def test_too_many_rings_are_more_than_the_limit_within_a_second() -> None:
    rings = Rings()
    for ring in range(RINGS_A_SECOND):
        rings.heard(1, 10 + ring * 0.002)
    assert not rings.too_many(10.2)
    rings.heard(1, 10.2)
    assert rings.too_many(10.2)
    assert rings.too_many(10.9)
    assert not rings.too_many(11.0)


def test_rings_that_come_at_once_count_each() -> None:
    rings = Rings()
    rings.heard(RINGS_A_SECOND, 10.0)
    assert not rings.too_many(10.0)
    rings.heard(10_000, 10.1)
    assert rings.too_many(10.1)
    assert not rings.too_many(11.1)


def test_a_slow_stream_of_rings_is_never_too_many() -> None:
    rings = Rings()
    for ring in range(200):
        now = ring * 1.01 / RINGS_A_SECOND
        rings.heard(1, now)
        assert not rings.too_many(now)


@pytest.mark.parametrize(
    ("bell", "next_due", "looked_again", "expected"),
    [
        (Bell.OURS, None, False, None),
        (Bell.OURS, 0.07, False, 0.07),
        (Bell.OURS, 0, False, 0),
        (Bell.OURS, 0, True, CLAIMED),
        (Bell.COLLEAGUES, None, False, COLLEAGUE),
        (Bell.COLLEAGUES, 0.07, False, 0.07),
        (Bell.COLLEAGUES, 5.0, False, COLLEAGUE),
        (Bell.NOBODYS, None, False, 0.1),
        (Bell.NOBODYS, 0.07, False, 0.07),
        (Bell.NOBODYS, 0, True, CLAIMED),
    ],
)
def test_rest(bell: Bell, next_due: float | None, looked_again: bool, expected: float | None) -> None:
    assert rest(bell, next_due, looked_again, debounce=0.1) == expected


def test_without_the_bell_even_no_debounce_is_no_busy_loop() -> None:
    assert rest(Bell.NOBODYS, None, looked_again=False, debounce=0) == TICK
