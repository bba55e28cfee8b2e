"""Which runs of a data pass somebody means."""

import re
from collections.abc import Iterable, Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.errors import BadSetting, UnknownName

Range = tuple[int, int]
"""First and last run, both included."""


def ranges(text: str) -> list[Range]:
    """Reads run numbers and ranges of them.

    >>> ranges("12, 15-18")
    [(12, 12), (15, 18)]

    Raises:
        BadSetting: it is not such a list.
    """
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})\s*(?:-\s*(\d{1,18})\s*)?", part)
        if match is None:
            raise BadSetting(f"{part.strip()!r} is no run and no range of runs: write 12,15-18")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise BadSetting(f"the range {part.strip()!r} ends before it begins")
        found.append((first, last))
    return found


def chosen(existing: Sequence[int], wanted: Iterable[Range], data_pass: str) -> list[int]:
    """Those of the ``existing`` runs of a data pass that are ``wanted``.

    Raises:
        UnknownName: a run, or every run of a range, is not among them; the message names all such.
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


def existing(connection: Connection[TupleRow], data_pass_id: int) -> list[int]:
    """The runs of a data pass, and those that have left it but still have a summary."""
    rows = connection.execute(
        "select run_number from gaq.known_pairs where data_pass_id = %s order by run_number", (data_pass_id,)
    )
    return [row[0] for row in rows]
