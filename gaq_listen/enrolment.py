"""How a worker shows in ``gaq.workers``: under a name of its own, with its state and what it has done."""

from dataclasses import dataclass

from gaq_listen.line import Line


@dataclass(slots=True)
class Totals:
    """What a worker has done since it was started."""

    batches: int = 0
    pairs: int = 0
    found_by_sweeps: int = 0


class Enrolment:
    """The row of one worker, written through its work connection: the row counts while that lives."""

    def __init__(self, connection: Line, name: str) -> None:
        self._connection = connection
        self._name = name
        self.state = ""
        """What was last reported."""

    async def enroll(self, host: str, pid: int) -> None:
        """Takes the name.

        Raises:
            psycopg.errors.UniqueViolation: another worker has it.
        """
        await self._call("gaq.enroll(%s, %s, %s)", self._name, host, pid)

    async def report(self, state: str, totals: Totals, swept: int | None = None) -> None:
        """Tells the state, what was done so far and, after a sweep, how many pairs that found."""
        self.state = state
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
