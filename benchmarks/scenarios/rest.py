"""Measure what an idle worker costs."""

import os
import re
import time
from pathlib import Path

from benchmarks.contestants import GAQ_LISTEN, worker
from benchmarks.figures import Figure
from benchmarks.lab import THIS_WORKER, Lab

_QUERY = re.compile(r"LOG:  (statement|execute [^:]*): ")
_SESSIONS = "select pid from pg_stat_activity where datname = %s and backend_type = 'client backend'"


def measure(lab: Lab) -> list[Figure]:
    """Measure the process of a worker, and its sessions on the server."""
    seconds = 5 if lab.quick else 60
    lab.say(f"an idle worker for {seconds} s")
    telling = {"log_statement": "'all'"}
    with (
        lab.database(THIS_WORKER, telling) as dbname,
        worker(lab, THIS_WORKER, dbname) as process,
        lab.connect("postgres") as other,
    ):
        time.sleep(2)
        sessions = [row[0] for row in other.execute(_SESSIONS, [dbname]).fetchall()]
        before = _queries(lab), _cpu(process.pid), sum(map(_cpu, sessions))
        time.sleep(seconds)
        after = _queries(lab), _cpu(process.pid), sum(map(_cpu, sessions))
        memory = _memory(process.pid)
    used = [end - start for start, end in zip(before, after, strict=True)]
    return [
        _figure("worker at rest: queries", "/min", 60 * used[0] / seconds),
        _figure("worker at rest: CPU of its process", "ms/min", 1000 * 60 * used[1] / seconds),
        _figure("worker at rest: CPU of its sessions", "ms/min", 1000 * 60 * used[2] / seconds),
        _figure("worker at rest: memory of its process", "MB", memory),
    ]


def _figure(name: str, unit: str, value: float) -> Figure:
    return Figure(name, unit, GAQ_LISTEN, {GAQ_LISTEN: [value]})


def _queries(lab: Lab) -> int:
    """Return the number of queries in the server's log, all of which are of the worker."""
    return len(_QUERY.findall((lab.server.directory / "log").read_text(errors="replace")))


def _cpu(pid: int) -> float:
    """Return the CPU time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    """Return the resident memory of a process, in MB."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
