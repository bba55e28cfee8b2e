"""Show a worker on a terminal: lines of events scroll above a panel that is redrawn, through rich's ``Live``."""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from gaq_listen.observers.background_writer import BackgroundWriter, divert
from gaq_listen.observers.event_format import format_event, left_out_line
from gaq_listen.observers.repeats import Repeats
from gaq_listen.observers.status_panel import status_panel
from gaq_listen.observers.worker_state import WorkerState
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import events

REDRAW = 0.5
"""Seconds between two times that the panel is drawn."""


class Terminal(Console):
    """Raise BrokenPipeError to the writer when the reader has gone. Rich's own console would end the program."""

    def on_broken_pipe(self) -> None:
        raise


@contextmanager
def live_console(
    console: Console, on_closed: Callable[[], object], settings: WorkerSettings, objective: float
) -> Iterator[events.Observer]:
    """Yield an observer that shows events on ``console``. The panel stays there when the context ends.

    ``on_closed`` is called once, in another thread, when nobody reads the terminal any more.
    """
    state = WorkerState(time.monotonic(), objective)
    repeats = Repeats(math.inf)
    # The worker's thread changes the state, and the writer's thread draws it.
    lock = threading.RLock()
    drawn = 0.0

    def draw() -> RenderableType:
        with lock:
            panel = status_panel(state, settings, time.monotonic(), console.width)
        # The cursor rests on an empty line, because the ^C that the terminal echoes would tear the panel.
        return Group(panel, Text())

    # A message that another part of the program prints would tear the panel, so rich prints it above the panel.
    live = Live(
        console=console,
        get_renderable=draw,
        auto_refresh=False,
        redirect_stderr=sys.stderr.isatty(),
    )

    def write(lines: list[Text], left_out: int) -> None:
        nonlocal drawn
        if left_out:
            lines = [left_out_line(left_out), *lines]
        if lines:
            console.print(*lines, sep="\n", no_wrap=True, overflow="ellipsis")
        now = time.monotonic()
        if now - drawn >= REDRAW:
            drawn = now
            live.refresh()

    def observe(event: events.Event) -> None:
        now = time.monotonic()
        with lock:
            state.apply(event, now)
            line = format_event(event, datetime.now(UTC), state.staleness)
        # The console has one line for a condition that lasts, because the panel shows the condition.
        if line is not None and repeats.check(event, now) is not None:
            output.put(line, last=isinstance(event, events.Stopped))

    try:
        live.start(refresh=True)
        with BackgroundWriter(write, console.file, on_closed, every=REDRAW) as output:
            yield observe
    finally:
        try:
            live.stop()
        except BrokenPipeError:
            divert(console.file)
