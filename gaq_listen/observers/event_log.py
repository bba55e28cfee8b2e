"""Writes lines, plain or JSON, as events come; and a heartbeat, also at rest."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Protocol

from gaq_listen.observers import json_lines, logfmt
from gaq_listen.observers.background_writer import BackgroundWriter
from gaq_listen.observers.repeats import Repeats
from gaq_listen.observers.staleness import Staleness
from gaq_listen.observers.worker_state import Goals, WorkerState
from gaq_listen.worker import events

HEARTBEAT = 60.0
"""Seconds between two heartbeat lines, and between two lines that say the same."""


class _Line(Protocol):
    def __call__(
        self, event: events.Event, at: datetime, staleness: Staleness | None = None, repeated: int = 0
    ) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Style:
    """How a line is written: of an event, of a heartbeat, and of lines that were left out."""

    line: _Line
    heartbeat: Callable[[WorkerState, float, datetime], str]
    left_out: Callable[[int, datetime], str]


PLAIN = Style(logfmt.format_line, logfmt.heartbeat_line, logfmt.left_out_line)
JSON = Style(json_lines.json_line, json_lines.json_heartbeat, json_lines.json_left_out)


class EventLog:
    """What is worth a line, of all that is told. Pure; the clock is passed in."""

    def __init__(self, style: Style, aims: Goals, now: float) -> None:
        self._style = style
        self._standing = WorkerState(now, aims)
        self._repeats = Repeats(HEARTBEAT)
        self._beat = now

    def told(self, event: events.Event, now: float, at: datetime) -> str | None:
        """The line for what is told now, if any.

        It is whoever watches that makes the heartbeat: so it comes from the same loop as the worker's events, and
        stops with it.
        """
        self._standing.apply(event, now)
        if isinstance(event, events.BacklogCounted):
            if now - self._beat < HEARTBEAT:
                return None
            self._beat += HEARTBEAT * ((now - self._beat) // HEARTBEAT)
            return self._style.heartbeat(self._standing, now, at)
        repeated = self._repeats.judge(event, now)
        return None if repeated is None else self._style.line(event, at, self._standing.staleness, repeated)


@contextmanager
def event_log(stdout: IO[str], on_closed: Callable[[], None], style: Style, aims: Goals) -> Iterator[events.Observer]:
    """Writes the lines to ``stdout``, flushed."""
    account = EventLog(style, aims, time.monotonic())

    def write(texts: list[str], left_out: int) -> None:
        if left_out:
            texts = [style.left_out(left_out, datetime.now(UTC)), *texts]
        for text in texts:
            stdout.write(f"{text}\n")
            stdout.flush()

    with BackgroundWriter(write, stdout, on_closed) as output:

        def observe(event: events.Event) -> None:
            text = account.told(event, time.monotonic(), datetime.now(UTC))
            if text is not None:
                output.put(text, last=isinstance(event, events.Stopped))

        yield observe
