"""How a worker shows in ``gaq.workers``: under a name of its own, with its state and what it has done."""

from contextlib import suppress
from dataclasses import dataclass

from psycopg import errors

from gaq_listen.line import Line


@dataclass(slots=True)
class Totals:
    """What a worker has done since it was started."""

    batches: int = 0
    pairs: int = 0
    found_by_sweeps: int = 0


class Enrolment:
    """The row of one worker, written through its work connection: the row counts while that lives."""

    def __init__(self, connection: Line, name: str, host: str, pid: int) -> None:
        self._connection = connection
        self._name = name
        self._process = (host, pid)
        self._enrolled = False
        self.state = ""
        """What was last reported."""

    async def enroll(self) -> None:
        """Takes the name; when somebody holds its row who does not move, later, with a report.

        Raises:
            psycopg.errors.UniqueViolation: another worker has it.
        """
        with suppress(errors.LockNotAvailable):
            await self._call("gaq.enroll(%s, %s, %s)", self._name, *self._process)
            self._enrolled = True

    async def report(self, state: str, totals: Totals, swept: int | None = None) -> None:
        """Tells the state, what was done so far and, after a sweep, how many pairs that found."""
        self.state = state
        if not self._enrolled:
            await self.enroll()
        await self._call(
            "gaq.report(%s, %s, %s, %s, %s, %s)",
            self._name,
            state,
            totals.batches,
            totals.pairs,
            totals.found_by_sweeps,
            swept,
        )

    async def leave(self) -> None:
        """Gives the name back."""
        await self._call("gaq.leave(%s)", self._name)

    async def _call(self, call: str, *values: object) -> None:
        async with self._connection.answering():
            await self._connection.execute(f"select {call}".encode(), values)
