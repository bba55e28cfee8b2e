"""Test the lines and the panel of the console at fixed sizes.

Rewrite the golden files with ``GAQ_LISTEN_GOLDEN=write pytest tests/observers``, then read their diff.
"""

import io
import os
from collections.abc import Iterable
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from gaq_listen.observers.event_format import format_event
from gaq_listen.observers.staleness import KEPT, Staleness
from gaq_listen.observers.status_panel import status_panel
from gaq_listen.observers.throughput import WINDOW
from gaq_listen.observers.worker_state import WorkerState
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker.events import (
    BacklogCounted,
    Behind,
    Blocked,
    Broken,
    CaughtUp,
    Disconnected,
    Event,
    Listening,
    Paused,
    Polling,
    Reconnected,
    Repaired,
    Resumed,
    SourcesChanged,
    SourcesRestored,
    Started,
    Stopped,
    Stopping,
    Swept,
    Unblocked,
)
from tests.observers import example_events
from tests.observers.example_events import AT, batch, pair

GOLDEN = Path(__file__).parent / "golden"
SCENES = {
    "connecting": [],
    "working": example_events.WORKING,
    "busy": example_events.BUSY,
    "failing": example_events.FAILING,
    "paused": example_events.PAUSED,
    "lost": example_events.LOST,
    "hostile": example_events.HOSTILE_NAMES,
    "ended": example_events.ENDED,
}


def screen(events: Iterable[Event], width: int, height: int) -> str:
    """Return what a terminal of this size shows 3 s after these events."""
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    state = WorkerState(0.0, objective=1.0)
    with console.capture() as shown:
        for event in events:
            state.apply(event, 60.0)
            text = format_event(event, AT, state.staleness)
            if text is not None:
                console.print(text, no_wrap=True, overflow="ellipsis")
        console.print(status_panel(state, WorkerSettings(), 63.0, width))
    return "\n".join(shown.get().splitlines()[-height:]) + "\n"


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("name", SCENES)
def test_a_screen_of_each_size(name: str, size: tuple[int, int]) -> None:
    shown = screen(SCENES[name], *size)
    assert all(cell_len(line) <= size[0] for line in shown.splitlines())
    assert shown.replace("\n", "").isprintable()
    golden = GOLDEN / f"{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("GAQ_LISTEN_GOLDEN") == "write":
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")


def panel(state: WorkerState, now: float, width: int = 200) -> str:
    """Return the panel that shows a state."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as shown:
        console.print(status_panel(state, WorkerSettings(), now, width))
    return shown.get()


def state_after(*events: Event, at: float = 0.0) -> WorkerState:
    """Return the state of a worker after events that all came at one time."""
    state = WorkerState(0.0, objective=1.0)
    for event in events:
        state.apply(event, at)
    return state


@pytest.mark.parametrize(
    ("events", "line"),
    [
        ([], "CONNECTING  to the database"),
        ([Started("gaq", "18.1")], "CONNECTED"),
        ([Listening()], "LISTENING  the worker notices a change at once"),
        ([Polling("a pooler", 1.0)], "POLLING  every 1.0 s, for 0 s: a pooler"),
        ([Disconnected("refused", 8.0)], "DISCONNECTED  next try in 8 s: refused"),
        ([Disconnected("refused", 0.0)], "DISCONNECTED  trying again: refused"),
        ([Disconnected("refused", 8.0), Reconnected(2.0)], "CONNECTED  again, after 2.0 s"),
        ([Listening(), Broken("no view", 5.0)], "BROKEN  see gaq-listen doctor; next try in 5 s: no view"),
        ([Listening(), Broken("no view", 5.0), Repaired(9.0)], "LISTENING"),
        ([Listening(), Blocked("no lock", 0.25)], "BLOCKED  next try in 1 s: no lock"),
        ([Listening(), Blocked("no lock", 0.25), Unblocked(9.0)], "LISTENING"),
        ([Listening(), SourcesChanged(("a swap", "more"), "a command")], "ALARM  run: a command; a swap"),
        ([Listening(), SourcesChanged(("a swap",), "a command"), SourcesRestored(3.0)], "LISTENING"),
        ([Listening(), Behind(700, 5, 1.2)], "DRAINING  about 700 pairs left"),
        ([Listening(), Behind(700, 5, 1.2), batch(pair(), limit=2), CaughtUp(7)], "LISTENING"),
        ([Listening(), Behind(700, 5, 1.2), Disconnected("refused", 8.0)], "DISCONNECTED"),
        ([Behind(700, 5, 1.2), Disconnected("refused", 8.0), Listening()], "LISTENING"),
        ([Listening(), Paused("ops", 12.0, "upgrade")], "PAUSED  by ops 12 s ago: upgrade"),
        ([Listening(), Paused("ops", 12.0), Resumed(20.0)], "LISTENING"),
        ([Polling("a pooler", 1.0), Paused("ops", 12.0), Resumed(20.0)], "POLLING"),
        ([Listening(), Behind(700, 5, 1.2), Paused("ops", 12.0), Resumed(20.0)], "DRAINING"),
        ([Listening(), Paused("ops", 12.0), Disconnected("refused", 8.0)], "DISCONNECTED"),
        ([Paused("ops", 12.0), Disconnected("refused", 8.0), Reconnected(2.0), Listening()], "LISTENING"),
        ([Stopping("SIGTERM")], "STOPPING  SIGTERM: the batch in flight finishes, Ctrl-C again ends at once"),
        ([Stopping("SIGTERM"), Disconnected("refused", 8.0), Listening()], "STOPPING"),
        ([Behind(700, 5, 1.2), Stopping("SIGTERM"), batch(pair(), limit=1)], "STOPPING"),
        ([Stopping("SIGTERM"), Stopped(1, 2, 3.0)], "STOPPED  after 3.0 s"),
    ],
)
def test_the_first_line_of_the_panel(events: list[Event], line: str) -> None:
    assert f"│ {line}" in panel(state_after(*events), 0.0)


def test_the_next_try_counts_down() -> None:
    state = state_after(Disconnected("refused", 3.2))
    assert "next try in 4 s" in panel(state, 0.1)
    assert "next try in 1 s" in panel(state, 3.1)
    assert "trying again: refused" in panel(state, 3.3)


def test_draining_ends_with_a_batch_that_is_not_full() -> None:
    state = state_after(Listening(), Behind(700, 5, 1.2))
    state.apply(batch(*(pair(run) for run in range(20)), limit=20), 1.0)
    assert "DRAINING  about 680 pairs left" in panel(state, 1.0)
    state.apply(batch(pair(), limit=20), 2.0)
    assert "LISTENING" in panel(state, 2.0)


def test_draining_ends_with_the_last_pair_or_after_silence() -> None:
    state = state_after(Listening(), Behind(20, 5, 1.2))
    assert "DRAINING" in panel(state, 9.0)
    assert "LISTENING" in panel(state, 11.0)
    state.apply(batch(*(pair(run) for run in range(20)), limit=20), 1.0)
    assert "LISTENING" in panel(state, 1.0)


def test_freshness_is_of_the_last_minutes() -> None:
    state = state_after(batch(pair(seconds_stale=9.0)))
    state.apply(batch(pair(seconds_stale=0.013)), WINDOW)
    assert "fresh in p50 13 ms, p99 9.0 s, 50.0 % within 1.0 s" in panel(state, WINDOW)
    assert "fresh in p50 13 ms, p99 13 ms, 100.0 % within 1.0 s" in panel(state, WINDOW + 1)
    assert "nothing refreshed in 5 min" in panel(state, 2 * WINDOW + 1)


def test_freshness_of_only_the_last_pairs_says_so() -> None:
    state = state_after(batch(*[pair()] * (KEPT + 1)))
    assert "100.0 % within 1.0 s, last 10 000" in panel(state, 0.0)


def test_the_panel_shows_the_last_and_the_next_sweep() -> None:
    state = state_after(Swept(3), at=10.0)
    assert "not swept yet" in panel(state_after(Listening()), 0.0)
    state.apply(Listening(), 10.0)
    assert "the last sweep found 3, next in 18 s" in panel(state, 22.0)
    state.apply(Swept(0), 40.0)
    assert "the last sweep found nothing, next in 30 s" in panel(state, 40.0)
    state.apply(Disconnected("refused", 8.0), 41.0)
    assert "next in" not in panel(state, 41.0)


def test_the_figures_of_a_long_run_fit_80_columns() -> None:
    state = state_after(Started("gaq", "18.1"), Swept(0))
    for _ in range(30):
        state.apply(batch(*[pair(seconds_stale=0.213)] * 400, limit=400), 40.0)
    assert "…" not in panel(state, 59.0, width=80)


def test_the_panel_shows_the_counted_backlog() -> None:
    assert "│ not counted ·" in panel(state_after(BacklogCounted(None)), 0.0)
    assert "│ nothing stale ·" in panel(state_after(BacklogCounted(0)), 0.0)
    assert "│ 12 stale, oldest 300 ms ·" in panel(state_after(BacklogCounted(12, 0.3)), 0.0)
    assert "2 pairs failing: division by zero" in panel(
        state_after(BacklogCounted(2, 75.0, 2, "division by zero")), 0.0
    )


def test_the_chart_of_the_last_minutes() -> None:
    state = state_after(batch(*[pair()] * 8), at=0.0)
    state.apply(batch(pair()), 20.0)
    state.apply(batch(pair()), 29.9)
    assert "0.3 pairs/s ···························█·▂ 5 min" in panel(state, 29.9)
    assert "0.0 pairs/s █·▂··························· 5 min" in panel(state, WINDOW - 1)


def test_a_rise_is_green_and_a_fall_red() -> None:
    def styles(before: float, after: float) -> set[str]:
        text = format_event(batch(pair(good_before=before, good_after=after)), AT)
        assert text is not None
        return {str(span.style) for span in text.spans} & {"red", "green"}

    assert styles(0.5, 0.6) == {"green"}
    assert styles(0.6, 0.5) == {"red"}
    assert styles(0.5, 0.5) == set()


def test_the_summary_of_a_long_run_fits_80_columns() -> None:
    staleness = Staleness()
    staleness.add(0.0, [0.072, 0.123])
    text = format_event(Stopped(batches=12345, pairs=123456, seconds=187200.0), AT, staleness)
    assert text is not None
    assert text.plain.startswith("stopped: 123 456 pairs in 12 345 batches, 2 d 04 h, fresh p50 72 ms, p99 123 ms")
    assert text.plain.endswith(" (last 2 pairs)")
    assert cell_len(text.plain.removesuffix(" (last 2 pairs)")) <= 80


def test_the_time_of_a_line_is_utc() -> None:
    text = format_event(Listening(), AT.astimezone(timezone(timedelta(hours=1))))
    assert text is not None
    assert text.plain.startswith("22:31:05.123  ")


def test_a_sweep_that_found_nothing_has_no_line() -> None:
    assert format_event(Swept(0), AT) is None
