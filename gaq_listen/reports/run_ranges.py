"""Read run numbers and ranges of run numbers, and find the runs that they stand for."""

import re
from collections.abc import Iterable, Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.errors import BadSetting, UnknownName

Range = tuple[int, int]
"""First and last run number, both included."""

_RUNS = "select run_number from gaq.known_pairs where data_pass_id = %s order by run_number"


def parse(text: str) -> list[Range]:
    """Read run numbers and ranges, separated by commas.

    >>> parse("12, 15-18")
    [(12, 12), (15, 18)]

    Raises:
        BadSetting: the text is no such list.
    """
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})\s*(?:-\s*(\d{1,18})\s*)?", part)
        if match is None:
            raise BadSetting(f"{part.strip()!r} is no run and no range of runs: write 12,15-18")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise BadSetting(f"the range {part.strip()!r} ends before it begins")
        ranges.append((first, last))
    return ranges


def select(existing: Sequence[int], wanted: Iterable[Range], data_pass: str) -> list[int]:
    """Return those of the ``existing`` runs of a data pass that lie in one of the ``wanted`` ranges.

    Raises:
        UnknownName: no run lies in one of the ranges. The message names all ranges without a run.
    """
    runs: set[int] = set()
    missing = []
    for first, last in wanted:
        found = [run for run in existing if first <= run <= last]
        runs.update(found)
        if not found:
            missing.append(str(first) if first == last else f"{first}-{last}")
    if missing:
        raise UnknownName(f"no such run in data pass {data_pass}: {', '.join(missing)}")
    return sorted(runs)


def existing_runs(connection: Connection[TupleRow], data_pass_id: int) -> list[int]:
    """Return the runs of a data pass, and the runs that have left it and still have a summary."""
    return [run for (run,) in connection.execute(_RUNS, (data_pass_id,))]
