"""Format lines of the log: as ``key=value`` fields for people, or as JSON objects for a log collector."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from gaq_listen.observers.staleness import Percentiles
from gaq_listen.worker import events

LISTED = 50
"""Largest number of pairs that a JSON object lists, because log collectors cut long lines."""

Fields: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LineFormat:
    """Bundle the functions of a format.

    ``fields`` returns the fields of an event. ``summary`` returns fields that sum up the freshness at the end, and
    ``write`` returns a line without its newline, from the time, the level, the name of the event and the fields.
    """

    fields: Callable[[events.Event], Fields]
    summary: Callable[[Percentiles], Fields]
    write: Callable[[datetime, str, str, Fields], str]


def _plain_summary(percentiles: Percentiles) -> Fields:
    return {
        "p50_ms": f"{percentiles.p50 * 1000:.1f}",
        "p99_ms": f"{percentiles.p99 * 1000:.1f}",
        "of_last": percentiles.pairs,
    }


def _plain_line(at: datetime, level: str, name: str, fields: Fields) -> str:
    pairs = (f"{key}={_quote('-' if value is None else str(value))}" for key, value in fields.items())
    return " ".join([_timestamp(at), level, name, *pairs])


def _quote(value: str) -> str:
    if value and not set(value) & set(' "=\\'):
        return value
    return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'


def _json_fields(event: events.Event) -> Fields:
    values: dict[str, Any] = {}
    for name, value in asdict(event).items():
        values[name] = value[:LISTED] if isinstance(value, tuple) else value
        if isinstance(value, tuple) and len(value) > LISTED:
            values[f"{name}_not_listed"] = len(value) - LISTED
    return values


def _json_summary(percentiles: Percentiles) -> Fields:
    return {"p50": percentiles.p50, "p99": percentiles.p99, "of_last": percentiles.pairs}


def _json_line(at: datetime, level: str, name: str, fields: Fields) -> str:
    return json.dumps({"time": _timestamp(at), "level": level, "event": name, **fields}, ensure_ascii=False)


def _timestamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


PLAIN = LineFormat(lambda event: event.log_fields(), _plain_summary, _plain_line)
JSON = LineFormat(_json_fields, _json_summary, _json_line)
