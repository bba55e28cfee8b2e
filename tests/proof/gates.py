"""Put gates between the SQL statements of a refresh, where a worker under test waits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from psycopg import Connection

from gaq_listen.dba.scripts import script
from tests.support.altered_functions import alter

_FUNCTIONS = {"gaq.expand": "25_expansion", "gaq.refresh": "40_refresh"}
"""Functions with gates, in the order in which a refresh reaches them, and the script of each."""

_GATE = re.compile(r"^ *-- \[gate\] (.+)$", re.MULTILINE)
"""A line of the SQL that names a gate. The statement after it takes a snapshot of its own."""

PLACES = tuple(place for name in _FUNCTIONS.values() for place in _GATE.findall(script(name)))
"""The gates, in the order in which a refresh reaches them.

It reaches ``expand`` and ``fold wide`` only if there are wide marks, and ``insert`` only if a pair has no summary.
``end`` is before the commit.
"""


def gate(place: str) -> str:
    """Return the statement of a gate."""
    return f"perform gaq.gate({PLACES.index(place)});"


def install(connection: Connection[Any]) -> None:
    """Put the gates into the functions of this database."""
    connection.execute((Path(__file__).parent / "gate.sql").read_bytes())
    for function, name in _FUNCTIONS.items():
        found = _GATE.findall(script(name))
        assert len(found) == len(set(found))
        alter(connection, function, *((f"-- [gate] {place}\n", f"{gate(place)}\n") for place in found))


# An advisory lock with two keys has objsubid 2.
_WAITS = """
SELECT objid::int FROM pg_locks
WHERE pid = %s AND NOT granted AND locktype = 'advisory' AND objsubid = 2 AND classid::int = %s
"""


class Gates:
    """Close all gates of all workers: the director's connection holds a lock for each."""

    def __init__(self, director: Connection[Any], workers: int) -> None:
        self._director = director
        director.execute(
            "SELECT pg_advisory_lock(worker, place) FROM generate_series(0, %s) worker, generate_series(0, %s) place",
            [workers - 1, len(PLACES) - 1],
        )

    def waits_at(self, worker: int, backend: int) -> str | None:
        """Return the gate at which the backend of a worker waits. None: it does not wait."""
        row = self._director.execute(_WAITS, [backend, worker]).fetchone()
        return PLACES[row[0]] if row else None

    def open(self, worker: int, place: str) -> None:
        self._director.execute("SELECT pg_advisory_unlock(%s, %s)", [worker, PLACES.index(place)])

    def close(self, worker: int, place: str) -> None:
        self._director.execute("SELECT pg_advisory_lock(%s, %s)", [worker, PLACES.index(place)])

    def open_all(self) -> None:
        self._director.execute("SELECT pg_advisory_unlock_all()")
