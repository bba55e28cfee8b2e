"""Test how pairs and their changes read."""

import pytest

from gaq_listen.worker.event_base import Severity
from gaq_listen.worker.event_pairs import NAMED, name_first
from tests.observers.example_events import LONG, pair


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (0.921, 0.884, "92.1 → 88.4 %"),
        (1.0, 0.0, "100.0 → 0.0 %"),
        (1.0, 0.9999, "100.0 → 99.9 %"),
        (0.884, 0.884, "still 88.4 %"),
        (None, 0.884, "none → 88.4 %"),
        (0.921, None, "92.1 % → not computable"),
        (None, None, "not computable"),
    ],
)
def test_a_change_of_the_good_fraction(before: float | None, after: float | None, text: str) -> None:
    assert pair(good_before=before, good_after=after).good_change == text


def test_a_pair_that_left_its_data_pass_is_removed() -> None:
    assert pair(good_after=None, removed=True).good_change == "removed"


def test_a_data_pass_without_a_name_has_its_id() -> None:
    assert pair(data_pass=None).pair_name == "#12/526641"


def test_a_long_name_of_a_data_pass_loses_its_middle() -> None:
    shown = [each.short_data_pass for each in (pair(data_pass=LONG), pair())]
    assert shown == ["LHC24ar_pas…QC1_sampling", "LHC22o_apass7"]


@pytest.mark.parametrize(
    ("before", "after", "severity"),
    [
        (0.5, 0.6, Severity.GOOD),
        (0.6, 0.5, Severity.ERROR),
        (0.5, 0.5, Severity.NEUTRAL),
        (None, 0.5, Severity.NEUTRAL),
        (0.5, None, Severity.NEUTRAL),
    ],
)
def test_a_rise_is_good_and_a_fall_is_bad(before: float | None, after: float | None, severity: Severity) -> None:
    assert pair(good_before=before, good_after=after).severity is severity


def test_the_first_names_are_listed_and_the_others_counted() -> None:
    names = [f"{n}" for n in range(NAMED + 2)]
    assert name_first(names) == "0; 1; 2; 3 +2"
    assert name_first(names[:NAMED], ", ") == "0, 1, 2, 3"
