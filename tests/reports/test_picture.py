"""Check the texts and the geometry of the picture of a data pass."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from gaq_listen.reports import picture
from gaq_listen.reports.quality import Quality
from gaq_listen.reports.show import DataPassSummaries, DetectorQuality, Summary
from tests.reports.example_pairs import HOSTILE

NOW = datetime(2026, 11, 24, 21, 30, 5, tzinfo=UTC)
NS = "{http://www.w3.org/2000/svg}"


def summary(run: int, *shares: float | None, stale: bool = False) -> Summary:
    good, mc_reproducible, bad = shares
    return Summary(run, bad, good, mc_reproducible, 1, 0, good is None, NOW if stale else None, NOW, 3600.0)


SHOWN = DataPassSummaries(
    12,
    "LHC22o_apass7",
    NOW,
    False,
    (
        summary(526502, 0.5, 0.25, 0.25),
        summary(526525, None, None, None),
        summary(526538, 0.75, 0.0, 0.0, stale=True),
    ),
    (
        DetectorQuality(526502, "ITS", 0.5, 0.25, 0.25),
        DetectorQuality(526502, "TPC", 1.0, 0.0, 0.0),
        DetectorQuality(526525, "TPC", 0.0, 0.0, 0.0),
        DetectorQuality(526538, "ITS", 0.75, 0.0, 0.0),
        DetectorQuality(526538, "TPC", 0.0, 0.0, 1.0),
    ),
)


def drawn(shown: DataPassSummaries = SHOWN) -> Element:
    return ElementTree.fromstring(picture.as_svg(shown))  # noqa: S314 - our own


def texts(svg: Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{NS}text")]


def cells(svg: Element) -> dict[str, Element]:
    """Return the cells by name, such as ``526502 ITS``."""
    found = {}
    for group in svg.iter(f"{NS}g"):
        title = group.findtext(f"{NS}title") or ""
        found[title.partition(":")[0]] = group
    return found


def parts(cell: Element) -> list[tuple[str, float, float]]:
    """Return quality, upper edge and height of each part of a cell, from the bottom."""
    return [
        (rectangle.attrib["class"], float(rectangle.attrib["y"]), float(rectangle.attrib["height"]))
        for rectangle in cell.iter(f"{NS}rect")
        if "class" in rectangle.attrib
    ]


def test_a_picture_has_title_totals_legend_and_labels() -> None:
    said = texts(drawn())
    assert said[:2] == ["LHC22o_apass7", "as of 2026-11-24 21:30:05 UTC, as stored"]
    assert said[2].startswith(
        "together  3 runs, 2.0 h: good 62.5 %, MC reproducible 12.5 %, bad 12.5 %, undecided 12.5 %;"
    )
    assert said[3:7] == ["good", "MC reproducible", "bad", "no flag"]
    assert "crossed out: not computable" in said[7]
    assert said[8:] == ["ITS", "TPC", "all", "526502", "526525", "526538*"]
    live = DataPassSummaries(12, "p", NOW, True, SHOWN.summaries[:1])
    assert "stale ones computed then" in texts(drawn(live))[1]
    assert "stale" not in texts(drawn(live))[7]


def test_a_cell_is_filled_from_the_bottom_by_its_shares() -> None:
    cell = cells(drawn())["526502 all"]
    bottom = picture.TOP + 2 * (picture.ROW + picture.GAP) + picture.AGGREGATE
    height = picture.AGGREGATE
    assert parts(cell) == [
        ("gaq-good", bottom - height / 2, height / 2),
        ("gaq-mc-reproducible", bottom - height * 3 / 4, height / 4),
        ("gaq-bad", bottom - height, height / 4),
    ]
    assert cell.findtext(f"{NS}title") == "526502 all: good 50.0 %, MC reproducible 25.0 %, bad 25.0 %"
    assert [quality for quality, _, _ in parts(cells(drawn())["526538 ITS"])] == ["gaq-good", "gaq-unknown"]
    assert [quality for quality, _, _ in parts(cells(drawn())["526525 TPC"])] == ["gaq-unknown"]


def test_the_smallest_share_is_visible() -> None:
    shown = DataPassSummaries(1, "p", NOW, False, (summary(1, 0.99999, 0.0, 0.00001),))
    (good, bad) = parts(cells(drawn(shown))["1 all"])
    assert (good[0], good[2]) == ("gaq-good", picture.AGGREGATE - picture.SLIVER)
    assert (bad[0], bad[2]) == ("gaq-bad", picture.SLIVER)


def test_each_cell_lies_in_its_row_and_column() -> None:
    svg = drawn()
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    found = cells(svg)
    assert set(found) == {f"{run} all" for run in (526502, 526525, 526538)} | {
        f"{quality.run_number} {quality.detector}" for quality in SHOWN.detectors
    }
    columns: dict[str, set[str]] = {}
    rows: dict[str, set[str]] = {}
    for name, cell in found.items():
        frame = next(each for each in cell.iter(f"{NS}rect") if "class" not in each.attrib)
        run, row = name.split()
        columns.setdefault(run, set()).add(frame.attrib["x"])
        rows.setdefault(row, set()).add(frame.attrib["y"])
        assert float(frame.attrib["x"]) + float(frame.attrib["width"]) <= width
        assert float(frame.attrib["y"]) + float(frame.attrib["height"]) <= height
        filled = 0 if name == "526525 all" else float(frame.attrib["height"])
        assert sum(part[2] for part in parts(cell)) == pytest.approx(filled)
    assert [len(places) for places in (*columns.values(), *rows.values())] == [1] * 6
    assert sorted(columns, key=lambda run: float(min(columns[run]))) == ["526502", "526525", "526538"]
    assert sorted(rows, key=lambda row: float(min(rows[row]))) == ["ITS", "TPC", "all"]


def test_a_run_that_is_not_computable_is_crossed_out() -> None:
    cell = cells(drawn())["526525 all"]
    assert parts(cell) == []
    assert len(list(cell.iter(f"{NS}path"))) == 2


def test_each_quality_has_a_hatching_of_its_own() -> None:
    hatchings = {}
    for pattern in drawn().iter(f"{NS}pattern"):
        path = pattern.find(f"{NS}path")
        hatchings[pattern.attrib["id"]] = None if path is None else path.attrib["d"]
    assert set(hatchings) == {"gaq-good", "gaq-mc-reproducible", "gaq-bad", "gaq-unknown"}
    assert len(set(hatchings.values())) == len(hatchings) == len(Quality)


@pytest.mark.parametrize("runs", [0, 1, 40, 400])
def test_a_picture_has_room_for_any_number_of_runs(runs: int) -> None:
    shown = DataPassSummaries(1, "p", NOW, False, tuple(summary(500_000 + n, 1.0, 0.0, 0.0) for n in range(runs)))
    svg = drawn(shown)
    width = float(svg.attrib["width"])
    frames = [next(iter(cell.iter(f"{NS}rect"))) for cell in cells(svg).values()]
    edges = sorted((float(each.attrib["x"]), float(each.attrib["width"])) for each in frames)
    assert len(edges) == runs
    assert all(x + own < following for (x, own), (following, _) in pairwise(edges))
    assert all(own >= picture.NARROWEST - 1 and x + own <= width for x, own in edges)


def test_hostile_names_are_no_markup_in_a_picture() -> None:
    shown = DataPassSummaries(
        12, HOSTILE + "<script>", NOW, False, SHOWN.summaries, (DetectorQuality(526502, HOSTILE, 1, 0, 0),)
    )
    for written in (picture.as_svg(shown), picture.as_html(shown)):
        assert "<script" not in written
        assert "\x1b" not in written
        assert "http" not in re.sub(r'xmlns="[^"]*"', "", written)
    assert picture.as_html(SHOWN).count("<svg") == 1
