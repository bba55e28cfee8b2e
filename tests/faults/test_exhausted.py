"""The server runs out of something: disk, memory, time."""

import resource
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import NewServer
from tests.faults.program import running
from tests.faults.server import WORKER, Server
from tests.faults.verdict import all_is_well
from tests.faults.waiting import until
from tests.faults.writing import writing

WORK = "gaq-listen worker"


def on_a_small_disk(server: Server) -> Path:
    """Starts it with a file system of its own that holds one megabyte: nobody need be root for that."""
    if shutil.which("unshare") is None:
        pytest.skip("NOT TESTED: a small file system takes the program unshare")
    place = server.home / "small"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    # A name space of users, for the right to mount; in it another one, where the server is not root but itself.
    mount = (
        "uid=$1 gid=$2; shift 2; "
        f"mount -t tmpfs -o size=1m,mode=0777 tmpfs {place} && "
        'exec unshare --user --map-user=$uid --map-group=$gid -- "$@"'
    )
    script = f"exec unshare --user --map-root-user --mount -- sh -c '{mount}' sh $(id -u) $(id -g) \"$@\""
    server.launcher = lambda command: ["sh", "-c", script, "sh", *command]
    server.start()
    return place


def test_the_disk_is_full(new_server: NewServer) -> None:
    server = new_server()
    place = on_a_small_disk(server)
    server.ask(f"create tablespace small location '{place}'")
    server.ask("alter table gaq.summaries set tablespace small")
    filler = f"copy (select repeat('x', 1000) from generate_series(1, 10000)) to '{place}/filler'"
    with pytest.raises(psycopg.errors.DiskFull):
        server.ask(filler)
    with (
        writing(server) as writers,
        running(server.dsn(user=WORKER)) as program,
        server.connect() as historian,
    ):
        # As long as somebody may still look at old rows, new ones need new space.
        historian.execute("begin isolation level repeatable read; select 1")
        until(lambda: any("could not extend" in text for text in program.raw), "it runs into that")
        before = writers.changes
        until(lambda: writers.changes > before + 20, "they write")
        server.ask(f"copy (select) to program 'rm {place}/filler'")
        since = program.now()
        program.until("batch", since)
        all_is_well(server, writers, program)


def limit_memory(server: Server, pid: int, limit: str) -> None:
    """By whoever runs the server: root itself may not be allowed to."""
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        pytest.skip("NOT TESTED: to take memory from a backend takes the program prlimit")
    subprocess.run([prlimit, f"--pid={pid}", f"--as={limit}"], check=False, **server.account.identity())


def test_there_is_no_memory_for_a_query(server: Server) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch")
        [backend] = server.backends(WORK)
        size = int(Path(f"/proc/{backend}/statm").read_text().split()[0]) * resource.getpagesize()
        limit_memory(server, backend, f"{size}:")
        server.ask(
            "update gaq_summaries set invalidated_at = now();"
            "insert into gaq.invalidations select 1, 501, clock_timestamp(), 'x' from generate_series(1, 20000)"
        )
        until(lambda: any("out of memory" in text for text in server.log.read_text().splitlines()), "there is none")
        limit_memory(server, backend, "unlimited:")
        all_is_well(server, writers, program)


def test_a_batch_waits_for_a_lock_for_too_long(server: Server) -> None:
    with (
        writing(server) as writers,
        running(server.dsn(user=WORKER), GAQ_LISTEN_BATCH_TIMEOUT="400ms") as program,
        server.connect() as other,
    ):
        program.until("batch")
        with other.transaction():
            other.execute("lock table gaq.summaries in access exclusive mode")
            program.until("disconnected", where=lambda values: "timeout" in values["reason"])
            before = writers.changes
            until(lambda: writers.changes > before + 10, "they write")
        since = program.now()
        program.until("batch", since)
        all_is_well(server, writers, program)
        assert writers.slowest < 5
