"""Leaves out what was just said: while a connection is down, the same is told again and again. Pure."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeAlias

from gaq_listen.worker import events

Key: TypeAlias = tuple[type[events.Event], Hashable]


@dataclass(slots=True)
class _Said:
    at: float
    left_out: int = 0


class Repeats:
    """Of events that say the same, lets one pass every so many seconds.

    What ends a trouble lets it be said anew: reconnecting, recovering.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._said: dict[Key, _Said] = {}

    def judge(self, event: events.Event, now: float) -> int | None:
        """None: leave it out. Else how many like it have been left out since one was let pass."""
        self._forget(event)
        key = _says(event)
        if key is None:
            return 0
        said = self._said.get(key)
        if said is not None and now - said.at < self._every:
            said.left_out += 1
            return None
        self._said = {key: one for key, one in self._said.items() if now - one.at < self._every}
        self._said[key] = _Said(now)
        return said.left_out if said else 0

    def _forget(self, event: events.Event) -> None:
        over = _ENDS.get(type(event))
        if over is not None:
            self._said = {key: said for key, said in self._said.items() if key[0] is not over}


_ENDS: dict[type[events.Event], type[events.Event]] = {
    events.Reconnected: events.Disconnected,
    events.Repaired: events.Broken,
    events.Listening: events.Polling,
    events.CaughtUp: events.Behind,
    events.Resumed: events.Paused,
    events.Unblocked: events.Blocked,
    events.SourcesRestored: events.SourcesChanged,
}
"""What ends what."""


def _says(event: events.Event) -> Key | None:
    """What it says, apart from figures; None: it always matters."""
    match event:
        case events.Disconnected(reason) | events.Broken(reason) | events.Polling(reason) | events.Blocked(reason):
            return type(event), reason
        case events.SourcesChanged(what):
            return type(event), what
        case events.Behind():
            return type(event), None
        case events.Paused(by, _, reason):
            return type(event), (by, reason)
        case events.PairsFailed(pairs):
            return type(event), frozenset((pair.data_pass_id, pair.run_number, pair.error) for pair in pairs)
    return None
