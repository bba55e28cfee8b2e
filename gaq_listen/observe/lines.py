"""One plain line an event, for logs: time (UTC), level, event, then key=value."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, assert_never

from gaq_listen import events
from gaq_listen.observe.output import Output
from gaq_listen.observe.staleness import Staleness
from gaq_listen.observe.text import clean, good, pair_name

PAIRS_NAMED = 5
"""Pairs of a batch that are named; the others are counted."""

_WARNINGS = (events.Polling, events.Disconnected, events.Behind, events.Failed, events.Paused)


def line(event: events.Event, at: datetime, staleness: Staleness | None = None) -> str | None:
    """The line for an event, without its newline; None when there is nothing worth a line.

    ``staleness``, when given, is summed up where the worker has stopped.

    >>> line(events.Behind(pairs_left=700, rounds=5), datetime(2026, 11, 23, 22, 31, 5, 123000, UTC))
    '2026-11-23T22:31:05.123Z WARNING behind pairs_left=700 rounds=5'
    """
    if event == events.Swept(found=0) or (isinstance(event, events.Audited) and not event.drifted):
        return None
    level = "WARNING" if isinstance(event, (*_WARNINGS, events.Audited)) else "INFO"
    return _written(at, level, type(event).__name__.lower(), _values(event, staleness))


def _values(event: events.Event, staleness: Staleness | None) -> dict[str, str]:
    match event:
        case events.Started(database, server_version):
            return {"database": clean(database), "server": clean(server_version)}
        case events.Listening():
            return {}
        case events.Polling(reason, seconds):
            return {"every_s": f"{seconds:g}", "reason": clean(reason)}
        case events.Batch():
            return _batch(event)
        case events.Failed(pairs):
            return {"pairs": f"{len(pairs)}", "failed": _failed(pairs)}
        case events.Behind(pairs_left, rounds):
            return {"pairs_left": f"{pairs_left}", "rounds": f"{rounds}"}
        case events.Recovered(rounds):
            return {"rounds": f"{rounds}", "message": "backlog recovered"}
        case events.Paused(by, seconds, reason):
            return {"by": clean(by), "for_s": f"{seconds:.1f}"} | ({"reason": clean(reason)} if reason else {})
        case events.Resumed(after):
            return {"after_s": f"{after:.1f}"}
        case events.Audited(pairs_checked, drifted):
            named = (f"{pair_name(pair)} ({clean(pair.differs)})" for pair in drifted[:PAIRS_NAMED])
            return {"pairs": f"{pairs_checked}", "drifted": f"{len(drifted)}", "differ": "; ".join(named)}
        case events.Swept(found):
            return {"found": f"{found}"}
        case events.Disconnected(reason, next_try):
            return {"next_try_s": f"{next_try:.1f}", "reason": clean(reason)}
        case events.Reconnected(after):
            return {"after_s": f"{after:.1f}"}
        case events.Stopping(reason):
            return {"reason": clean(reason)}
        case events.Stopped(batches, pairs, seconds):
            values = {"batches": f"{batches}", "pairs": f"{pairs}", "seconds": f"{seconds:.1f}"}
            if staleness and (last := staleness.percentiles()):
                values |= {"p50_ms": _ms(last.p50), "p99_ms": _ms(last.p99)}
                if last.pairs < pairs:
                    values["of_last"] = f"{last.pairs}"
            return values
    assert_never(event)


def _batch(batch: events.Batch) -> dict[str, str]:
    named = [
        f"{pair_name(pair)} ({clean(pair.causes)}) {'' if pair.removed else 'good '}{good(pair)}"
        for pair in batch.pairs[:PAIRS_NAMED]
    ]
    if len(batch.pairs) > PAIRS_NAMED:
        named.append(f"+{len(batch.pairs) - PAIRS_NAMED} more")
    oldest = max((pair.seconds_stale for pair in batch.pairs), default=0.0)
    return {
        "pairs": f"{len(batch.pairs)}",
        "ms": _ms(batch.seconds),
        "limit": f"{batch.limit}",
        "oldest_ms": _ms(oldest),
        "by_sweep": "yes" if batch.by_sweep else "no",
        "refreshed": "; ".join(named),
    }


def _failed(pairs: tuple[events.FailedPair, ...]) -> str:
    named = [
        f"{pair_name(pair)} (attempt {pair.attempts}, next in {pair.next_try:.0f} s): {clean(pair.error)}"
        for pair in pairs[:PAIRS_NAMED]
    ]
    if len(pairs) > PAIRS_NAMED:
        named.append(f"+{len(pairs) - PAIRS_NAMED} more")
    return "; ".join(named)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def _written(at: datetime, level: str, event: str, values: dict[str, str]) -> str:
    when = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    pairs = (f"{key}={_quoted(value)}" for key, value in values.items())
    return " ".join([when, level, event, *pairs])


def _quoted(value: str) -> str:
    if value and not set(value) & set(' "=\\'):
        return value
    return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'


@contextmanager
def plain_lines(stdout: IO[str], on_closed: Callable[[], None]) -> Iterator[events.Observer]:
    """Writes the line of each event to ``stdout``, flushed."""
    staleness = Staleness()

    def write(lines: list[str], left_out: int) -> None:
        if left_out:
            values = {"lines": f"{left_out}", "reason": "nobody took the output"}
            lines = [_written(datetime.now(UTC), "WARNING", "left_out", values), *lines]
        for text in lines:
            stdout.write(f"{text}\n")
            stdout.flush()

    with Output(write, stdout, on_closed) as output:

        def observe(event: events.Event) -> None:
            if isinstance(event, events.Batch):
                staleness.add(time.monotonic(), (pair.seconds_stale for pair in event.pairs))
            text = line(event, datetime.now(UTC), staleness)
            if text is not None:
                output.put(text, last=isinstance(event, events.Stopped))

        yield observe
