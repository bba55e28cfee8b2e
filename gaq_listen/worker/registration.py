"""Register a worker in ``gaq.workers`` under a name of its own, and report its state and its counts."""

import secrets
from contextlib import suppress
from dataclasses import dataclass

from psycopg import errors

from gaq_listen.db.connection import AbortableConnection


@dataclass(slots=True)
class WorkTotals:
    """Count what a worker has done since its start."""

    batches: int = 0
    pairs: int = 0
    found_by_sweeps: int = 0


class Registration:
    """Write the row of one worker through its work connection. The row is valid while that connection lives.

    ``name`` is the name of the worker. None: host and process, with a suffix if another worker has that name already,
    as in two containers with the same host name and process number. ``backend_before`` is the backend of the worker's
    earlier connection. None: there was no earlier connection.
    """

    def __init__(
        self, connection: AbortableConnection, name: str | None, host: str, pid: int, backend_before: int | None = None
    ) -> None:
        self._connection = connection
        self._named = name is not None
        self.name = name or f"{host}:{pid}"
        """The name of the worker."""
        self._process = (host, pid)
        self.backend = backend_before
        """The backend that the row names."""
        self._doorbell: int | None = None
        self._registered = False
        self.state = ""
        """The last reported state."""

    async def register(self) -> None:
        """Register the worker's name. If another session locks the row, retry with the next report.

        Raises:
            psycopg.errors.UniqueViolation: another worker has the name that the settings give.
        """
        with suppress(errors.LockNotAvailable):
            try:
                await self._insert()
            except errors.UniqueViolation:
                if self._named:
                    raise
                self.name = f"{self.name}:{secrets.token_hex(2)}"
                await self._insert()
            self._registered = True
            if self._doorbell is not None:
                await self.report_doorbell(self._doorbell)

    async def _insert(self) -> None:
        async with self._connection.deadline():
            cursor = await self._connection.execute(
                "select pg_backend_pid() from gaq.register_worker(%s, %s, %s, %s)",
                (self.name, *self._process, self.backend),
            )
            (row,) = await cursor.fetchall()
        self.backend = row[0]

    async def report_doorbell(self, doorbell_pid: int) -> None:
        """Record the backend of the doorbell's connection."""
        self._doorbell = doorbell_pid
        await self._call("gaq.register_doorbell(%s, %s)", self.name, doorbell_pid)

    async def report(self, state: str, totals: WorkTotals, swept: int | None = None) -> None:
        """Record the state and the counts and, after a sweep, the number of pairs that the sweep found."""
        self.state = state
        if not self._registered:
            await self.register()
        await self._call(
            "gaq.worker_heartbeat(%s, %s, %s, %s, %s, %s)",
            self.name,
            state,
            totals.batches,
            totals.pairs,
            totals.found_by_sweeps,
            swept,
        )

    async def unregister(self) -> None:
        """Remove the row."""
        await self._call("gaq.unregister_worker(%s)", self.name)

    async def _call(self, call: str, *values: object) -> None:
        async with self._connection.deadline():
            await self._connection.execute(f"select {call}".encode(), values)
