"""Run writers that make random changes of every kind, and record the outcome of each."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.faults.server import Server

# Each change is one statement in a transaction of its own, and touches one or two random rows.
CHANGES = {
    "flag added": """
        insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id, "from", "to")
        select data_pass_id, run_number, 1 + (random() * 1)::int, 1 + (random() * 1)::int,
               qc_time_start + random() * interval '30 min', qc_time_start + interval '30 min' * (1 + random())
        from data_pass_runs join runs using (run_number) order by random() limit 1""",
    "flag deleted": """
        update qc_flags set deleted = not deleted where id = (select id from qc_flags order by random() limit 1)""",
    "flag verified": """
        insert into qc_flag_verifications (flag_id) select id from qc_flags order by random() limit 1""",
    "verification taken back": """
        delete from qc_flag_verifications
        where id = (select id from qc_flag_verifications order by random() limit 1)""",
    "run corrected": """
        update runs set last_tf_timestamp = time_o2_start + interval '40 min' * (1 + random())
        where run_number = (select run_number from runs order by random() limit 1)""",
    "flag type changed": """
        update qc_flag_types set bad = not bad where id = 2""",
    "detector left out": """
        delete from gaq_detectors where ctid = (select ctid from gaq_detectors order by random() limit 1)""",
    "detector put in": """
        insert into gaq_detectors select data_pass_id, run_number, 1 + (random() * 1)::int
        from data_pass_runs order by random() limit 1 on conflict do nothing""",
    "run left": """
        delete from data_pass_runs where ctid = (
            select ctid from data_pass_runs where (select count(*) from data_pass_runs) > 6
            order by random() limit 1)""",
    "run entered": """
        insert into data_pass_runs select p.id, r.run_number from data_passes p, runs r order by random() limit 1
        on conflict do nothing""",
}
_KINDS = list(CHANGES)
_WEIGHTS = [30, 10, 10, 5, 5, 1, 3, 4, 1, 2]

_CONNECTION_TROUBLE = ("08", "57P", "53300")
"""SQLSTATEs, or their beginnings, that mean: the server stops, starts or has no free connection."""


class Writers:
    """Threads that write until they are stopped, each with a connection of its own."""

    def __init__(self, server: Server, seed: int = 0, how_many: int = 2, pause: float = 0.01) -> None:
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []
        """The errors that a writer met and should not have met."""
        self.tolerated = _CONNECTION_TROUBLE
        self.slowest = 0.0
        self.server = server
        """The server for the next connection. A writer keeps a connection as long as it works."""
        self._pause = pause
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(random.Random(f"{seed} {n}"),), name=f"writer {n}", daemon=True)
            for n in range(how_many)
        ]

    @property
    def changes(self) -> int:
        """Return how many changes have been committed."""
        return self.done.total()

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads. A second call does nothing."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, chance: random.Random) -> None:
        while not self._stop.is_set():
            try:
                with self.server.connect(application_name="writer") as connection:
                    self._on(connection, chance)
            except psycopg.OperationalError as error:
                self._judge(error, "connecting")
                self._stop.wait(0.05)

    def _on(self, connection: Connection[TupleRow], chance: random.Random) -> None:
        connection.execute("select setseed(%s)", (chance.random(),))
        while not self._stop.wait(chance.expovariate(1 / self._pause)):
            [kind] = chance.choices(_KINDS, _WEIGHTS)
            began = time.monotonic()
            try:
                connection.execute(CHANGES[kind].encode())
            except psycopg.Error as error:
                self._judge(error, kind)
                if connection.closed:
                    return
            else:
                self.done[kind] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)

    def _judge(self, error: psycopg.Error, doing: str) -> None:
        # An error of a lost or refused connection has no SQLSTATE.
        if error.sqlstate is not None and not error.sqlstate.startswith(self.tolerated):
            self.errors.append(f"{doing}: {error.sqlstate} {error}")


@contextmanager
def writing(server: Server, **options: Any) -> Iterator[Writers]:
    """Run writers until the context ends or they are stopped."""
    writers = Writers(server, **options)
    writers.start()
    try:
        yield writers
    finally:
        writers.stop()
