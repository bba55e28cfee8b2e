"""One JSON object a line, for a log collector: ``time``, ``level``, ``event``, then the fields of the event. Pure."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from gaq_listen.observers.logfmt import heartbeat, level, when, worth_a_line
from gaq_listen.observers.staleness import Staleness
from gaq_listen.observers.worker_state import WorkerState
from gaq_listen.worker import events

LISTED = 50
"""Pairs of an event that are listed: collectors cut lines that are too long. ``pairs_not_listed`` counts the others."""


def json_line(event: events.Event, at: datetime, staleness: Staleness | None = None, repeated: int = 0) -> str | None:
    """Write an event as ``logfmt.format_line`` does; the fields are those of the event's class, seconds and fractions.

    >>> from datetime import UTC
    >>> json_line(events.Recovered(7), datetime(2026, 11, 23, 22, 31, 5, 123000, UTC))
    '{"time": "2026-11-23T22:31:05.123Z", "level": "INFO", "event": "caught_up", "rounds": 7}'
    """
    if not worth_a_line(event):
        return None
    values: dict[str, Any] = asdict(event)
    for name in ("pairs", "drifted"):
        listed = values.get(name)
        if isinstance(listed, tuple):
            values[name] = listed[:LISTED]
            values[f"{name}_not_listed"] = max(0, len(listed) - LISTED)
    if isinstance(event, events.Stopped) and staleness and (last := staleness.percentiles()):
        values |= {"p50": last.p50, "p99": last.p99, "of_last": last.pairs}
    if repeated:
        values["repeated"] = repeated
    return _written(at, level(event), events.name_of(event), values)


def json_heartbeat(standing: WorkerState, now: float, at: datetime) -> str:
    """How the worker stands, also at rest."""
    level, values = heartbeat(standing, now)
    return _written(at, level, "heartbeat", values)


def json_left_out(lines: int, at: datetime) -> str:
    """Stands for lines that could not be written in time."""
    return _written(at, "WARNING", "left_out", {"lines": lines, "reason": "nobody took the output"})


def _written(at: datetime, level: str, event: str, values: dict[str, Any]) -> str:
    return json.dumps({"time": when(at), "level": level, "event": event, **values}, ensure_ascii=False)
