"""Check how explanations are drawn and add up. ``GAQ_LISTEN_GOLDEN=write`` rewrites the golden files."""

import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from gaq_listen.reports.explain import as_json, render
from gaq_listen.reports.explain.explanation import Explanation
from gaq_listen.reports.explain.sums import add_up, not_computable_because
from gaq_listen.reports.failures import Failure
from gaq_listen.reports.quality import Quality
from gaq_listen.reports.summary_values import SummaryValues
from tests.reports.example_pairs import END, FLAGS, HOSTILE, NOW, START, VALUES, at, explained, flag, span
from tests.support.golden_files import SIZES, check

SCENES = {
    "fresh": explained(),
    "stale": explained(
        marks=(
            (NOW - timedelta(seconds=75), "flag"),
            (NOW - timedelta(seconds=3), "run times"),
            (NOW - timedelta(seconds=2), "flag"),
        )
    ),
    "not-computable": explained(
        qc_time_end=None,
        flags=tuple(replace(each, span=None, effective=(), hidden_by=()) for each in FLAGS[:2]),
        periods=(),
        computed=SummaryValues(None, None, None, None, None, True),
        stored=None,
    ),
    "failing": explained(
        computed=None,
        error="division by zero",
        failure=Failure(12, None, 526641, "division by zero", "22012", 3, NOW, NOW, NOW + timedelta(seconds=20), 20.0),
        marks=((NOW - timedelta(seconds=75), "flag type"),),
    ),
}


def text(pair: Explanation, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as shown:
        console.print(render(pair, width))
    return shown.get()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", SCENES)
def test_drawn(name: str, size: tuple[int, int]) -> None:
    check(f"explain-{name}", size, text(SCENES[name], size[0]), whole=True)


def test_periods_add_up_to_the_run_and_its_summary() -> None:
    total = add_up(explained())
    assert total is not None
    assert sum(total.time.values(), timedelta()) == total.whole == END - START
    assert [flag.flag_id for flag in total.unverified] == [3]
    assert total.undefined == 3
    assert total.values.equals(VALUES)


@pytest.mark.parametrize(
    "other",
    [
        replace(VALUES, bad=0.2),
        replace(VALUES, good=None),
        replace(VALUES, mc_reproducible=1e-8),
        replace(VALUES, missing_verifications=2),
        replace(VALUES, undefined_quality_periods=2),
    ],
)
def test_a_difference_from_the_database_is_shown(other: SummaryValues) -> None:
    total = add_up(explained())
    assert total is not None
    assert not total.values.equals(other)
    assert "THIS IS NOT what the database computes" in text(explained(computed=other))
    assert "THIS IS NOT" not in text(explained())


def test_drift_of_the_stored_summary_is_shown() -> None:
    stored = explained().stored
    assert stored is not None
    drifted = replace(stored, values=replace(VALUES, bad=0.5))
    shown = " ".join(text(explained(stored=drifted)).split())
    assert "It DIFFERS" in shown
    assert "gaq-listen recalculate LHC22o_apass7 --runs 526641" in shown
    assert "Fresh: nothing has changed since." in text(explained())
    assert "DIFFERS" not in text(explained(stored=drifted, marks=((NOW, "flag"),))), "it is stale, and said to be"


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        ({"qc_time_start": None}, "the start of the run is not known"),
        ({"qc_time_end": None}, "the end of the run is not known"),
        ({"qc_time_end": START}, "the run ends before it starts, or as it starts"),
        ({"detectors": ()}, "no detector is listed as one that matters"),
        ({"flags": ()}, "there is no flag"),
    ],
)
def test_a_pair_that_is_not_computable_says_why(lacking: dict[str, object], reason: str) -> None:
    pair = explained(**lacking)
    assert not_computable_because(pair) == [reason]
    assert add_up(pair) is None
    assert f"Not computable: {reason}." in text(pair)


def test_a_computable_pair_lacks_nothing() -> None:
    assert not_computable_because(explained()) == []


def test_a_column_shows_the_worst_quality_in_it() -> None:
    blink = flag(7, "TPC", Quality.BAD, (at(31), at(31) + timedelta(microseconds=1)))
    around = flag(5, "TPC", Quality.GOOD, span(0, 31), (at(31) + timedelta(microseconds=1), END))
    (row,) = [line for line in text(explained(flags=(blink, around)), 80).splitlines() if line.startswith("  TPC  ")]
    assert row.count("█") == 1
    assert set(row.split()[1]) == {"─", "█"}


def test_hostile_names_are_no_markup_in_an_explanation() -> None:
    hostile = [replace(each, created_by=HOSTILE, comment=HOSTILE, flag_type=HOSTILE) for each in FLAGS]
    shown = text(explained(data_pass=HOSTILE, flags=tuple(hostile), detectors=((3, HOSTILE),), error=HOSTILE))
    assert shown.replace("\n", "").isprintable()
    assert "[bold]x[/]" in shown


def test_the_json_has_what_the_drawing_has() -> None:
    pair = explained(marks=((NOW - timedelta(seconds=75), "flag"), (NOW, "run times")))
    found = json.loads(as_json(pair))
    assert [(each["quality"], each["flag_ids"], each["detectors_without_flag"]) for each in found["periods"]] == [
        ("good", [1, 2, 5], []),
        ("bad", [1, 2, 7], []),
        ("good", [1, 2, 5], []),
        ("undefined", [1, 2], ["TPC"]),
        ("undefined", [1, 3], ["TPC"]),
        ("undefined", [1, 2], ["TPC"]),
    ]
    total = add_up(pair)
    assert total is not None
    assert {name: each["fraction"] for name, each in found["totals"]["qualities"].items()} == {
        "good": total.share(Quality.GOOD),
        "mc_reproducible": 0.0,
        "bad": total.share(Quality.BAD),
        "undefined": total.share(Quality.UNKNOWN),
    }
    assert found["totals"]["seconds"] == 3600
    assert (found["totals"]["missing_verifications"], found["totals"]["undefined_quality_periods"]) == (1, 3)
    assert found["stale_since"] == "2026-11-24T21:28:50.120000+00:00"
    assert [mark["cause"] for mark in found["marks"]] == ["flag", "run times"]
    by_id = {flag["id"]: flag for flag in found["flags"]}
    assert (by_id[7]["created_by"], by_id[7]["verified"], by_id[3]["verified"]) == ("the other expert", True, False)
    assert by_id[6]["effective"] == []
    assert by_id[6]["hidden_by"] == [7]
    assert [flag["id"] for flag in found["flags"] if not flag["detector_matters"]] == [8]
    assert len(by_id[5]["effective"]) == 2


def test_the_json_says_why_a_pair_is_not_computable() -> None:
    found = json.loads(as_json(SCENES["not-computable"]))
    assert (found["periods"], found["totals"], found["stored"]) == ([], None, None)
    assert found["not_computable_because"] == ["the end of the run is not known"]
    assert json.loads(as_json(SCENES["failing"]))["error"] == "division by zero"
