"""Compare stored summaries with recomputed ones, batch by batch, and report differences."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from gaq_listen.types import Key, columns
from gaq_listen.wording import data_pass_name, number
from gaq_listen.worker.auditor import DIFFERENCES, REPAIR, Difference

BATCH = 400
"""Pairs to compare in one statement."""

_SAMPLE = "select data_pass_id, run_number from gaq.known_pairs order by random() limit %s"
_PASSES = "select distinct data_pass_id from gaq.known_pairs order by data_pass_id"
_RUNS_OF = "select data_pass_id, run_number from gaq.known_pairs where data_pass_id = %s order by run_number"
_COUNT = "select count(*) from gaq.known_pairs"
_STALE = """
select count(*) from unnest(%s::bigint[], %s::bigint[]) u (data_pass_id, run_number)
join gaq.pending using (data_pass_id, run_number)
"""


@dataclass(slots=True)
class VerificationResult:
    """Count the pairs of a verification: ``known`` in the database, ``compared``, and ``stale``, which are left out."""

    known: int
    compared: int = 0
    stale: int = 0
    differing: list[Key] = field(default_factory=list)

    def sentence(self) -> str:
        """Return the result in one sentence."""
        stale = f"; {number(self.stale)} more are stale, so they were not compared" if self.stale else ""
        differ = f"{number(len(self.differing))} differ" if self.differing else "none differs"
        return f"{number(self.compared)} of {number(self.known)} pairs compared: {differ}{stale}"


def count_pairs(connection: Connection[TupleRow]) -> int:
    """Return the number of pairs in the database."""
    ((known,),) = connection.execute(_COUNT).fetchall()
    return int(known)


def verify(
    connection: Connection[TupleRow],
    sample: int | None,
    report: Callable[[Difference], object],
    advance: Callable[[int], object] = lambda pairs: None,
) -> VerificationResult:
    """Compare ``sample`` pairs, chosen at random; None: all pairs.

    Calls ``report`` with each difference, and ``advance`` with the number of pairs of each batch.
    """
    result = VerificationResult(count_pairs(connection))
    for pairs in _batches(connection, sample):
        with connection.cursor(row_factory=class_row(Difference)) as cursor:
            for difference in cursor.execute(DIFFERENCES, columns(pairs)):
                result.differing.append((difference.data_pass_id, difference.run_number))
                report(difference)
        ((stale,),) = connection.execute(_STALE, columns(pairs)).fetchall()
        result.stale += stale
        result.compared += len(pairs) - stale
        advance(len(pairs))
    return result


def _batches(connection: Connection[TupleRow], sample: int | None) -> Iterator[list[Key]]:
    if sample is not None:
        yield from _cut(connection.execute(_SAMPLE, (sample,)).fetchall())
    else:
        # One data pass at a time, so that the memory does not grow with the number of pairs.
        for (data_pass_id,) in connection.execute(_PASSES).fetchall():
            yield from _cut(connection.execute(_RUNS_OF, (data_pass_id,)).fetchall())


def _cut(rows: list[TupleRow]) -> Iterator[list[Key]]:
    for start in range(0, len(rows), BATCH):
        yield [(row[0], row[1]) for row in rows[start : start + BATCH]]


def repair(connection: Connection[TupleRow], pairs: list[Key]) -> None:
    """Mark pairs, so that a worker computes them again."""
    connection.execute(REPAIR, columns(pairs))


_EXPLANATIONS = {
    "missing": "it should have a summary and has none",
    "left": "it has a summary and is in no data pass any more",
}


def pair_name(difference: Difference) -> str:
    """Return the pair as people write it: ``LHC22o_apass7/526621``."""
    return f"{data_pass_name(difference.data_pass, difference.data_pass_id)}/{difference.run_number}"


def side_by_side(difference: Difference) -> str:
    """Return lines with the values that differ, stored beside recomputed."""
    lines = [pair_name(difference)]
    if difference.differs in _EXPLANATIONS:
        lines[0] += f": {_EXPLANATIONS[difference.differs]}"
    else:
        lines.append(f"    {'':<31}  {'stored':>22}  {'recomputed':>22}")
        for column in difference.differs.split(", "):
            values = ((side or {}).get(column) for side in (difference.stored, difference.recomputed))
            shown = "  ".join(f"{'null' if value is None else str(value):>22}" for value in values)
            lines.append(f"    {column:<31}  {shown}")
    return "\n".join(lines)
