"""Define the settings of a worker and their bounds, and refuse values that make no sense."""

import re
from dataclasses import dataclass

from gaq_listen.errors import BadSetting

BATCH = (1, 1_000)
"""Fewest and most pairs of a batch that can be set: a batch is one transaction."""

AUDIT_RATE = (0, 100_000)
"""Fewest and most pairs a minute that can be audited."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Return a duration such as ``250ms``, ``30s``, ``5m``, ``1h`` or ``7d`` in seconds. A bare number is seconds.

    Raises:
        BadSetting: the text is not a duration.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h|d)?\s*", text)
    if match is None:
        raise BadSetting(f"{text!r} is not a duration: write 250ms, 30s or 5m")
    return float(match[1]) * _UNITS[match[2] or "s"]


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Hold the settings of a worker. Durations are in seconds, batch sizes in pairs.

    Raises:
        BadSetting: a value makes no sense, alone or beside another.
    """

    dsn: str = ""
    debounce: float = 0.1
    """Refresh a pair that was just refreshed only after it has had no change for this long. Other pairs do not wait."""
    max_wait: float = 1.0
    """Refresh a pair at the latest this long after its first change, even if it keeps changing."""
    min_batch: int = 20
    max_batch: int = 400
    sweep: float = 30.0
    """Interval between two looks for marks that no notification announced."""
    once: bool = False
    """Refresh everything that is stale, then stop."""
    announce: bool = True
    """Notify the channel ``gaq_refreshed`` of the pairs of each batch."""
    audit_rate: int = 0
    """Number of fresh pairs a minute to recompute and compare in the background. 0: none."""
    batch_timeout: float = 30.0
    """Longest time that a batch may take on the server. A batch that takes longer is divided."""
    heartbeat: float = 10.0
    """Probe the server after this much silence, and reconnect if it does not answer within the same time."""
    require_listen: bool = False
    """Raise an error instead of polling where notifications do not arrive."""
    name: str = ""
    """Name of the worker in ``gaq.workers``. Empty: host and process."""

    def __post_init__(self) -> None:
        if self.debounce < 0:
            raise BadSetting("--debounce cannot be negative")
        if self.max_wait < self.debounce:
            raise BadSetting(
                f"--max-wait ({self.max_wait:g} s) must not be shorter than "
                f"--debounce ({self.debounce:g} s): a pair waits for quiet, but at most --max-wait"
            )
        if self.min_batch < BATCH[0]:
            raise BadSetting(f"--min-batch must be at least {BATCH[0]}")
        if self.max_batch < self.min_batch:
            raise BadSetting(f"--max-batch ({self.max_batch}) must not be smaller than --min-batch ({self.min_batch})")
        if self.max_batch > BATCH[1]:
            raise BadSetting(f"--max-batch must be at most {BATCH[1]}: a batch is one transaction")
        if not AUDIT_RATE[0] <= self.audit_rate <= AUDIT_RATE[1]:
            raise BadSetting(f"--audit-rate must be from {AUDIT_RATE[0]} (off) to {AUDIT_RATE[1]} pairs a minute")
        if self.once and self.audit_rate:
            raise BadSetting("--audit-rate is for a worker that goes on; with --once use: gaq-listen verify")
        if self.batch_timeout < 0.1:
            raise BadSetting("--batch-timeout must be at least 100ms: a batch that takes longer is divided")
        if self.heartbeat < 0.5:
            raise BadSetting("--heartbeat must be at least 500ms: a server that is only busy would count as gone")
        if self.sweep < 1:
            raise BadSetting("--sweep must be at least 1s: the doorbell is what makes it fast")
