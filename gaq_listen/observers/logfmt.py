"""One plain line an event, for logs: time (UTC), level, event, then key=value. Pure."""

from datetime import UTC, datetime
from typing import assert_never

from gaq_listen.observers.staleness import Staleness
from gaq_listen.observers.wording import coverage_change, pair_name, sanitize
from gaq_listen.observers.worker_state import WINDOW, WorkerState
from gaq_listen.worker import events

PAIRS_NAMED = 5
"""Pairs of a batch that are named; the others are counted."""

_WARNINGS = (
    events.Polling,
    events.Disconnected,
    events.Broken,
    events.Behind,
    events.PairsFailed,
    events.Paused,
    events.Blocked,
    events.SourcesChanged,
)


def worth_a_line(event: events.Event) -> bool:
    """Whether there is anything to say of it: not of a look that found all as it should be."""
    match event:
        case events.Swept(found):
            return found > 0
        case events.Audited(_, drifted):
            return bool(drifted)
        case events.BacklogCounted() | events.Idle():
            return False
    return True


def level(event: events.Event) -> str:
    """``INFO``, or ``WARNING`` for what somebody should look at."""
    return "WARNING" if isinstance(event, (*_WARNINGS, events.Audited)) else "INFO"


def format_line(event: events.Event, at: datetime, staleness: Staleness | None = None, repeated: int = 0) -> str | None:
    """The line for an event, without its newline; None when there is nothing worth a line.

    ``staleness``, when given, is summed up where the worker has stopped. So many events that said the same have been
    left out before this one: ``repeated``.

    >>> line(events.Behind(pairs_left=700, rounds=5, seconds_left=1.2), datetime(2026, 11, 23, 22, 31, 5, 123000, UTC))
    '2026-11-23T22:31:05.123Z WARNING behind pairs_left=700 rounds=5 time_left_s=1.2'
    """
    if not worth_a_line(event):
        return None
    values = _values(event, staleness)
    if repeated:
        values["repeated"] = f"{repeated}"
    return format_fields(at, level(event), events.name_of(event), values)


def heartbeat(standing: WorkerState, now: float) -> tuple[str, dict[str, object]]:
    """Level and values of the line that tells, also at rest, that the worker is there and how it stands.

    Seconds and milliseconds as the keys say; None: unknown.
    """
    state, _ = standing.state(now)
    counted = standing.counted
    recent = standing.staleness.percentiles(now - WINDOW)
    values: dict[str, object] = {
        "state": state.lower(),
        "stale": counted.stale_pairs if counted else None,
        "oldest_s": round(counted.seconds_stale, 1) if counted and counted.stale_pairs is not None else None,
        "failing": standing.failing()[0],
        "batches": standing.batches,
        "pairs": standing.pairs,
        "p50_ms": round(recent.p50 * 1000, 1) if recent else None,
        "p99_ms": round(recent.p99 * 1000, 1) if recent else None,
        "swept_s_ago": round(now - standing.swept[0]) if standing.swept else None,
    }
    good = state in ("LISTENING", "CONNECTED", "STOPPING", "STOPPED") and standing.fresh() and not values["failing"]
    return "INFO" if good else "WARNING", values


def heartbeat_line(standing: WorkerState, now: float, at: datetime) -> str:
    """The same as a line; what is unknown is ``-``."""
    level, values = heartbeat(standing, now)
    return format_fields(at, level, "heartbeat", {key: "-" if v is None else f"{v}" for key, v in values.items()})


def left_out_line(lines: int, at: datetime) -> str:
    """Stands for lines that could not be written in time."""
    return format_fields(at, "WARNING", "left_out", {"lines": f"{lines}", "reason": "nobody took the output"})


def _values(event: events.Event, staleness: Staleness | None) -> dict[str, str]:
    match event:
        case events.Started(database, server_version, worker):
            values = {"database": sanitize(database), "server": sanitize(server_version)}
            return values | ({"worker": sanitize(worker)} if worker else {})
        case events.Listening():
            return {}
        case events.Polling(reason, seconds):
            return {"every_s": f"{seconds:g}", "reason": sanitize(reason)}
        case events.BatchRefreshed():
            return _batch(event)
        case events.PairsFailed(pairs):
            return {"pairs": f"{len(pairs)}", "failed": _failed(pairs)}
        case events.Behind(pairs_left, rounds, seconds_left):
            return {"pairs_left": f"{pairs_left}", "rounds": f"{rounds}", "time_left_s": f"{seconds_left:.1f}"}
        case events.CaughtUp(rounds):
            return {"rounds": f"{rounds}", "message": "backlog recovered"}
        case events.Paused(by, seconds, reason):
            return {"by": sanitize(by), "for_s": f"{seconds:.1f}"} | ({"reason": sanitize(reason)} if reason else {})
        case events.Resumed(after):
            return {"after_s": f"{after:.1f}"}
        case events.Audited(pairs_checked, drifted):
            named = (f"{pair_name(pair)} ({sanitize(pair.differs)})" for pair in drifted[:PAIRS_NAMED])
            return {"pairs": f"{pairs_checked}", "drifted": f"{len(drifted)}", "differ": "; ".join(named)}
        case events.Swept(found):
            return {"found": f"{found}"}
        case events.BacklogCounted(stale_pairs):
            return {"stale": "-" if stale_pairs is None else f"{stale_pairs}"}
        case events.Idle():
            return {}
        case events.Disconnected(reason, next_try) | events.Broken(reason, next_try) | events.Blocked(reason, next_try):
            return {"next_try_s": f"{next_try:.1f}", "reason": sanitize(reason)}
        case events.SourcesChanged(what, fix):
            return {"what": "; ".join(map(sanitize, what)), "fix": fix}
        case (
            events.Reconnected(after) | events.Repaired(after) | events.Unblocked(after) | events.SourcesRestored(after)
        ):
            return {"after_s": f"{after:.1f}"}
        case events.Stopping(reason):
            return {"reason": sanitize(reason)}
        case events.Stopped(batches, pairs, seconds):
            values = {"batches": f"{batches}", "pairs": f"{pairs}", "seconds": f"{seconds:.1f}"}
            if staleness and (last := staleness.percentiles()):
                values |= {"p50_ms": _ms(last.p50), "p99_ms": _ms(last.p99)}
                if last.pairs < pairs:
                    values["of_last"] = f"{last.pairs}"
            return values
    assert_never(event)


def _batch(batch: events.BatchRefreshed) -> dict[str, str]:
    named = [
        f"{pair_name(pair)} ({sanitize(pair.causes)}) {'' if pair.removed else 'good '}{coverage_change(pair)}"
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
        f"{pair_name(pair)} (attempt {pair.attempts}, next in {pair.next_try:.0f} s): {sanitize(pair.error)}"
        for pair in pairs[:PAIRS_NAMED]
    ]
    if len(pairs) > PAIRS_NAMED:
        named.append(f"+{len(pairs) - PAIRS_NAMED} more")
    return "; ".join(named)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def format_fields(at: datetime, level: str, event: str, values: dict[str, str]) -> str:
    """A line of these parts; values are quoted where they need it."""
    pairs = (f"{key}={_quoted(value)}" for key, value in values.items())
    return " ".join([when(at), level, event, *pairs])


def when(at: datetime) -> str:
    """A time as lines begin with it: ``2026-11-23T22:31:05.123Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _quoted(value: str) -> str:
    if value and not set(value) & set(' "=\\'):
        return value
    return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
