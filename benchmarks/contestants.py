"""Run the systems that refresh summaries: the worker of gaq-listen and the job queues, each as a process."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.lab import APPLICATION, PGQUEUER, PROCRASTINATE, THIS_WORKER, Lab

GAQ_LISTEN = "gaq-listen"
QUEUES = {PGQUEUER: "PgQueuer", PROCRASTINATE: "procrastinate"}
"""The names of the job queues, by the kind of their database."""
NAMES = {THIS_WORKER: GAQ_LISTEN} | QUEUES

_PROGRAM = Path(sys.executable).with_name("gaq-listen")
_COMMANDS = {
    THIS_WORKER: lambda dsn: [str(_PROGRAM), "run", "--dsn", dsn, "--log-format", "plain"],
    PGQUEUER: lambda dsn: [sys.executable, "-m", "benchmarks.peers", "pgqueuer", dsn],
    PROCRASTINATE: lambda dsn: [sys.executable, "-m", "benchmarks.peers", "procrastinate", dsn],
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


@contextmanager
def worker(lab: Lab, kind: str, dbname: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of this kind, and wait until it has refreshed a pair."""
    command = _COMMANDS[kind](lab.server.dsn(dbname))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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

    def measure(self, data_pass_id: int, run_number: int, patience: float = PATIENCE) -> float:
        """Insert a flag for the pair. Return the seconds from just before its commit until the announcement."""
        pair = [data_pass_id, run_number]
        with self._changing.transaction():
            self._changing.execute(INSERT, pair)
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
