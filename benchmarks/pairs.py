"""Random pairs, and how long a statement about them takes."""

import random
import time
from collections.abc import Sequence

import psycopg

Pairs = tuple[list[int], list[int]]
"""Parallel arrays of data_pass_id and run_number."""

COMPUTE = b"select * from gaq.compute(%s, %s)"
SEED = 20241107


class Chooser:
    """Chooses among the pairs of a database, the same each time."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._all = connection.execute("select data_pass_id, run_number from data_pass_runs order by 1, 2").fetchall()
        self._chance = random.Random(SEED)

    def some(self, number: int) -> Pairs:
        """So many different pairs."""
        chosen = self._chance.sample(self._all, number)
        return [pair[0] for pair in chosen], [pair[1] for pair in chosen]


def milliseconds(connection: psycopg.Connection, statement: bytes, arguments: Sequence[object]) -> float:
    """Of a prepared statement, until its last row has arrived."""
    start = time.perf_counter()
    connection.execute(statement, arguments, prepare=True)
    return (time.perf_counter() - start) * 1000


def generic(connection: psycopg.Connection) -> None:
    """Plans once for all values: nobody's planning is measured."""
    connection.execute("set plan_cache_mode = force_generic_plan")
