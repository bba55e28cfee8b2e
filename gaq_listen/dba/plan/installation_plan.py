"""Define what the plan of an installation contains."""

from dataclasses import dataclass
from datetime import datetime

from gaq_listen.dba.checks.finding import Finding


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A source table as it is now."""

    name: str
    is_marked: bool
    """Whether the table gets triggers."""
    kind: str
    """``pg_class.relkind``."""
    rows: int | None
    """The planner's estimate of the number of rows; None: the table was never analyzed."""
    size: str | None
    """Size with all indexes; None: unknown, because another session has locked the table."""
    written_per_second: float
    """Rows that sessions wrote in a second, just measured."""
    written: int
    """Rows that sessions have written since the statistics began."""
    average_per_second: float | None
    """``written`` in a second since the statistics began; None: that time is unknown."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One transaction of the installation, and the tables that it locks against writers."""

    title: str
    locks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LockHolder:
    """A session or a prepared transaction with locks for which steps would wait now.

    A prepared transaction has no ``pid``. A value is None if PostgreSQL hides it from this role.
    """

    locks: tuple[str, ...]
    pid: int | None
    user: str | None
    application: str
    state: str | None
    seconds: float | None
    """Age of the transaction."""
    query: str | None


@dataclass(frozen=True, slots=True)
class InstallationPlan:
    """What an installation would do, and what a DBA should know before."""

    database: str
    schema: str
    """Schema of the source tables, as SQL writes it."""
    server: str
    role: str
    """The role that would install, and whether its rights suffice."""
    pooler: str
    existing: str = "not examined"
    """A sentence about what is installed already."""
    tables: tuple[SourceTable, ...] = ()
    measured_seconds: float = 0.0
    """How long the planner counted written rows."""
    counted_since: datetime | None = None
    """When the statistics began; None: unknown."""
    steps: tuple[PlannedStep, ...] = ()
    replaces: bool = False
    """Whether gaq-listen is installed already."""
    lock_holders: tuple[LockHolder, ...] = ()
    pairs_to_mark: int | None = None
    """Pairs that the installation would mark; None: the planner could not count them."""
    objects: tuple[str, ...] = ()
    """Everything that the installation creates, one kind a line."""
    findings: tuple[Finding, ...] = ()
    """Obstacles, and what else a DBA should know."""
    sources: str = "reference"
    """Name of the sources file."""
    keeps_bindings: bool = False
    """Whether tables or columns only have new names, so that the installation binds nothing anew."""
    pinned: tuple[str, ...] = ()
    """``table (columns)``: columns that nobody can drop or change the type of without ``gaq-listen detach``."""
    differences: tuple[Finding, ...] = ()
    """What differs from the record of the last installation."""

    @property
    def obstacles(self) -> tuple[Finding, ...]:
        """The findings because of which an installation refuses to start."""
        return tuple(finding for finding in self.findings if finding.level == "obstacle")

    @property
    def advice(self) -> tuple[Finding, ...]:
        """The findings that do not prevent an installation."""
        return tuple(finding for finding in self.findings if finding.level != "obstacle")
