"""Check when a status is good, and how it is drawn."""

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from gaq_listen.reports.failures import Failure
from gaq_listen.reports.pause import PausedRow
from gaq_listen.reports.status import Status, WorkerRow
from gaq_listen.reports.status_view import render
from tests.reports.example_pairs import HOSTILE
from tests.support.golden_files import SIZES, check

NOW = datetime(2026, 11, 24, 21, 30, 5, tzinfo=UTC)


def failure(data_pass: str | None, run: int, error: str = "division by zero") -> Failure:
    """Return a pair that has failed three times."""
    return Failure(12, data_pass, run, error, "22012", 3, NOW, NOW, NOW, 0.0)


WORKER = WorkerRow(
    name="gaq-1",
    host="gaq.cern.ch",
    pid=4711,
    alive=True,
    state="listening",
    started_at=NOW - timedelta(hours=50),
    seen_at=NOW - timedelta(seconds=3),
    batches=12345,
    pairs=123456,
    swept_at=NOW - timedelta(seconds=12),
    swept_found=0,
    found_by_sweeps=7,
)
FRESH = Status(
    at=NOW,
    objective=1.0,
    stale_pairs=0,
    stale_since=None,
    seconds_stale=None,
    refreshed=1513,
    p50_seconds=0.0035,
    p99_seconds=0.17,
    within_objective=0.9993,
    summaries=240,
    not_computable=3,
    last_refresh=NOW - timedelta(seconds=1),
    somebody_listens=True,
    triggers_enabled=24,
    triggers_disabled=0,
    triggers_missing=0,
    paused=None,
    workers=(WORKER,),
    failures=(),
)
STALE = replace(
    FRESH,
    stale_pairs=1312,
    stale_since=NOW - timedelta(seconds=75),
    seconds_stale=75.0,
    paused=PausedRow(NOW - timedelta(minutes=2), "ops", "upgrade"),
    workers=(
        replace(WORKER, state="paused", swept_found=312),
        replace(WORKER, name="gaq-2", alive=False, seen_at=NOW - timedelta(hours=2)),
    ),
    failures=tuple(failure("LHC22o_apass7" if run % 2 else None, run) for run in range(1, 8)),
    triggers_enabled=20,
    triggers_disabled=1,
    triggers_missing=3,
)
NOBODY = replace(
    FRESH,
    refreshed=0,
    p50_seconds=None,
    p99_seconds=None,
    within_objective=None,
    summaries=0,
    not_computable=0,
    last_refresh=None,
    workers=(),
)
HOSTILE_NAMES = replace(
    STALE,
    paused=PausedRow(NOW, HOSTILE, HOSTILE),
    workers=(replace(WORKER, name=HOSTILE, host=HOSTILE, state=HOSTILE), replace(WORKER, name=HOSTILE, alive=False)),
    failures=(failure(HOSTILE, 2, HOSTILE),),
)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("name", "status"), [("fresh", FRESH), ("stale", STALE), ("nobody", NOBODY), ("hostile", HOSTILE_NAMES)]
)
def test_drawn(name: str, status: Status, size: tuple[int, int]) -> None:
    console = Console(file=io.StringIO(), width=size[0], color_system=None)
    with console.capture() as shown:
        console.print(render(status))
    check(f"status-{name}", size, shown.get(), whole=True)


@pytest.mark.parametrize(
    ("status", "good"),
    [
        (FRESH, True),
        (NOBODY, True),
        (replace(FRESH, stale_pairs=3, seconds_stale=0.9), True),
        (replace(FRESH, stale_pairs=3, seconds_stale=1.1), False),
        (replace(FRESH, stale_pairs=3, seconds_stale=1.1, objective=5.0), True),
        (replace(FRESH, triggers_disabled=1), False),
        (replace(FRESH, triggers_missing=1), False),
        (STALE, False),
    ],
)
def test_a_status_is_good_unless_something_is_wrong(status: Status, good: bool) -> None:
    assert status.good is good
    assert bool(status.wrong()) is not good
    assert status.as_json()["good"] is good


def test_the_status_json_keeps_its_names() -> None:
    """Monitors rely on the names: later versions may add some, and remove none."""
    found = json.loads(json.dumps(STALE.as_json()))
    assert set(found) == {
        "at", "objective", "good", "wrong", "stale_pairs", "stale_since", "seconds_stale", "refreshed", "p50_seconds",
        "p99_seconds", "within_objective", "summaries", "not_computable", "last_refresh", "somebody_listens",
        "triggers_enabled", "triggers_disabled", "triggers_missing", "paused", "workers", "failures", "source_changes",
    }  # fmt: skip
    assert found["stale_since"] == "2026-11-24T21:28:50+00:00"
    assert found["paused"] == {"paused_at": "2026-11-24T21:28:05+00:00", "paused_by": "ops", "reason": "upgrade"}
    assert [worker["alive"] for worker in found["workers"]] == [True, False]
    assert found["failures"][0]["run_number"] == 1


def test_each_name_of_the_status_json_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "console.md").read_text()
    documented = set(re.findall(r"`(\w+)`", text[text.index("## `status`") : text.index("## `show`")]))
    found = STALE.as_json()
    inner = {name for part in ("workers", "failures") for name in found[part][0]} | set(found["paused"])
    assert set(found) | inner <= documented
