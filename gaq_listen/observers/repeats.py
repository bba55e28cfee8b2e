"""Leave out events that repeat an earlier one, such as those of a worker that tries to connect again and again."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeAlias

from gaq_listen.worker.event_base import WorkerEvent

Key: TypeAlias = tuple[type[WorkerEvent], Hashable]


@dataclass(slots=True)
class _Passed:
    at: float
    left_out: int = 0


class Repeats:
    """Let one of several equal events pass in every period of ``every`` seconds.

    When a condition ends, the first event that announces it again passes at once. The clock is passed in.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._passed: dict[Key, _Passed] = {}

    def check(self, event: WorkerEvent, now: float) -> int | None:
        """Return None if the event is to be left out, or else how many equal events were left out before it."""
        if event.ends is not None:
            self._passed = {key: passed for key, passed in self._passed.items() if key[0] is not event.ends}
        repeat_key = event.repeat_key()
        if repeat_key is None:
            return 0
        key = (type(event), repeat_key)
        last = self._passed.get(key)
        if last is not None and now - last.at < self._every:
            last.left_out += 1
            return None
        self._passed = {key: passed for key, passed in self._passed.items() if now - passed.at < self._every}
        self._passed[key] = _Passed(now)
        return last.left_out if last else 0
