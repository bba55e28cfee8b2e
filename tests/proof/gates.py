"""Gates between the SQL statements of a refresh, where a worker under test waits to be let on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from psycopg import Connection

from gaq_listen.dba.scripts import script
from tests.support.altered_functions import alter

_FUNCTIONS = {"gaq.expand": "25_expansion", "gaq.refresh": "40_refresh"}
"""Functions with gates, in the order in which a refresh comes by; and the script of each."""

_GATE = re.compile(r"^ *-- \[gate\] (.+)$", re.MULTILINE)
"""A line of the SQL. The statement after it takes a snapshot of its own."""

PLACES = tuple(place for name in _FUNCTIONS.values() for place in _GATE.findall(script(name)))
"""The gates, in the order in which a refresh comes by. ``expand`` and ``fold wide`` only when there are wide marks,
``insert`` only when there is a pair without a summary; ``end`` stands before the commit."""


def gate(place: str) -> str:
    """The statement that stands where the gate is."""
    return f"perform gaq.gate({PLACES.index(place)});"


def install(connection: Connection[Any]) -> None:
    """Puts the gates into the functions of this database."""
    connection.execute((Path(__file__).parent / "gate.sql").read_bytes())
    for function, name in _FUNCTIONS.items():
        found = _GATE.findall(script(name))
        assert len(found) == len(set(found))
        alter(connection, function, *((f"-- [gate] {place}\n", f"{gate(place)}\n") for place in found))


# A lock with two keys: of objsubid 2.
_WAITS = """
SELECT objid::int FROM pg_locks
WHERE pid = %s AND NOT granted AND locktype = 'advisory' AND objsubid = 2 AND classid::int = %s
"""


class Gates:
    """All gates of all workers, closed: the director's connection holds the locks."""

    def __init__(self, director: Connection[Any], workers: int) -> None:
        self._director = director
        director.execute(
            "SELECT pg_advisory_lock(worker, place) FROM generate_series(0, %s) worker, generate_series(0, %s) place",
            [workers - 1, len(PLACES) - 1],
        )

    def waits_at(self, worker: int, backend: int) -> str | None:
        """The place where the worker's backend waits, if it does."""
        row = self._director.execute(_WAITS, [backend, worker]).fetchone()
        return PLACES[row[0]] if row else None

    def open(self, worker: int, place: str) -> None:
        self._director.execute("SELECT pg_advisory_unlock(%s, %s)", [worker, PLACES.index(place)])

    def close(self, worker: int, place: str) -> None:
        self._director.execute("SELECT pg_advisory_lock(%s, %s)", [worker, PLACES.index(place)])

    def open_all(self) -> None:
        self._director.execute("SELECT pg_advisory_unlock_all()")
