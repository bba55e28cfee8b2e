"""Check how run numbers and ranges are parsed and select runs."""

import pytest

from gaq_listen.errors import BadSetting, UnknownName
from gaq_listen.reports.run_ranges import parse, select


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12", [(12, 12)]),
        ("12,15-18", [(12, 12), (15, 18)]),
        (" 12 , 15 - 18 ", [(12, 12), (15, 18)]),
        ("7-7", [(7, 7)]),
    ],
)
def test_runs_and_ranges_are_parsed(text: str, found: list[tuple[int, int]]) -> None:
    assert parse(text) == found


@pytest.mark.parametrize("text", ["", ",", "12,", "x", "-5", "1-2-3", "12;13", "1e3", "9" * 19])
def test_a_text_that_is_no_list_of_runs_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="is no run and no range of runs"):
        parse(text)


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(BadSetting, match="'18-15' ends before it begins"):
        parse("18-15")


def test_ranges_select_each_existing_run_once() -> None:
    assert select([10, 12, 15, 17], [(11, 16), (15, 17)], "p") == [12, 15, 17]


def test_an_error_names_all_missing_ranges() -> None:
    with pytest.raises(UnknownName, match=r"no such run in data pass p: 11, 20-30$"):
        select([10, 12], [(10, 10), (11, 11), (20, 30)], "p")
