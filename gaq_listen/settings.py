"""Define the settings of a worker: each once, with its type, default, bounds and help.

The options of ``gaq-listen run``, their environment variables and ``docs/reference/settings.md`` come from the fields
of ``WorkerSettings`` and ``OutputSettings``. The option of a field ``max_wait`` is ``--max-wait``.
A field of type ``float`` is a duration in seconds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias, TypeVar

from gaq_listen.errors import BadSetting

LogFormat: TypeAlias = Literal["auto", "rich", "plain", "json"]
Address: TypeAlias = tuple[str, int]
"""Host and port. An empty host stands for all addresses of the machine."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DESCRIPTION = "description"

_Settings = TypeVar("_Settings")


def parse_duration(text: str) -> float:
    """Return a duration such as ``250ms``, ``30s``, ``5m``, ``1h`` or ``7d`` in seconds. A bare number is seconds.

    Raises:
        BadSetting: the text is not a duration.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h|d)?\s*", text)
    if match is None:
        raise BadSetting(f"{text!r} is not a duration: write 250ms, 30s, 5m, 1h or 7d")
    return float(match[1]) * _UNITS[match[2] or "s"]


def parse_address(text: str) -> Address:
    """Return host and port of ``HOST:PORT`` or ``[::1]:9187``, or of ``:9187``, which stands for all addresses.

    Raises:
        BadSetting: the text is no address.
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isdecimal() or not int(port) < 65536:
        raise BadSetting(f"{text!r} is not HOST:PORT: write 127.0.0.1:9187")
    return host.removeprefix("[").removesuffix("]"), int(port)


def format_duration(seconds: float) -> str:
    """Write a duration as ``parse_duration`` reads it, in the largest unit that needs no fraction.

    >>> format_duration(0.1), format_duration(30.0), format_duration(86400)
    ('100ms', '30s', '1d')
    """
    for unit, size in reversed(_UNITS.items()):
        count = round(seconds / size, 9)
        if count.is_integer() and count:
            return f"{count:.0f}{unit}"
    return f"{seconds:g}s"


@dataclass(frozen=True, slots=True)
class Setting:
    """Describe a field of a settings class.

    ``help`` can be understood without the help of another setting. ``low`` and ``high`` are the bounds of a number,
    both allowed; None stands for no bound. ``reason`` says why the bounds are where they are. ``default_text`` and
    ``metavar`` stand in the help of the option for an empty default and for the value.
    """

    name: str
    kind: Any
    """Type of the field."""
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    reason: str = ""
    default_text: str = ""
    metavar: str | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def option(self) -> str:
        """Return the option of ``gaq-listen run`` that sets the field."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def bounds(self) -> str:
        """Return the bounds in words: ``1 to 1000``, ``at least 500ms``; empty without bounds."""
        if self.low is None:
            return ""
        return f"at least {self.text(self.low)}" if self.high is None else f"{self.low:g} to {self.high:g}"

    def text(self, value: Any) -> str:
        """Write a value as the option takes it."""
        return format_duration(value) if self.kind is float else f"{value}"

    def check(self, value: Any) -> None:
        """Refuse a value outside the bounds.

        Raises:
            BadSetting: the value is below ``low`` or above ``high``.
        """
        below = self.low is not None and value < self.low
        above = self.high is not None and value > self.high
        if below or above:
            raise BadSetting(f"{self.option} must be {self.bounds}{self.reason and f', because {self.reason}'}")


def _setting(default: Any, help: str, **details: Any) -> Any:  # noqa: A002
    """Define a field of a settings class, with the arguments of ``Setting``."""
    return field(default=default, metadata={_DESCRIPTION: {"help": help} | details})


def settings_of(kind: type[Any]) -> Iterator[Setting]:
    """Yield the descriptions of the fields of ``WorkerSettings`` or ``OutputSettings``, in their order."""
    for each in fields(kind):
        yield Setting(each.name, each.type, each.default, **each.metadata[_DESCRIPTION])


def from_options(kind: type[_Settings], values: dict[str, Any]) -> _Settings:
    """Return settings of a kind, with the values that ``values`` has for their names.

    Raises:
        BadSetting: a value makes no sense, alone or beside another.
    """
    return kind(**{setting.name: values[setting.name] for setting in settings_of(kind)})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Hold what a worker does, and how fast. Durations are in seconds.

    Raises:
        BadSetting: a value makes no sense, alone or beside another.
    """

    dsn: str = _setting(
        "",
        "Connection string or URL of the database, such as postgresql://host/database.",
        default_text="libpq's PG* variables",
    )
    once: bool = _setting(False, "Refresh everything that is stale, then exit. For scripts and scheduled jobs.")
    debounce: float = _setting(
        0.1,
        "Refresh a pair that was just refreshed only after it has had no change for this long. Raise it to save work "
        "where pairs change many times in a row.",
        low=0,
    )
    max_wait: float = _setting(
        1.0,
        "Refresh a pair at the latest this long after its first change, even if it keeps changing. Where notifications "
        "do not arrive, poll this often. Raise it to save work; lower it for fresher summaries.",
        low=0,
    )
    min_batch: int = _setting(
        20,
        "Fewest pairs to ask for in a batch. The worker begins with this many, and asks for more while batches are "
        "full and fast. It seldom needs a change.",
        low=1,
        high=1_000,
        reason="a batch is one transaction",
    )
    max_batch: int = _setting(
        400,
        "Most pairs to ask for in a batch, which is one transaction. Lower it if batches take longer than a second.",
        low=1,
        high=1_000,
        reason="a batch is one transaction",
    )
    sweep: float = _setting(
        30.0,
        "Interval between two sweeps, which look for marks that no notification has announced. Lower it where "
        "notifications get lost.",
        low=1,
        reason="the doorbell makes a worker fast, and not the sweep",
    )
    announce: bool = _setting(
        True,
        "Send the pairs of each batch as notifications on the channel gaq_refreshed. Switch it off if no program "
        "listens there.",
    )
    sync_commit: bool = _setting(
        False,
        "Commit refreshes as the server's synchronous_commit says. By default a refresh does not wait for the disk, "
        "because the pairs of a refresh that a crash undoes are stale again. Set it if that must not happen to a value "
        "that was read.",
    )
    audit_rate: int = _setting(
        0,
        "Recompute this many fresh pairs a minute in the background, compare them with what is stored, and mark those "
        "that differ. 0 audits none. Set it where changes may come past the triggers, such as by replication.",
        low=0,
        high=100_000,
    )
    batch_timeout: float = _setting(
        30.0,
        "Longest time that a batch may take on the server. The worker divides a batch that takes longer. Raise it if "
        "single pairs take longer.",
        low=0.1,
        reason="the worker divides a batch that takes longer",
    )
    heartbeat: float = _setting(
        10.0,
        "Probe the server after this much silence, and reconnect if it does not answer within the same time. Raise it "
        "where the server or the network often stops for longer.",
        low=0.5,
        reason="a server that is only busy would count as gone",
    )
    require_listen: bool = _setting(
        False,
        "Exit with an error instead of polling if notifications do not arrive, as behind a pooler or on a standby.",
    )
    name: str = _setting(
        "",
        "Name of this worker in gaq-listen status. Each worker of a database needs a name of its own.",
        default_text="host:process",
    )

    def __post_init__(self) -> None:
        for setting in settings_of(WorkerSettings):
            setting.check(getattr(self, setting.name))
        if self.max_wait < self.debounce:
            raise BadSetting(
                f"--max-wait ({format_duration(self.max_wait)}) must not be shorter than --debounce "
                f"({format_duration(self.debounce)}), because a pair waits for quiet, and at most for --max-wait"
            )
        if self.max_batch < self.min_batch:
            raise BadSetting(f"--max-batch ({self.max_batch}) must not be smaller than --min-batch ({self.min_batch})")
        if self.once and self.audit_rate:
            raise BadSetting("--audit-rate is for a worker that goes on; instead of --once use: gaq-listen verify")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """Hold what a process shows of its worker, and where. The worker itself does not know these settings."""

    objective: float = _setting(
        1.0,
        "Longest time that a pair may be stale. If one is stale for longer, the database counts as not fresh. Set it "
        "to what the readers of the summaries need.",
    )
    log_format: LogFormat = _setting(
        "auto",
        "How the worker shows its work on stdout: rich is a live console, plain is a line for each event, json is a "
        "JSON object for each event. auto is rich on a terminal, and plain elsewhere.",
    )
    metrics_listen: Address | None = _setting(
        None,
        "Serve /metrics for Prometheus, and /healthz and /readyz for other monitors, at this address. :9187 is that "
        "port on all addresses. Needs the extra gaq-listen[metrics].",
        metavar="HOST:PORT",
    )
