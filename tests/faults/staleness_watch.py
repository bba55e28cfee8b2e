"""Somebody who looks all the time how long something has been stale."""

import threading
from contextlib import suppress

import psycopg

from tests.faults.clocks import HOUR
from tests.faults.server import Server

# Clocks are set, and marks made, by whole hours: nothing is stale for as long.
OLDEST = f"""
select coalesce(max(age - {HOUR} * floor(age / {HOUR})), 0)::float
from (
    select date_part('epoch', clock_timestamp() - invalidated_at) as age
    from (select invalidated_at from gaq.invalidations
          union all select invalidated_at from gaq.wide_invalidations) mark
) marked
"""
"""How long something has been stale, in seconds, whatever the clock says."""


class Watch:
    """Looks at a server, as far as it answers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._stop = threading.Event()
        self._longest = 0.0
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def longest(self) -> float:
        """The longest time since this was last asked, in seconds."""
        longest, self._longest = self._longest, 0.0
        return longest

    def stop(self) -> None:
        """Looks no more; does nothing where nobody looks."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            # It may be away, and so may be what it looks at.
            with suppress(psycopg.Error), self.server.connect(application_name="watch") as connection:
                while not self._stop.wait(0.05):
                    row = connection.execute(OLDEST.encode()).fetchone()
                    self._longest = max(self._longest, float(row[0]) if row else 0.0)
