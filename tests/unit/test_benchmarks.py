"""The benchmarks compute ratios, check targets, save results, and write them into the documentation."""

from pathlib import Path

import pytest

from benchmarks import document
from benchmarks.figures import Figure, Target
from benchmarks.report import Results, rows

FACTS = {"measured_at": "2026-01-01T12:00:00+00:00", "load_before": 0.1}


def figure() -> Figure:
    found = Figure("a thing", "ms", "floor", targets=[Target("ours", "≤", 2.0), Target("ours", "≤", 5, absolute=True)])
    for floor, ours in ((1.0, 3.0), (2.0, 4.0), (4.0, 6.0)):
        found.add("floor", floor)
        found.add("ours", ours)
    return found


def test_ratios_are_computed_for_each_repeat() -> None:
    assert figure().ratios("ours") == [3.0, 2.0, 1.5]
    assert figure().ratio("ours") == 2.0


def test_ratios_with_fewer_repeats_are_to_the_median() -> None:
    found = figure()
    found.add("other", 8.0)
    assert found.ratios("other") == [4.0]


def test_percentile_of_a_repeat_goes_by_rank() -> None:
    found = Figure("a thing", "ms", "ours")
    found.add_percentile("ours", 0.5, [4.0, 1.0, 3.0, 2.0])
    found.add_percentile("ours", 0.99, [4.0, 1.0, 3.0, 2.0])
    assert found.values == {"ours": [2.0, 4.0]}


def test_base_of_zero_gives_no_ratios() -> None:
    found = Figure("errors", "", "floor", {"floor": [0.0], "ours": [1.0]})
    assert found.ratios("ours") == []
    assert rows(found)[1] == ("ours", "1.00", "", "", "")


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("ours", "≤", 2.0), True),
        (Target("ours", "≤", 1.99), False),
        (Target("ours", "≥", 2.01), False),
        (Target("ours", "≤", 3.9, absolute=True), False),
        (Target("ours", "≥", 3.9, absolute=True), True),
    ],
)
def test_target_is_compared_with_the_median(target: Target, met: bool) -> None:
    assert figure().met(target) is met


def test_row_says_which_targets_were_not_reached() -> None:
    found = figure()
    found.targets.append(Target("ours", "≤", 1.5))
    wanted = "≤ 2 ×: met; ≤ 5 ms: met; ≤ 1.5 ×: not reached"
    assert rows(found)[1] == ("ours", "4.00 ms", "2.00", "1.50 … 3.00", wanted)


def test_repeated_scenario_replaces_only_its_results(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    Results(path).keep("compute", FACTS, [figure()])
    Results(path).keep("idle", FACTS, [figure()])
    again = figure()
    again.add("ours", 1.0)
    again.add("floor", 1.0)
    Results(path).keep("idle", FACTS, [again])
    assert Results(path).figures("compute") == [figure()]
    assert Results(path).figures("idle") == [again]
    assert Results(path).figures("burst") == []


def test_figures_are_written_between_their_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path / "results.json")
    results.keep("compute", FACTS, [figure()])
    on_disk = Results(tmp_path / "disk.json")
    slower = Figure("a thing", "tx/s", "floor", {"floor": [1.0], "ours": [1.0]})
    on_disk.keep("compute", FACTS, [slower, Figure("a thing", "ms", "floor", {"floor": [2.0], "ours": [40.0]})])
    monkeypatch.setattr(document, "DOCS", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- figures: compute brief -->\nold\n<!-- end of figures -->\nafter\n"
        "<!-- figures: disk compute brief ms -->\nold\n<!-- end of figures -->\n"
    )
    (tmp_path / "other.md").write_text("nothing asked\n")
    for _ in range(2):
        assert document.write(results, on_disk) == ["page.md"]
        lines = page.read_text().splitlines()
        assert lines[0] == "before"
        assert lines[lines.index("after") - 1] == "<!-- end of figures -->"
        assert "| a thing | 2.00 ms | 40.0 ms |" in lines, "figures of another unit than the first are no ratios"
        assert "| a thing | 2.00 ms | 2.00 (1.50 … 3.00) |" in lines
        assert "old" not in lines
