"""How durations, coverages and names are said."""

import pytest

from gaq_listen.observers.wording import LONGEST, age, count, coverage_change, duration, pair_name, sanitize
from tests.observers.scene import HOSTILE, pair


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1.0, "0.0 ms"),
        (0.0084, "8.4 ms"),
        (0.00994, "9.9 ms"),
        (0.00996, "10 ms"),
        (0.2134, "213 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (303.4, "5 min 03 s"),
        (3599.6, "1 h 00 min"),
        (7505, "2 h 05 min"),
        (86399.9, "1 d 00 h"),
        (187200, "2 d 04 h"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_ticking_duration_has_whole_seconds() -> None:
    assert [age(s) for s in (-1, 0, 12.9, 59.9, 60, 303.9)] == [
        "0 s",
        "0 s",
        "12 s",
        "59 s",
        "1 min 00 s",
        "5 min 03 s",
    ]


def test_counts() -> None:
    assert count(1, "pair") == "1 pair"
    assert count(12345, "pair") == "12 345 pairs"
    assert count(2, "batch") == "2 batches"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (0.921, 0.884, "92.1 → 88.4 %"),
        (1.0, 0.0, "100.0 → 0.0 %"),
        (0.884, 0.884, "still 88.4 %"),
        (None, 0.884, "none → 88.4 %"),
        (0.921, None, "92.1 % → not computable"),
        (None, None, "not computable"),
    ],
)
def test_good(before: float | None, after: float | None, said: str) -> None:
    assert coverage_change(pair(good_before=before, good_after=after)) == said


def test_good_of_a_pair_that_has_left() -> None:
    assert coverage_change(pair(good_after=None, removed=True)) == "removed"


def test_a_data_pass_that_has_no_name_any_more() -> None:
    assert pair_name(pair(data_pass=None)) == "#12/526641"


def test_nothing_that_acts_survives() -> None:
    said = sanitize(HOSTILE)
    assert said.isprintable()
    assert said.startswith(r"[bold red]x[/] \x1b[2J\x1b]0;owned\x07\n2026")


def test_a_text_without_end_is_cropped() -> None:
    assert len(sanitize("x" * 10_000_000)) == LONGEST
    assert sanitize("x" * LONGEST) == "x" * LONGEST
