"""Test how durations, numbers and foreign texts are formatted."""

import pytest

from gaq_listen.wording import LONGEST, age, bar_chart, count, duration, listed, number, percent, rate, sanitize
from tests.observers.example_events import HOSTILE


@pytest.mark.parametrize(
    ("seconds", "text"),
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
def test_a_duration_has_at_most_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_age_has_whole_seconds() -> None:
    assert [age(s) for s in (-1, 0, 12.9, 59.9, 60, 303.9)] == [
        "0 s",
        "0 s",
        "12 s",
        "59 s",
        "1 min 00 s",
        "5 min 03 s",
    ]


def test_a_count_has_its_noun_in_the_plural() -> None:
    assert count(1, "pair") == "1 pair"
    assert count(12345, "pair") == "12 345 pairs"
    assert count(2, "batch") == "2 batches"


def test_a_list_names_the_first_and_counts_the_others() -> None:
    assert listed(["a", "b"], most=2) == "a, b"
    assert listed([*"abcd"], most=2) == "a, b and 2 more"
    assert listed([]) == ""


def test_numbers_have_spaces_between_thousands() -> None:
    assert number(1234567) == "1 234 567"
    assert [rate(value) for value in (0.0, 0.34, 9.96, 1234.0)] == ["0.0", "0.3", "10", "1 234"]


def test_only_all_is_100_percent_and_only_nothing_0() -> None:
    assert [percent(value) for value in (0.0, 0.00001, 0.5, 0.99999, 1.0)] == ["0.0", "0.1", "50.0", "99.9", "100.0"]


def test_a_bar_chart_is_relative_to_the_largest_value() -> None:
    assert bar_chart([0, 1, 8]) == "·▁█"
    assert bar_chart([0, 0]) == "··"
    assert bar_chart([]) == ""


def test_control_characters_are_spelled_out() -> None:
    text = sanitize(HOSTILE)
    assert text.isprintable()
    assert text.startswith(r"[bold red]x[/] \x1b[2J\x1b]0;owned\x07\n2026")


def test_a_long_text_is_cropped() -> None:
    assert len(sanitize("x" * 10_000_000)) == LONGEST
    assert sanitize("x" * LONGEST) == "x" * LONGEST
