"""Choose random pairs, and time statements about them."""

import random
import time
from collections.abc import Iterator, Sequence

import psycopg

from gaq_listen.types import columns

Pairs = tuple[list[int], list[int]]
"""Parallel arrays of data_pass_id and run_number."""

COMPUTE = b"select * from gaq.compute(%s, %s)"
SEED = 20241107


class Chooser:
    """Chooses among the pairs of a database, with a fixed seed."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._all = connection.execute("select data_pass_id, run_number from data_pass_runs order by 1, 2").fetchall()
        self._chance = random.Random(SEED)

    def all(self, number: int) -> Iterator[Pairs]:
        """Yield all pairs, ``number`` at a time."""
        for start in range(0, len(self._all), number):
            yield columns(self._all[start : start + number])

    def some(self, number: int) -> Pairs:
        """Return ``number`` different pairs."""
        return columns(self._chance.sample(self._all, number))


def milliseconds(connection: psycopg.Connection, statement: bytes, arguments: Sequence[object]) -> float:
    """Execute a prepared statement. Return the milliseconds until its last row has arrived."""
    start = time.perf_counter()
    connection.execute(statement, arguments, prepare=True)
    return (time.perf_counter() - start) * 1000


def generic(connection: psycopg.Connection) -> None:
    """Make the session use generic plans, so that no measurement includes planning."""
    connection.execute("set plan_cache_mode = force_generic_plan")
