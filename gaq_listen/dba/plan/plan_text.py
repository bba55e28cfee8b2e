"""Show the plan of an installation as text for a terminal of 80 columns. Pure."""

import re
from collections.abc import Iterator
from datetime import UTC

from gaq_listen.dba.findings_view import paragraphs, wrapped
from gaq_listen.dba.plan.installation_plan import InstallationPlan, SourceTable
from gaq_listen.dba.scripts import ATTEMPTS, LOCK_TIMEOUT
from gaq_listen.wording import count, duration, number, sanitize

SECONDS_A_PAIR, BYTES_A_PAIR, WAL_A_PAIR = 0.00025, 700, 1100
"""Cost of computing a pair for the first time, measured with ten flags a pair on two cores."""
MAX_QUERY_LENGTH = 60
"""Characters of another session's query that the text shows."""


def render_plan(plan: InstallationPlan) -> str:
    """Return plain text of at most 80 columns, except for words that are longer."""
    steps = plan.steps
    sections = [
        ("Server", _facts(plan)),
        ("What is installed", wrapped(plan.existing, "  ")),
        ("Source tables", _tables(plan)),
        ("Steps, each a transaction", _steps(plan)),
        ("Locks for which steps would wait now", _lock_holders(plan) if steps else ()),
        ("Backfill", wrapped(_backfill(plan.pairs_to_mark), "  ") if steps else ()),
        ("What the installation would create", [line for kind in plan.objects for line in wrapped(kind, "  ", "    ")]),
        ("What an installation pins", _pins(plan)),
        ("What differs from the last installation", _differences(plan)),
        ("Findings", ["\n\n".join(paragraphs(plan.advice))] if plan.advice else ()),
    ]
    lines = wrapped(
        f"Plan for database {plan.database}, source tables in schema {plan.schema}, sources {plan.sources}. "
        "The plan changes nothing."
    )
    for title, body in sections:
        if found := list(body):
            lines += ["", title, *found]
    return "\n".join([*lines, "", *_verdict(plan)])


def redacted(query: str) -> str:
    """Return the beginning of a query on one line, without the contents of its string literals."""
    return " ".join(re.sub(r"'(?:[^']|'')*'?", "'…'", query).split())[:MAX_QUERY_LENGTH]


def _facts(plan: InstallationPlan) -> Iterator[str]:
    for label, text in (("server", plan.server), ("role", plan.role), ("pooler", plan.pooler)):
        yield from wrapped(text, f"  {label:<8}")


def _tables(plan: InstallationPlan) -> Iterator[str]:
    if not plan.tables:
        return
    names = [sanitize(table.name) for table in plan.tables]
    width = max(len("table"), *map(len, names))
    past = "average/s" if plan.counted_since else "so far"
    yield f"  {'table':<{width}}  {'rows':>11}  {'size':>8}  {'written/s':>9}  {past:>11}"
    for name, table in zip(names, plan.tables, strict=True):
        yield f"  {name:<{width}}  {_numbers(table)}"
    if plan.counted_since:
        past = f"average/s: the same since {plan.counted_since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    else:
        past = "so far: rows written since the statistics began, at an unknown time"
    yield from wrapped(
        f"rows: the planner's estimate; written/s: rows inserted, updated and deleted in a second, over the last "
        f"{duration(plan.measured_seconds)}; {past}.",
        "  ",
    )


def _numbers(table: SourceTable) -> str:
    rows = "?" if table.rows is None else number(table.rows)
    average = table.average_per_second
    past = number(table.written) if average is None else f"{average:.1f}"
    return f"{rows:>11}  {table.size or '?':>8}  {table.written_per_second:>9.1f}  {past:>11}"


def _steps(plan: InstallationPlan) -> Iterator[str]:
    if not plan.steps:
        return
    for place, step in enumerate(plan.steps, 1):
        yield from wrapped(step.title, f"  {place:>2} ")
        for table in step.locks:
            yield from wrapped(f"SHARE ROW EXCLUSIVE on {table}", "       ")
    yield from wrapped(
        "CREATE TRIGGER and ALTER TABLE ... ENABLE ALWAYS TRIGGER take SHARE ROW EXCLUSIVE. While a step waits for the "
        "lock or holds it, writers of the table wait, and readers do not. A step waits for at most --lock-timeout "
        f"({LOCK_TIMEOUT:g} s), lets writers go on, and tries again, at most {ATTEMPTS} times. So a writer waits for "
        f"at most {ATTEMPTS} times {LOCK_TIMEOUT:g} s, with pauses. The other steps take no lock for which a writer or "
        "a reader of a source table would wait.",
        "  ",
    )
    if plan.replaces:
        yield from wrapped(
            "Steps replace the existing objects of schema gaq, and gaq_summaries, for a moment under ACCESS EXCLUSIVE. "
            "Readers of these objects, workers, and writers that mark wait meanwhile.",
            "  ",
        )


def _lock_holders(plan: InstallationPlan) -> Iterator[str]:
    if not plan.lock_holders:
        yield "  none"
    for holder in plan.lock_holders:
        who = f"pid {holder.pid}" if holder.pid is not None else "a prepared transaction"
        facts = [who, holder.user or "", holder.application, holder.state or ""]
        if holder.seconds is not None:
            facts.append(f"its transaction began {duration(holder.seconds)} ago")
        yield from wrapped(", ".join(fact for fact in facts if fact), "  ", "    ")
        yield from wrapped(f"has {', '.join(holder.locks)}", "    ")
        if holder.query:
            yield f"    {sanitize(redacted(holder.query))}"


def _backfill(pairs: int | None) -> str:
    if pairs is None:
        return (
            "The server could not count the pairs that the installation would mark: a table is missing or locked, the "
            "role may not read it, or it has too many rows."
        )
    if not pairs:
        return "The installation would mark no pair: every pair has a summary or a mark."
    return (
        f"The installation would mark {count(pairs, 'pair')} as never computed, and workers would compute the oldest "
        f"marks first. That takes about {duration(pairs * SECONDS_A_PAIR)}, {_bytes(pairs * BYTES_A_PAIR)} on disk and "
        f"{_bytes(pairs * WAL_A_PAIR)} of WAL if pairs have ten flags. More flags take longer."
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


def _pins(plan: InstallationPlan) -> Iterator[str]:
    if not plan.pinned:
        return
    for table in plan.pinned:
        yield from wrapped(table, "  ", "    ")
    yield from wrapped(
        "PostgreSQL refuses to drop these columns, and those of names and comments, or to change their types. Run "
        "gaq-listen detach, then the migration, then gaq-listen install. Anybody can rename the columns and "
        "their tables at any time.",
        "  ",
    )


def _differences(plan: InstallationPlan) -> Iterator[str]:
    if plan.differences:
        yield "\n\n".join(paragraphs(plan.differences))
    elif plan.replaces:
        yield "  nothing"


def _verdict(plan: InstallationPlan) -> Iterator[str]:
    if not plan.obstacles:
        yield "No obstacle is in the way of the installation."
        return
    yield f"{count(len(plan.obstacles), 'obstacle')} in the way of the installation:"
    yield "\n\n".join(paragraphs(plan.obstacles))
