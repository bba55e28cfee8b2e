"""What an installation would meet, and how that is told to a DBA on a terminal of 80 columns. Pure."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gaq_listen.dba.scripts import ATTEMPTS, LOCK_TIMEOUT
from gaq_listen.wording import count, duration, number, sanitize

WIDTH = 80
SECONDS_A_PAIR, BYTES_A_PAIR, WAL_A_PAIR = 0.00025, 700, 1100
"""What a pair takes that is computed for the first time: measured with ten flags a pair, on two cores."""
QUERY_SHOWN = 60
"""Characters shown of what another session runs."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What is in the way, or worth knowing, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A source table as it is now; ``marked``: it gets triggers.

    ``rows`` is the planner's estimate, None without one; ``now`` is rows written per second, just measured; ``written``
    counts them from the beginning of the statistics, and ``average`` is that per second, where the beginning is known.
    """

    name: str
    marked: bool
    kind: str
    children: int
    rows: int | None
    size: str | None
    now: float
    written: int
    average: float | None


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One transaction of the installation, and the tables that it locks against writers."""

    title: str
    locks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """A session (or, without a pid, a prepared transaction) whose locks steps would wait for. None: not ours to see."""

    locks: tuple[str, ...]
    pid: int | None
    user: str | None
    application: str
    state: str | None
    seconds: float | None
    query: str | None


@dataclass(frozen=True, slots=True)
class MissingIndex:
    """The statement that creates it, and what it is needed for."""

    statement: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it. ``backfill``: pairs that would be marked, None when they could not be counted.

    ``kept``: source tables or columns only have other names than before, so what is bound to them stays as it is.
    """

    database: str
    schema: str
    server: str
    role: str
    pooler: str
    found: str = "not looked at"
    tables: tuple[SourceTable, ...] = ()
    measured: float = 0.0
    counted_since: datetime | None = None
    steps: tuple[PlannedStep, ...] = ()
    replaces: bool = False
    holders: tuple[Holder, ...] = ()
    indexes: tuple[MissingIndex, ...] = ()
    backfill: int | None = None
    creates: tuple[str, ...] = ()
    warnings: tuple[Obstacle, ...] = ()
    blockers: tuple[Obstacle, ...] = ()
    sources: str = "reference"
    kept: bool = False
    pinned: tuple[str, ...] = ()
    """``table (columns)``: what cannot be dropped, nor change its type, without ``gaq-listen detach``."""
    differences: tuple[str, ...] = ()
    """What is not as the last installation recorded it."""


def render(plan: Plan) -> str:
    """For a terminal or a file: plain text, at most 80 columns but for statements to copy."""
    lines = [
        *_wrapped(
            f"Plan for database {plan.database}, source tables in schema {plan.schema}, sources {plan.sources}. "
            "Nothing is changed."
        )
    ]
    sections = [
        ("Server", _facts([("server", plan.server), ("role", plan.role), ("pooler", plan.pooler)])),
        ("What is there", _wrapped(plan.found, "  ")),
        ("Source tables", _tables(plan)),
        ("Steps, each a transaction", _steps(plan)),
        ("Locks that steps would wait for now", _holders(plan) if plan.steps else ()),
        ("Missing indexes", _indexes(plan.indexes)),
        ("Backfill", _wrapped(_backfill(plan.backfill), "  ") if plan.steps else ()),
        ("What there would be", [line for item in plan.creates for line in _wrapped(item, "  ", "    ")]),
        ("What differs from the last installation", _differences(plan)),
        ("What an installation pins", _pins(plan)),
        ("Worth knowing", _obstacles(plan.warnings)),
    ]
    for title, body in sections:
        if found := list(body):
            lines += ["", title, *found]
    return "\n".join([*lines, "", *_verdict(plan)])


def redacted(query: str) -> str:
    """The beginning of a query on one line, without what its string literals say."""
    return " ".join(re.sub(r"'(?:[^']|'')*'?", "'…'", query).split())[:QUERY_SHOWN]


def _wrapped(text: str, first: str = "", rest: str | None = None) -> list[str]:
    text = " ".join(sanitize(word) for word in text.split(" "))
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _facts(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    for label, text in facts:
        yield from _wrapped(text, f"  {label:<8}", " " * 10)


def _tables(plan: Plan) -> Iterator[str]:
    if not plan.tables:
        return
    names = [sanitize(table.name) for table in plan.tables]
    wide = max(len("table"), *map(len, names))
    past = "average/s" if plan.counted_since else "so far"
    yield f"  {'table':<{wide}}  {'rows':>11}  {'size':>8}  {'written/s':>9}  {past:>11}"
    for name, table in zip(names, plan.tables, strict=True):
        rows = "?" if table.rows is None else number(table.rows)
        before = number(table.written) if table.average is None else f"{table.average:.1f}"
        yield f"  {name:<{wide}}  {rows:>11}  {table.size or '?':>8}  {table.now:>9.1f}  {before:>11}"
    if plan.counted_since:
        past = f"average/s since {plan.counted_since.astimezone(UTC):%Y-%m-%d %H:%M} UTC, when statistics were reset"
    else:
        past = "so far: rows written since statistics began, and when that was is not known"
    yield from _wrapped(
        f"rows: the planner's estimate; written/s: rows inserted, updated and deleted, over the last "
        f"{duration(plan.measured)}; {past}.",
        "  ",
    )
    for name, table in zip(names, plan.tables, strict=True):
        if table.marked and table.children:
            kind = "is partitioned" if table.kind == "p" else "has inheritance children"
            yield from _wrapped(
                f"{name} {kind} ({number(table.children)} below it): only statements that name {name} itself mark, "
                "not those that name a table below it.",
                "  ",
            )


def _steps(plan: Plan) -> Iterator[str]:
    if not plan.steps:
        return
    for place, step in enumerate(plan.steps, 1):
        yield from _wrapped(step.title, f"  {place:>2} ", "     ")
        for table in step.locks:
            yield from _wrapped(f"SHARE ROW EXCLUSIVE on {table}", "       ")
    yield from _wrapped(
        "SHARE ROW EXCLUSIVE (CREATE TRIGGER, ALTER TABLE ... ENABLE ALWAYS TRIGGER): while it waits or is held, "
        "writers of the table wait and readers do not. A step waits for it no longer than --lock-timeout (3 s), lets "
        "writers go on, and tries again, at most "
        f"{ATTEMPTS} times: at the worst a writer of a table waits {ATTEMPTS} times {LOCK_TIMEOUT:g} s, "
        f"{ATTEMPTS * LOCK_TIMEOUT:g} s in all, and goes on in between. "
        "The other steps (roles, tables of schema gaq, views, functions, GRANT) take "
        "no lock that a writer or a reader of a source table would notice.",
        "  ",
    )
    if plan.replaces:
        yield from _wrapped(
            "What is there already of schema gaq, and gaq_summaries, is replaced under ACCESS EXCLUSIVE, for a moment: "
            "readers of it, workers and writers that mark wait meanwhile.",
            "  ",
        )


def _holders(plan: Plan) -> Iterator[str]:
    if not plan.holders:
        yield "  none"
    for holder in plan.holders:
        who = f"pid {holder.pid}" if holder.pid is not None else "a prepared transaction"
        facts = [who, holder.user or "", holder.application, holder.state or ""]
        if holder.seconds is not None:
            facts.append(f"its transaction began {duration(holder.seconds)} ago")
        yield from _wrapped(", ".join(fact for fact in facts if fact), "  ", "    ")
        yield from _wrapped(f"has {', '.join(holder.locks)}", "    ")
        if holder.query:
            yield f"    {sanitize(redacted(holder.query))}"


def _indexes(indexes: Sequence[MissingIndex]) -> Iterator[str]:
    for index in indexes:
        yield from _wrapped(f"-- {index.why}", "  ", "  -- ")
        yield f"  {sanitize(index.statement)}"


def _backfill(pairs: int | None) -> str:
    if pairs is None:
        return (
            "How many pairs would be marked could not be counted: no such table, no right to read it, or too many rows."
        )
    if not pairs:
        return "No pair would be marked: there is none that was never computed and has no mark yet."
    return (
        f"{count(pairs, 'pair')} would be marked as never computed; a worker computes them, oldest mark first. "
        f"That takes about {duration(pairs * SECONDS_A_PAIR)}, {_bytes(pairs * BYTES_A_PAIR)} on disk and "
        f"{_bytes(pairs * WAL_A_PAIR)} of WAL, with ten flags a pair; more flags take longer."
    )


def _bytes(number: float) -> str:
    """Return a size in words.

    >>> _bytes(1500), _bytes(2_500_000)
    ('2 kB', '2 MB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.0f} {unit}"
    return f"{number / 1e3:.0f} kB"


def _differences(plan: Plan) -> Iterator[str]:
    if plan.replaces and not plan.differences:
        yield "  nothing"
    for difference in plan.differences:
        yield from _wrapped(difference, "  ", "    ")


def _pins(plan: Plan) -> Iterator[str]:
    if not plan.pinned:
        return
    for table in plan.pinned:
        yield from _wrapped(table, "  ", "    ")
    yield from _wrapped(
        "These columns, and those of names and comments, can be renamed, and so can their tables. To drop one or to "
        "change its type: gaq-listen detach, the migration, gaq-listen install.",
        "  ",
    )


def _obstacles(obstacles: Sequence[Obstacle]) -> Iterator[str]:
    for obstacle in obstacles:
        yield from _wrapped(f"{obstacle.what}.", "  - ", "    ")
        yield from _wrapped(f"{obstacle.remedy}.", "    ")


def _verdict(plan: Plan) -> Iterator[str]:
    if plan.blockers:
        yield f"{count(len(plan.blockers), 'thing')} in the way of an installation:"
        yield from _obstacles(plan.blockers)
        return
    yield "Nothing stands in the way."
