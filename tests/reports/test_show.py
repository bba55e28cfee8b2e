"""Check how summaries of a data pass are selected, sorted and drawn."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from gaq_listen.errors import GaqListenError
from gaq_listen.reports import run_list
from gaq_listen.reports.filters import Condition, parse_condition
from gaq_listen.reports.quality import Quality
from gaq_listen.reports.quality_style import bar
from gaq_listen.reports.show import SORTS, DataPassSummaries, Selection, Summary
from gaq_listen.reports.show_view import as_csv, as_json, render
from gaq_listen.reports.totals import totals
from tests.support.golden_files import SIZES, check

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
        "run_seconds": 3600.0,
    }
    return Summary(**(values | other))


def compared(*texts: str) -> tuple[Condition, ...]:
    return tuple(parse_condition(text) for text in texts)


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
SHOWN = DataPassSummaries(12, "LHC22o_apass7", NOW, False, tuple(ALL))


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
        (Selection(max_unverified=2), [1, 3, 4, 5]),
        (Selection(max_undefined=0), [1, 2, 3, 4]),
        (Selection(max_undefined=3, max_unverified=12), [1, 2, 3, 4, 5]),
    ],
)
def test_a_selection_selects_and_sorts(chosen: Selection, runs: list[int]) -> None:
    assert [each.run_number for each in chosen.select(ALL)] == runs


def test_each_sort_order_has_a_case() -> None:
    assert set(SORTS) == {"run", "good", "bad", "unverified", "undefined", "stale"}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("mc_as_not_bad", [False, True])
def test_drawn(mc_as_not_bad: bool, size: tuple[int, int]) -> None:
    console = Console(file=io.StringIO(), width=size[0], color_system=None)
    with console.capture() as shown:
        console.print(render(SHOWN, Selection(mc_as_not_bad=mc_as_not_bad), size[0]))
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
def test_a_bar_shows_each_share(shares: tuple[float, float, float], drawn: str) -> None:
    shown = bar(dict(zip((Quality.GOOD, Quality.MC_REPRODUCIBLE, Quality.BAD), shares, strict=True)), 10)
    assert isinstance(shown, Text)
    assert shown.plain == drawn


def test_json_counts_mc_reproducible_as_not_bad_on_request() -> None:
    def values(mc_as_not_bad: bool) -> list[tuple[float | None, float | None, float | None]]:
        columns = ("explicitly_not_bad_run_coverage", "bad_run_coverage", "not_bad_fraction")
        objects = json.loads(as_json(SHOWN, mc_as_not_bad))["summaries"]
        return [tuple(each[column] for column in columns) for each in objects]

    assert values(False)[1::4] == [(0.5, 0.25, 0.5), (None, None, None)]
    assert values(True)[1::4] == [(0.75, 0.25, 0.75), (None, None, None)]


@pytest.mark.parametrize("mc_as_not_bad", [False, True])
def test_json_and_csv_say_the_same(mc_as_not_bad: bool) -> None:
    objects = json.loads(as_json(SHOWN, mc_as_not_bad))["summaries"]
    rows = list(csv.DictReader(io.StringIO(as_csv(SHOWN, mc_as_not_bad))))
    assert [list(each) for each in objects] == [list(row) for row in rows]
    for each, row in zip(objects, rows, strict=True):
        assert {name: "" if value is None else str(value) for name, value in each.items()} == row
    assert objects[3]["explicitly_not_bad_run_coverage"] == 0.9994
    assert objects[6]["not_computable"] is None


def test_totals_are_weighted_by_the_length_of_the_runs() -> None:
    found = totals(
        [
            summary(1, 1.0, run_seconds=3 * 3600),
            summary(2, 0.0, 0.5, 0.25, run_seconds=3600, invalidated_at=NOW),
            summary(3, None, None, None, **NOTHING, not_computable=True, run_seconds=7200),
            summary(4, 1.0, run_seconds=None),
        ]
    )
    assert (found.runs, found.hours, found.not_computable, found.stale) == (4, 4.0, 1, 1)
    assert found.missing_verifications == 6
    shares = found.explicitly_not_bad_run_coverage, found.mc_reproducible_coverage, found.bad_run_coverage
    assert (*shares, found.undecided_coverage) == (0.75, 0.125, 0.0625, 0.0625)


def test_totals_of_nothing_have_no_coverage() -> None:
    found = totals([summary(1, None, None, None, **NOTHING, not_computable=True)])
    assert (found.hours, found.bad_run_coverage, found.undecided_coverage) == (0.0, None, None)


FRESH = DataPassSummaries(12, "LHC22o_apass7", NOW, False, tuple(each for each in ALL if each.invalidated_at is None))
GOOD_RUNS = Selection(good=compared(">=0.5"), max_unverified=2)


def test_a_run_list_says_why_other_runs_are_left_out() -> None:
    made = run_list.make(FRESH, GOOD_RUNS)
    assert made.runs == (1,)
    assert made.left_out == {
        2: ["missing verifications 12, not <=2"],
        5: ["good 0, not >=0.5"],
        6: ["not computable"],
    }
    found = json.loads(made.as_json(4))
    assert found["criteria"] == {"good": [">=0.5"], "max_unverified": 2, "mc_as_not_bad": False, "runs": None}
    assert (found["runs_considered"], found["runs_in"], found["runs_out"], found["runs"]) == (4, 1, 3, [1])
    assert found["left_out"][0] == {"run_number": 2, "reasons": ["missing verifications 12, not <=2"]}
    assert (found["database_time"], found["live"]) == (NOW.isoformat(), False)


def test_a_run_list_without_conditions_has_runs_with_values() -> None:
    made = run_list.make(FRESH, Selection())
    assert made.as_text(one_a_line=False) == "1,2,5"
    assert made.as_text(one_a_line=True) == "1\n2\n5"
    assert made.left_out == {6: ["not computable"]}


def test_a_run_list_with_a_stale_run_is_refused() -> None:
    """A stale run counts even if its stored values do not meet the conditions, because its new ones might."""
    with pytest.raises(GaqListenError, match=r"3 of 7 runs are stale \(3, 4, 7\), .*--live .*--wait"):
        run_list.make(SHOWN, GOOD_RUNS)
    with pytest.raises(GaqListenError, match=r"1 of 2 runs is stale \(3\)"):
        run_list.make(SHOWN, Selection(runs=(1, 3)))
    assert run_list.make(SHOWN, Selection(runs=(1, 2))).runs == (1, 2)
    failing = DataPassSummaries(
        12, "p", NOW, True, (summary(1, 1.0), summary(2, 1.0, invalidated_at=NOW, error="too many"))
    )
    with pytest.raises(GaqListenError, match=r"1 of 2 runs is stale \(2\) and cannot be computed now: too many"):
        run_list.make(failing, Selection())
