"""Writes lines, plain or JSON, as events come; and a heartbeat, also at rest."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Protocol

from gaq_listen import events
from gaq_listen.observe import jsonl, lines
from gaq_listen.observe.output import Output
from gaq_listen.observe.repeats import Repeats
from gaq_listen.observe.staleness import Staleness
from gaq_listen.observe.standing import Aims, Standing

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
    heartbeat: Callable[[Standing, float, datetime], str]
    left_out: Callable[[int, datetime], str]


PLAIN = Style(lines.line, lines.heartbeat_line, lines.left_out_line)
JSON = Style(jsonl.json_line, jsonl.json_heartbeat, jsonl.json_left_out)


class Account:
    """What is worth a line, of all that is told. Pure; the clock is passed in."""

    def __init__(self, style: Style, aims: Aims, now: float) -> None:
        self._style = style
        self._standing = Standing(now, aims)
        self._repeats = Repeats(HEARTBEAT)
        self._beat = now

    def told(self, event: events.Event, now: float, at: datetime) -> str | None:
        """The line for what is told now, if any.

        It is whoever watches that makes the heartbeat: so it comes from the same loop as the worker's events, and
        stops with it.
        """
        self._standing.apply(event, now)
        if isinstance(event, events.Counted):
            if now - self._beat < HEARTBEAT:
                return None
            self._beat += HEARTBEAT * ((now - self._beat) // HEARTBEAT)
            return self._style.heartbeat(self._standing, now, at)
        repeated = self._repeats.judge(event, now)
        return None if repeated is None else self._style.line(event, at, self._standing.staleness, repeated)


@contextmanager
def lines_to(stdout: IO[str], on_closed: Callable[[], None], style: Style, aims: Aims) -> Iterator[events.Observer]:
    """Writes the lines to ``stdout``, flushed."""
    account = Account(style, aims, time.monotonic())

    def write(texts: list[str], left_out: int) -> None:
        if left_out:
            texts = [style.left_out(left_out, datetime.now(UTC)), *texts]
        for text in texts:
            stdout.write(f"{text}\n")
            stdout.flush()

    with Output(write, stdout, on_closed) as output:

        def observe(event: events.Event) -> None:
            text = account.told(event, time.monotonic(), datetime.now(UTC))
            if text is not None:
                output.put(text, last=isinstance(event, events.Stopped))

        yield observe
