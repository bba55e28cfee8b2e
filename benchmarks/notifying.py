"""Count notifications, and sessions that wait for the lock of NOTIFY, while writers write."""

import threading
import time

from benchmarks.lab import Lab

CHANNELS = ("gaq_invalidated", "row_trigger")
"""The doorbell, and what the row trigger notifies of."""

EVERY = 0.02
"""Seconds between two samples."""

# A session that commits a NOTIFY holds this lock until its flush is done; those behind it have not been granted it.
_QUEUE = """
select exists (select from pg_locks
               where locktype = 'object' and classid = 'pg_database'::regclass and objid = 0 and not granted)
"""


class Bystander:
    """Listens to a database for as long as a ``with`` block.

    Afterwards ``rings`` is the number of notifications a second, and ``queue`` the percentage of samples in which a
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
        # A query's answer brings the notifications along.
        try:
            while not self._done.wait(EVERY):
                self._samples.append(self._connection.execute(_QUEUE).fetchone() == (True,))
        except Exception as error:  # noqa: BLE001 - whatever it is, the block ends with it
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
