"""What can be set about a worker, and which values make sense."""

import re
from dataclasses import dataclass

from gaq_listen.errors import BadSetting

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Reads a duration such as ``250ms``, ``30s``, ``5m``, ``1h`` or ``7d``; a bare number is seconds.

    Raises:
        BadSetting: it is not one.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h|d)?\s*", text)
    if match is None:
        raise BadSetting(f"{text!r} is not a duration: write 250ms, 30s or 5m")
    return float(match[1]) * _UNITS[match[2] or "s"]


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker paces itself. Durations are in seconds, batch sizes in pairs.

    Raises:
        BadSetting: a value that makes no sense, alone or beside another.
    """

    dsn: str = ""
    debounce: float = 0.1
    """A pair that was just refreshed waits until it has been quiet for so long; others do not wait."""
    max_wait: float = 1.0
    """But not longer than this after its first mark."""
    min_batch: int = 20
    max_batch: int = 400
    sweep: float = 30.0
    """How often to look for marks that no wake-up announced."""
    once: bool = False
    """Drain, then stop."""
    announce: bool = True
    """Notify ``gaq_refreshed`` of the pairs of each batch."""
    sync_commit: bool = False
    """Commit refreshes as the server's synchronous_commit says, rather than without waiting for the disk."""
    audit_rate: int = 0
    """How many pairs a minute to recompute and compare, in the background."""
    batch_timeout: float = 30.0
    """How long a batch may take on the server; one that takes longer is done in parts."""
    heartbeat: float = 10.0
    """After so much silence the server is asked whether it is there; it has as long to answer."""
    require_listen: bool = False
    """End, rather than poll, where notifications do not arrive."""
    name: str = ""
    """What the worker is called, beside others on the same database; empty: host and process."""

    def __post_init__(self) -> None:
        if self.debounce < 0:
            raise BadSetting("--debounce cannot be negative")
        if self.max_wait < self.debounce:
            raise BadSetting(
                f"--max-wait ({self.max_wait:g} s) must not be shorter than "
                f"--debounce ({self.debounce:g} s): a pair waits for quiet, but at most --max-wait"
            )
        if self.min_batch < 1:
            raise BadSetting("--min-batch must be at least 1")
        if self.max_batch < self.min_batch:
            raise BadSetting(f"--max-batch ({self.max_batch}) must not be smaller than --min-batch ({self.min_batch})")
        if self.max_batch > 1_000:
            raise BadSetting("--max-batch must be at most 1000: a batch is one transaction")
        if not 0 <= self.audit_rate <= 100_000:
            raise BadSetting("--audit-rate must be from 0 (off) to 100000 pairs a minute")
        if self.once and self.audit_rate:
            raise BadSetting("--audit-rate is for a worker that goes on; with --once use: gaq-listen verify")
        if self.batch_timeout < 0.1:
            raise BadSetting("--batch-timeout must be at least 100ms: a batch that takes longer is divided")
        if self.heartbeat < 0.5:
            raise BadSetting("--heartbeat must be at least 500ms: a server that is only busy would count as gone")
        if self.sweep < 1:
            raise BadSetting("--sweep must be at least 1s: the doorbell is what makes it fast")
