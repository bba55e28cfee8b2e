"""What a worker costs that has nothing to do."""

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
    """Of the worker's process and its sessions on the server."""
    seconds = 5 if lab.quick else 60
    lab.say(f"a worker at rest for {seconds} s")
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
    """How many the server's log has told: all are the worker's, for nobody else is in a database that tells them."""
    return len(_QUERY.findall((lab.server.directory / "log").read_text(errors="replace")))


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    """Resident, in MB."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
