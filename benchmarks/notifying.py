"""Count notifications and sessions that wait for the lock of NOTIFY, while writers commit."""

import threading
import time

from benchmarks.lab import Lab

CHANNELS = ("gaq_invalidated", "row_trigger")
"""The channels of the doorbell and of the row trigger."""

EVERY = 0.02
"""Seconds between two samples."""

# A session that commits a NOTIFY holds this lock until its flush is done. Other such sessions wait for the lock.
_QUEUE = """
select exists (select from pg_locks
               where locktype = 'object' and classid = 'pg_database'::regclass and objid = 0 and not granted)
"""


class Bystander:
    """Listens to a database for the duration of a ``with`` block.

    Afterwards ``rings`` is the number of notifications a second, and ``queue`` is the percentage of samples in which a
    session was waiting for the lock of NOTIFY.
    """

    def __init__(self, lab: Lab, dbname: str) -> None:
        self.rings = 0.0
        self.queue = 0.0
        self._samples: list[bool] = []
        self._notifications = 0
        self._error: Exception | None = None
        self._done = threading.Event()
        self._connection = lab.connect(dbname)
        for channel in CHANNELS:
            self._connection.execute(f"listen {channel}".encode())
        self._connection.add_notify_handler(self._count)
        self._thread = threading.Thread(target=self._sample)

    def _count(self, _: object) -> None:
        self._notifications += 1

    def _sample(self) -> None:
        # psycopg receives notifications together with the answer of a query.
        try:
            while not self._done.wait(EVERY):
                self._samples.append(self._connection.execute(_QUEUE).fetchone() == (True,))
        except Exception as error:  # noqa: BLE001 - the end of the block raises it again
            self._error = error

    def __enter__(self) -> "Bystander":
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self._began
        self._done.set()
        self._thread.join()
        self._connection.close()
        if self._error:
            raise self._error
        self.rings = self._notifications / seconds
        self.queue = 100 * sum(self._samples) / max(1, len(self._samples))
