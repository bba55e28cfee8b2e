"""Write events to a log, one line each, and a heartbeat line once a minute, also while the worker has nothing to do."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO

from gaq_listen.observers.background_writer import BackgroundWriter
from gaq_listen.observers.line_formats import LineFormat
from gaq_listen.observers.repeats import Repeats
from gaq_listen.observers.staleness import Staleness
from gaq_listen.observers.throughput import WINDOW
from gaq_listen.observers.worker_state import WorkerState
from gaq_listen.worker import events

HEARTBEAT = 60.0
"""Seconds between two heartbeat lines, and between two lines that repeat each other."""


def log_line(
    line_format: LineFormat, event: events.Event, at: datetime, staleness: Staleness | None = None, repeated: int = 0
) -> str | None:
    """Return the line of an event, without its newline, or None if the log has no line for the event.

    ``staleness`` is summed up in the line of a worker that has stopped. ``repeated`` is the number of equal events that
    were left out before this one.
    """
    if not event.logged:
        return None
    fields = dict(line_format.fields(event))
    if isinstance(event, events.Stopped) and staleness and (percentiles := staleness.percentiles()):
        fields |= line_format.summary(percentiles)
    if repeated:
        fields["repeated"] = repeated
    return line_format.write(at, event.severity.level, event.name, fields)


def heartbeat_line(line_format: LineFormat, state: WorkerState, now: float, at: datetime) -> str:
    """Return the line that says that the worker runs, and how. The level is WARNING unless all is well.

    Keys end with their unit, seconds or milliseconds. None means unknown.
    """
    word, _ = state.summary(now)
    counted = state.counted
    failing, _ = state.failing()
    recent = state.staleness.percentiles(now - WINDOW)
    healthy = word in ("LISTENING", "CONNECTED", "STOPPING", "STOPPED") and state.fresh() and not failing
    fields: dict[str, object] = {
        "state": word.lower(),
        "stale": counted.stale_pairs if counted else None,
        "oldest_s": round(counted.seconds_stale, 1) if counted and counted.stale_pairs is not None else None,
        "failing": failing,
        "batches": state.batches,
        "pairs": state.pairs,
        "p50_ms": round(recent.p50 * 1000, 1) if recent else None,
        "p99_ms": round(recent.p99 * 1000, 1) if recent else None,
        "swept_s_ago": round(now - state.swept[0]) if state.swept else None,
    }
    return line_format.write(at, "INFO" if healthy else "WARNING", "heartbeat", fields)


class EventLog:
    """Choose which events get a line of the log. The clock is passed in.

    The heartbeat line comes with a count of the backlog. The loop of the worker makes these counts, so a worker whose
    loop hangs has no heartbeat lines.
    """

    def __init__(self, line_format: LineFormat, objective: float, now: float) -> None:
        self._format = line_format
        self._state = WorkerState(now, objective)
        self._repeats = Repeats(HEARTBEAT)
        self._last_heartbeat = now

    def line(self, event: events.Event, now: float, at: datetime) -> str | None:
        """Return the line that an event leads to, or None."""
        self._state.apply(event, now)
        if isinstance(event, events.BacklogCounted):
            if now - self._last_heartbeat < HEARTBEAT:
                return None
            self._last_heartbeat += HEARTBEAT * ((now - self._last_heartbeat) // HEARTBEAT)
            return heartbeat_line(self._format, self._state, now, at)
        repeated = self._repeats.check(event, now)
        return None if repeated is None else log_line(self._format, event, at, self._state.staleness, repeated)


@contextmanager
def event_log(
    stdout: IO[str], on_closed: Callable[[], object], line_format: LineFormat, objective: float
) -> Iterator[events.Observer]:
    """Yield an observer that writes a log to ``stdout``, and flush each line.

    ``on_closed`` is called once, in another thread, when nobody reads ``stdout`` any more.
    """
    log = EventLog(line_format, objective, time.monotonic())

    def write(lines: list[str], left_out: int) -> None:
        if left_out:
            fields = {"lines": left_out, "reason": "the output did not take them in time"}
            lines = [line_format.write(datetime.now(UTC), "WARNING", "left_out", fields), *lines]
        for line in lines:
            stdout.write(f"{line}\n")
            stdout.flush()

    with BackgroundWriter(write, stdout, on_closed) as output:

        def observe(event: events.Event) -> None:
            line = log.line(event, time.monotonic(), datetime.now(UTC))
            if line is not None:
                output.put(line, last=isinstance(event, events.Stopped))

        yield observe
