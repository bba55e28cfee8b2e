"""Run the systems that refresh summaries: the worker of gaq-listen, the job queues and the least listener.

Each of them is a process.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psycopg

from benchmarks.lab import APPLICATION, LEAST, PGQUEUER, PROCRASTINATE, THIS_WORKER, Lab

GAQ_LISTEN = "gaq-listen"
QUEUES = {PGQUEUER: "PgQueuer", PROCRASTINATE: "procrastinate"}
"""The names of the job queues, by the kind of their database."""
NAMES = {THIS_WORKER: GAQ_LISTEN} | QUEUES
LEAST_LISTENER = "least listener"
"""The name of a listener that only updates a row: no system can take less time."""

_PROGRAM = Path(sys.executable).with_name("gaq-listen")
_COMMANDS = {
    THIS_WORKER: lambda dsn: [str(_PROGRAM), "run", "--dsn", dsn, "--log-format", "plain"],
    PGQUEUER: lambda dsn: [sys.executable, "-m", "benchmarks.peers", "pgqueuer", dsn],
    PROCRASTINATE: lambda dsn: [sys.executable, "-m", "benchmarks.peers", "procrastinate", dsn],
    LEAST: lambda dsn: [sys.executable, "-m", "benchmarks.least_listener", dsn],
}
PENDING = {
    THIS_WORKER: "select exists (select from gaq.invalidations)",
    PGQUEUER: "select exists (select from pgqueuer)",
    PROCRASTINATE: "select exists (select from procrastinate_jobs where status in ('todo', 'doing'))",
}
"""Queries that return whether a system has anything left to do, by the kind of its database."""
INSERT = "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (%s, %s, 1, 1)"
_LISTENS = "select exists (select from gaq.workers where pid = %s and state = 'listening')"
PATIENCE = 60.0


class RefreshLog:
    """The log of a worker of gaq-listen, which says how long each refresh takes. Use as a context manager."""

    def __init__(self) -> None:
        # The worker writes through a descriptor with a position of its own.
        self.file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the end of the context closes it
        self._reading = Path(self.file.name).open(encoding="utf-8")  # noqa: SIM115 - likewise
        self._rest = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._reading.close()
        self.file.close()

    def take(self) -> list[float]:
        """Return the milliseconds of each refresh that the worker has logged since the last call.

        The time goes from before the worker sends the batch until it has received the answer to the commit.
        """
        *lines, self._rest = (self._rest + self._reading.read()).split("\n")
        logged = map(json.loads, lines)
        return [1000 * line["seconds"] for line in logged if line["event"] == "batch_refreshed" and line["pairs"]]


@contextmanager
def worker(lab: Lab, kind: str, dbname: str, log: RefreshLog | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of this kind, and wait until it has refreshed a pair. ``log`` is for a worker of gaq-listen."""
    command = _COMMANDS[kind](lab.server.dsn(dbname))
    if log is not None:
        command += ["--log-format", "json"]  # the last one counts
    process = subprocess.Popen(command, stdout=log.file if log else subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Freshness(lab, dbname) as freshness:
            freshness.first(process)
        if kind == THIS_WORKER:
            _until_listening(lab, dbname, process)
        yield process
        _check(process)
    finally:
        process.terminate()
        process.wait()


def _until_listening(lab: Lab, dbname: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until this worker listens. Another worker may have refreshed the first pair."""
    deadline = time.monotonic() + PATIENCE
    with lab.connect(dbname) as connection:
        while connection.execute(_LISTENS, [process.pid]).fetchone() != (True,):
            _check(process)
            if time.monotonic() > deadline:
                raise TimeoutError(f"the worker {process.args!r} does not listen")
            time.sleep(0.02)


def _check(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise RuntimeError(f"the worker {process.args!r} ended with exit code {process.returncode}")


class Freshness:
    """Measures the time from a commit to the announcement of the refreshed pair. Use as a context manager."""

    def __init__(self, lab: Lab, dbname: str) -> None:
        self._changing = lab.connect(dbname)
        self._listening = lab.connect(dbname)
        self._listening.execute("listen gaq_refreshed")

    def __enter__(self) -> "Freshness":
        return self

    def __exit__(self, *error: object) -> None:
        self._changing.close()
        self._listening.close()

    def measure(
        self, data_pass_id: int, run_number: int, patience: float = PATIENCE, *, less_flush: bool = False
    ) -> float:
        """Insert a flag for the pair. Return the seconds from just before its commit until the announcement.

        With ``less_flush``, the time begins when the commit is done, so the writer's own flush is not in it.
        """
        pair = [data_pass_id, run_number]
        with self._changing.transaction():
            self._changing.execute(INSERT, pair)
            start = time.perf_counter()
        if less_flush:
            start = time.perf_counter()
        while (left := start + patience - time.perf_counter()) > 0:
            for heard in self._listening.notifies(timeout=left, stop_after=1):
                if pair in json.loads(heard.payload):
                    return time.perf_counter() - start
        raise TimeoutError(f"pair {pair} was not refreshed within {patience} s")

    def first(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a worker that was just started refreshes a pair."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            _check(process)
            try:
                self.measure(1, 500001, patience=1)
            except TimeoutError:
                continue
            return
        raise TimeoutError(f"the worker {process.args!r} refreshes nothing")


def wait_until_done(connection: psycopg.Connection, kind: str, patience: float = 600.0) -> None:
    """Wait until nothing is left to do. Check every 5 ms."""
    deadline = time.monotonic() + patience
    while connection.execute(PENDING[kind].encode()).fetchone() != (False,):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{NAMES[kind]} is not done after {patience} s")
        time.sleep(0.005)


_OTHERS = """
select exists (select from pg_stat_activity
               where datname = current_database() and application_name <> %s and backend_type = 'client backend')
"""
_STORED = "select n_tup_upd from pg_stat_user_tables where relid = 'gaq.summaries'::regclass"


def stored(lab: Lab, dbname: str) -> int:
    """Return how often summaries have been stored. Sessions report this when they end, so first wait for their end."""
    with lab.connect(dbname) as connection:
        while connection.execute(_OTHERS, [APPLICATION]).fetchone() == (True,):
            time.sleep(0.02)
        row = connection.execute(_STORED).fetchone()
    assert row
    return int(row[0])
