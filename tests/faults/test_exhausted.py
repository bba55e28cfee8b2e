"""The server runs out of disk, of memory, or of time for a batch."""

from tests.faults.conftest import NewServer
from tests.faults.convergence import assert_converged
from tests.faults.memory import no_more_memory
from tests.faults.program import running
from tests.faults.server import WORKER, Server
from tests.faults.small_disk import SmallDisk
from tests.faults.writing import writing
from tests.support.waiting import until

WORK = "gaq-listen worker"


def test_a_worker_recovers_from_a_full_disk(new_server: NewServer) -> None:
    server = new_server()
    disk = SmallDisk(server)
    server.launcher = disk.launcher
    server.start()
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        with disk.full():
            until(lambda: any("could not extend" in text for text in program.raw), "the worker reports the full disk")
            before = writers.changes
            until(lambda: writers.changes > before + 20, "writers make changes")
            since = program.now()
        program.until("batch_refreshed", since)
        assert_converged(server, writers, program)


def test_a_worker_recovers_from_a_backend_out_of_memory(server: Server) -> None:
    with running(server.dsn(user=WORKER)) as program:
        server.until_asleep()
        [backend] = server.backends(WORK)
        # The first batch takes more memory than the backend has, because it has planned nothing yet.
        with no_more_memory(server, backend), writing(server) as writers:
            until(lambda: "out of memory" in server.log.read_text(), "the backend is out of memory")
            reached = writers.changes
            until(lambda: writers.changes > reached + 20, "writers make changes")
        assert writers.errors == []
        since = program.now()
        with writing(server) as writers:
            program.until("batch_refreshed", since)
            assert_converged(server, writers, program)


def test_a_batch_that_waits_too_long_for_a_lock_is_retried(server: Server) -> None:
    with (
        writing(server) as writers,
        running(server.dsn(user=WORKER), GAQ_LISTEN_BATCH_TIMEOUT="400ms") as program,
        server.connect() as other,
    ):
        program.until("batch_refreshed")
        with other.transaction():
            other.execute("lock table gaq.summaries in access exclusive mode")
            program.until("blocked", where=lambda values: "timeout" in values["reason"])
            before = writers.changes
            until(lambda: writers.changes > before + 10, "writers make changes")
        since = program.now()
        program.until("batch_refreshed", since)
        assert_converged(server, writers, program)
        assert writers.slowest < 5
