"""Draw the picture of the README: the console of a real demonstration, as rich exports it.

Usage: python docs/picture.py FILE.svg
"""

import io
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from gaq_listen.demo.play import play
from gaq_listen.observers.event_format import format_event
from gaq_listen.observers.repeats import Repeats
from gaq_listen.observers.status_panel import status_panel
from gaq_listen.observers.worker_state import WorkerState
from gaq_listen.reports.saving import exported
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker.events import Event, Stopping

SECONDS, WIDTH, LINES = 45.0, 100, 14


def main(file: Path) -> int:
    """Run a demonstration, then draw what its console showed when the simulated shift ended."""
    observed: list[tuple[Event, float, datetime]] = []
    code = play(SECONDS, 20.0, 3, "plain", lambda event: observed.append((event, time.monotonic(), datetime.now(UTC))))
    end = next(number for number, (event, _, _) in enumerate(observed) if isinstance(event, Stopping))
    shown = observed[:end]
    state, repeats = WorkerState(shown[0][1], objective=1.0), Repeats(float("inf"))
    lines = []
    for event, now, at in shown:
        state.apply(event, now)
        line = format_event(event, at)
        if line is not None and repeats.check(event, now) is not None:
            lines.append(line)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines[-LINES:]:
        console.print(line, no_wrap=True, overflow="ellipsis")
    console.print(status_panel(state, WorkerSettings(), shown[-1][1], WIDTH))
    file.write_text(exported(console, ".svg", "gaq-listen run"), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
