"""Measure all the time how long the oldest mark has been there."""

import threading
from contextlib import suppress

import psycopg

from tests.faults.clocks import HOUR
from tests.faults.server import Server

# Faults set clocks, and date marks, by whole hours. No pair is stale for an hour, so only the remainder counts.
OLDEST = f"""
select coalesce(max(age - {HOUR} * floor(age / {HOUR})), 0)::float
from (
    select date_part('epoch', clock_timestamp() - invalidated_at) as age
    from (select invalidated_at from gaq.invalidations
          union all select invalidated_at from gaq.wide_invalidations) mark
) marked
"""
"""The age of the oldest mark in seconds, also after a clock was set by whole hours."""


class StalenessWatch:
    """A thread that reads the age of the oldest mark every 50 ms, while the server answers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._stop = threading.Event()
        self._longest = 0.0
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def longest(self) -> float:
        """Return the longest staleness since the last call, in seconds."""
        longest, self._longest = self._longest, 0.0
        return longest

    def stop(self) -> None:
        """Stop the thread, if it runs."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            # The server may be down, or the tables may be missing.
            with suppress(psycopg.Error), self.server.connect(application_name="watch") as connection:
                while not self._stop.wait(0.05):
                    row = connection.execute(OLDEST.encode()).fetchone()
                    self._longest = max(self._longest, float(row[0]) if row else 0.0)
