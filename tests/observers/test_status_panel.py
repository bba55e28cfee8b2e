"""The board and the tail, rendered at fixed sizes.

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
from gaq_listen.observers.status_panel import StatusPanel
from gaq_listen.observers.worker_state import WINDOW
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
from tests.observers import scene
from tests.observers.scene import AT, batch, pair

GOLDEN = Path(__file__).parent / "golden"
SCENES = {
    "connecting": [],
    "working": scene.WORKING,
    "busy": scene.BUSY,
    "failing": scene.FAILING,
    "paused": scene.PAUSED,
    "lost": scene.LOST,
    "hostile": scene.HOSTILE_NAMES,
    "ended": scene.ENDED,
}


def screen(told: Iterable[Event], width: int, height: int) -> str:
    """What a terminal of this size shows 12 s after these events."""
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    board = StatusPanel(0.0)
    with console.capture() as shown:
        for event in told:
            board.apply(event, 60.0)
            text = format_event(event, AT, board.standing.staleness)
            if text is not None:
                console.print(text, no_wrap=True, overflow="ellipsis")
        console.print(board.render(63.0, width))
    return "\n".join(shown.get().splitlines()[-height:]) + "\n"


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("name", SCENES)
def test_screen(name: str, size: tuple[int, int]) -> None:
    shown = screen(SCENES[name], *size)
    assert all(cell_len(line) <= size[0] for line in shown.splitlines())
    assert shown.replace("\n", "").isprintable()
    golden = GOLDEN / f"{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("GAQ_LISTEN_GOLDEN") == "write":
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")


def panel(board: StatusPanel, now: float, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as shown:
        console.print(board.render(now, width))
    return shown.get()


def told(*said: Event, at: float = 0.0) -> StatusPanel:
    board = StatusPanel(0.0)
    for event in said:
        board.apply(event, at)
    return board


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([], "CONNECTING  to the database"),
        ([Started("gaq", "18.1")], "CONNECTED"),
        ([Listening()], "LISTENING  a change is noticed at once"),
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
def test_state(said: list[Event], state: str) -> None:
    assert f"│ {state}" in panel(told(*said), 0.0)


def test_the_next_try_counts_down() -> None:
    board = told(Disconnected("refused", 3.2))
    assert "next try in 4 s" in panel(board, 0.1)
    assert "next try in 1 s" in panel(board, 3.1)
    assert "trying again: refused" in panel(board, 3.3)


def test_draining_ends_with_a_batch_that_is_not_full() -> None:
    board = told(Listening(), Behind(700, 5, 1.2))
    board.apply(batch(*(pair(run) for run in range(20)), limit=20), 1.0)
    assert "DRAINING  about 680 pairs left" in panel(board, 1.0)
    board.apply(batch(pair(), limit=20), 2.0)
    assert "LISTENING" in panel(board, 2.0)


def test_draining_ends_when_all_are_refreshed_or_nothing_is_heard_any_more() -> None:
    board = told(Listening(), Behind(20, 5, 1.2))
    assert "DRAINING" in panel(board, 9.0)
    assert "LISTENING" in panel(board, 11.0)
    board.apply(batch(*(pair(run) for run in range(20)), limit=20), 1.0)
    assert "LISTENING" in panel(board, 1.0)


def test_staleness_is_of_the_last_minutes() -> None:
    board = told(batch(pair(seconds_stale=9.0)))
    board.apply(batch(pair(seconds_stale=0.013)), WINDOW)
    assert "fresh in p50 13 ms, p99 9.0 s, 50.0 % within 1.0 s" in panel(board, WINDOW)
    assert "fresh in p50 13 ms, p99 13 ms, 100.0 % within 1.0 s" in panel(board, WINDOW + 1)
    assert "nothing refreshed in 5 min" in panel(board, 2 * WINDOW + 1)


def test_staleness_says_when_it_is_of_fewer_pairs_than_there_were() -> None:
    board = told(batch(*[pair()] * (KEPT + 1)))
    assert "100.0 % within 1.0 s, last 10 000" in panel(board, 0.0)


def test_the_sweep() -> None:
    board = told(Swept(3), at=10.0)
    assert "not swept yet" in panel(told(Listening()), 0.0)
    board.apply(Listening(), 10.0)
    assert "the last sweep found 3, next in 18 s" in panel(board, 22.0)
    board.apply(Swept(0), 40.0)
    assert "the last sweep found nothing, next in 30 s" in panel(board, 40.0)
    board.apply(Disconnected("refused", 8.0), 41.0)
    assert "next in" not in panel(board, 41.0)


def test_all_figures_of_a_long_busy_run_fit_eighty_columns() -> None:
    board = told(Started("gaq", "18.1"), Swept(0))
    for _ in range(30):
        board.apply(batch(*[pair(seconds_stale=0.213)] * 400, limit=400), 40.0)
    assert "…" not in panel(board, 59.0, width=80)


def test_what_is_stale_is_counted_from_outside() -> None:
    assert "│ not counted ·" in panel(told(BacklogCounted(None)), 0.0)
    assert "│ nothing stale ·" in panel(told(BacklogCounted(0)), 0.0)
    assert "│ 12 stale, oldest 300 ms ·" in panel(told(BacklogCounted(12, 0.3)), 0.0)
    assert "2 pairs failing: division by zero" in panel(told(BacklogCounted(2, 75.0, 2, "division by zero")), 0.0)


def test_the_course_of_the_last_minutes() -> None:
    board = told(batch(*[pair()] * 8), at=0.0)
    board.apply(batch(pair()), 20.0)
    board.apply(batch(pair()), 29.9)
    assert "0.3 pairs/s ···························█·▂ 5 min" in panel(board, 29.9)
    assert "0.0 pairs/s █·▂··························· 5 min" in panel(board, WINDOW - 1)


def test_a_better_pair_is_green_and_a_worse_one_red() -> None:
    def styles(before: float, after: float) -> set[str]:
        text = format_event(batch(pair(good_before=before, good_after=after)), AT)
        assert text is not None
        return {str(span.style) for span in text.spans} & {"red", "green"}

    assert styles(0.5, 0.6) == {"green"}
    assert styles(0.6, 0.5) == {"red"}
    assert styles(0.5, 0.5) == set()


def test_the_summary_of_a_long_run_fits_eighty_columns() -> None:
    staleness = Staleness()
    staleness.add(0.0, [0.072, 0.123])
    text = format_event(Stopped(batches=12345, pairs=123456, seconds=187200.0), AT, staleness)
    assert text is not None
    assert text.plain.startswith("stopped: 123 456 pairs in 12 345 batches, 2 d 04 h, fresh p50 72 ms, p99 123 ms")
    assert text.plain.endswith(" (last 2 pairs)")
    assert cell_len(text.plain.removesuffix(" (last 2 pairs)")) <= 80


def test_times_are_utc() -> None:
    text = format_event(Listening(), AT.astimezone(timezone(timedelta(hours=1))))
    assert text is not None
    assert text.plain.startswith("22:31:05.123  ")


def test_a_sweep_that_found_nothing_does_not_scroll_by() -> None:
    assert format_event(Swept(0), AT) is None
