"""The live console: joins the board and the tail to a terminal, through rich's ``Live``."""

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
from gaq_listen.observers.event_format import format_event, left_out
from gaq_listen.observers.repeats import Repeats
from gaq_listen.observers.status_panel import StatusPanel
from gaq_listen.observers.worker_state import Goals
from gaq_listen.worker import events

REFRESH = 0.5
"""Seconds between two refreshes of the panel."""


class Terminal(Console):
    """A rich console that leaves a broken pipe to whoever writes, rather than ending the program."""

    def on_broken_pipe(self) -> None:
        raise


@contextmanager
def live_console(
    console: Console, on_closed: Callable[[], None], aims: Goals | None = None
) -> Iterator[events.Observer]:
    """Shows events on ``console``: the tail scrolls by above the board, which stays when it ends."""
    board = StatusPanel(time.monotonic(), aims)
    repeats = Repeats(math.inf)
    # Told by the worker's thread, rendered by the output's.
    lock = threading.RLock()
    refreshed = 0.0

    def render() -> RenderableType:
        with lock:
            panel = board.render(time.monotonic(), console.width)
        # The cursor rests on an empty line, where the terminal echoes ^C: at the end of the panel, that would tear it.
        return Group(panel, Text())

    # Stray messages would tear the panel, so they scroll by as well, unless they go elsewhere.
    live = Live(
        console=console,
        get_renderable=render,
        auto_refresh=False,
        redirect_stderr=sys.stderr.isatty(),
    )

    def write(texts: list[Text], missing: int) -> None:
        nonlocal refreshed
        if missing:
            texts = [left_out(missing), *texts]
        if texts:
            console.print(*texts, sep="\n", no_wrap=True, overflow="ellipsis")
        now = time.monotonic()
        if now - refreshed >= REFRESH:
            refreshed = now
            live.refresh()

    def observe(event: events.Event) -> None:
        now = time.monotonic()
        with lock:
            board.apply(event, now)
            text = format_event(event, datetime.now(UTC), board.standing.staleness)
        # Said once: the panel goes on showing it.
        if text is not None and repeats.judge(event, now) is not None:
            output.put(text, last=isinstance(event, events.Stopped))

    try:
        live.start(refresh=True)
        with BackgroundWriter(write, console.file, on_closed, every=REFRESH) as output:
            yield observe
    finally:
        try:
            live.stop()
        except BrokenPipeError:
            divert(console.file)
