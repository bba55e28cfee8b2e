"""Test the percentiles of the last pairs."""

from gaq_listen.observers.staleness import KEPT, Percentiles, Staleness


def test_no_pairs_have_no_percentiles() -> None:
    assert Staleness().percentiles() is None


def test_one_pair_is_both_percentiles() -> None:
    staleness = Staleness()
    staleness.add(0.0, [0.013])
    assert staleness.percentiles() == Percentiles(0.013, 0.013, 1)


def test_percentiles_go_by_rank() -> None:
    staleness = Staleness()
    staleness.add(0.0, (float(value) for value in range(200, 0, -1)))
    assert staleness.percentiles() == Percentiles(100.0, 198.0, 200)


def test_percentiles_since_a_time() -> None:
    staleness = Staleness()
    staleness.add(0.0, [9.0])
    staleness.add(10.0, [1.0])
    assert staleness.percentiles(since=10.0) == Percentiles(1.0, 1.0, 1)
    assert staleness.percentiles(since=10.1) is None


def test_only_the_last_pairs_are_kept() -> None:
    staleness = Staleness()
    staleness.add(0.0, [9.0] * 5)
    staleness.add(0.0, [1.0] * KEPT)
    assert staleness.percentiles() == Percentiles(1.0, 1.0, KEPT)
