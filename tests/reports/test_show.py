"""The summaries of a data pass: chosen, sorted, drawn."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from gaq_listen.reports.comparison import Comparison
from gaq_listen.reports.explain.pair import Quality
from gaq_listen.reports.marks import bar
from gaq_listen.reports.show import SORTS, Selection, Summary
from gaq_listen.reports.show_view import as_csv, as_json, render
from tests.golden_files import SIZES, check

NOW = datetime(2026, 11, 24, 21, 30, 5, tzinfo=UTC)


def summary(run: int, good: float | None, mc: float | None = 0.0, bad: float | None = 0.0, **other: Any) -> Summary:
    values: dict[str, Any] = {
        "run_number": run,
        "bad_run_coverage": bad,
        "explicitly_not_bad_run_coverage": good,
        "mc_reproducible_coverage": mc,
        "missing_verifications_count": 2,
        "undefined_quality_periods_count": 0,
        "not_computable": False,
        "invalidated_at": None,
        "updated_at": NOW - timedelta(minutes=5),
    }
    return Summary(**(values | other))


def compared(*texts: str) -> tuple[Comparison, ...]:
    return tuple(Comparison.read(text) for text in texts)


NOTHING = {"missing_verifications_count": None, "undefined_quality_periods_count": None}
ALL = [
    summary(1, 1.0),
    summary(2, 0.5, 0.25, 0.25, missing_verifications_count=12),
    summary(3, 0.2, 0.75, 0.05, invalidated_at=NOW - timedelta(seconds=75)),
    summary(4, 0.9994, 0.0, 0.0006, invalidated_at=NOW - timedelta(hours=30)),
    summary(5, 0.0, 0.0, 0.0, undefined_quality_periods_count=3),
    summary(6, None, None, None, **NOTHING, not_computable=True),
    summary(7, None, None, None, **NOTHING, not_computable=None, updated_at=None, invalidated_at=NOW),
]


@pytest.mark.parametrize(
    ("chosen", "runs"),
    [
        (Selection(), [1, 2, 3, 4, 5, 6, 7]),
        (Selection(runs=(5, 2)), [2, 5]),
        (Selection(stale=True), [3, 4, 7]),
        (Selection(stale=True, sort="stale"), [4, 3, 7]),
        (Selection(below=0.9), [2, 3, 5]),
        (Selection(below=0.9, mc_as_not_bad=True), [2, 5]),
        (Selection(below=1.0), [2, 3, 4, 5]),
        (Selection(not_bad=compared("<0.75")), [2, 3]),
        (Selection(not_bad=compared("<=0.5")), [2, 3]),
        (Selection(not_bad=compared(">0.9994")), [1, 5]),
        (Selection(not_bad=compared(">= .9994")), [1, 4, 5]),
        (Selection(not_bad=compared("=0.75"), mc_as_not_bad=True), [2]),
        (Selection(not_bad=compared("=1"), good=compared(">0")), [1]),
        (Selection(good=compared(">0.1", "<=0.5")), [2, 3]),
        (Selection(good=compared("=0.95"), mc_as_not_bad=True), [3]),
        (Selection(sort="good"), [5, 3, 2, 4, 1, 6, 7]),
        (Selection(sort="good", mc_as_not_bad=True), [5, 2, 3, 4, 1, 6, 7]),
        (Selection(sort="bad"), [3, 2, 4, 1, 5, 6, 7]),
        (Selection(sort="bad", mc_as_not_bad=True), [2, 3, 4, 1, 5, 6, 7]),
        (Selection(sort="unverified"), [2, 1, 3, 4, 5, 6, 7]),
        (Selection(sort="undefined"), [5, 1, 2, 3, 4, 6, 7]),
    ],
)
def test_chosen(chosen: Selection, runs: list[int]) -> None:
    assert [each.run_number for each in chosen.of(ALL)] == runs


def test_every_order_is_tried() -> None:
    assert set(SORTS) == {"run", "good", "bad", "unverified", "undefined", "stale"}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("mc_as_not_bad", [False, True])
def test_drawn(mc_as_not_bad: bool, size: tuple[int, int]) -> None:
    console = Console(file=io.StringIO(), width=size[0], color_system=None)
    with console.capture() as shown:
        console.print(render("LHC22o_apass7", ALL, Selection(mc_as_not_bad=mc_as_not_bad), NOW, size[0]))
    check(f"show-{'mc' if mc_as_not_bad else 'all'}", size, shown.get(), whole=True)


@pytest.mark.parametrize(
    ("shares", "drawn"),
    [
        ((1.0, 0.0, 0.0), "──────────"),
        ((0.5, 0.25, 0.25), "──────▒▒██"),
        ((0.9999, 0.0, 0.0001), "─────────█"),
        ((0.0001, 0.0, 0.9999), "─█████████"),
        ((0.2, 0.0, 0.0), "──········"),
        ((0.0, 0.0, 0.0), "··········"),
        ((1 / 3, 1 / 3, 1 / 3), "────▒▒▒███"),
        ((0.999999, 0.0000005, 0.0000005), "────────▒█"),
    ],
)
def test_bar(shares: tuple[float, float, float], drawn: str) -> None:
    shown = bar(dict(zip((Quality.GOOD, Quality.MC_REPRODUCIBLE, Quality.BAD), shares, strict=True)), 10)
    assert isinstance(shown, Text)
    assert shown.plain == drawn


@pytest.mark.parametrize("text", ["", "0.9", "<", "<90", "==1", "!=1", "<-0.1", "<0.9x", "< nan"])
def test_what_is_no_comparison_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no comparison: write <, <=, =, >= or >"):
        Comparison.read(text)


def test_json_and_csv_count_what_is_mc_reproducible_where_they_are_told_to() -> None:
    def values(mc_as_not_bad: bool) -> list[tuple[float | None, float | None, float | None]]:
        columns = ("explicitly_not_bad_run_coverage", "bad_run_coverage", "not_bad_fraction")
        objects = json.loads(as_json(12, "LHC22o_apass7", ALL, mc_as_not_bad))
        return [tuple(each[column] for column in columns) for each in objects]

    assert values(False)[1::4] == [(0.5, 0.25, 0.5), (None, None, None)]
    assert values(True)[1::4] == [(0.75, 0.25, 0.75), (None, None, None)]


@pytest.mark.parametrize("mc_as_not_bad", [False, True])
def test_json_and_csv_say_the_same(mc_as_not_bad: bool) -> None:
    objects = json.loads(as_json(12, "LHC22o_apass7", ALL, mc_as_not_bad))
    rows = list(csv.DictReader(io.StringIO(as_csv(12, "LHC22o_apass7", ALL, mc_as_not_bad))))
    assert [list(each) for each in objects] == [list(row) for row in rows]
    for each, row in zip(objects, rows, strict=True):
        assert {name: "" if value is None else str(value) for name, value in each.items()} == row
    assert objects[3]["explicitly_not_bad_run_coverage"] == 0.9994
    assert objects[6]["not_computable"] is None
