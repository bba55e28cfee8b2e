"""The server stops or crashes, and starts again."""

import os
import signal

import psycopg
import pytest

from tests.faults.convergence import assert_converged
from tests.faults.program import running
from tests.faults.server import FAST, IMMEDIATE, SMART, WORKER, Server
from tests.faults.writing import writing
from tests.support.waiting import until


@pytest.mark.parametrize("how", [FAST, IMMEDIATE], ids=["fast", "immediate"])
def test_a_worker_survives_a_restart_of_the_server(server: Server, how: signal.Signals) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch_refreshed")
        since = program.now()
        server.stop(how)
        program.until("disconnected", since)
        before = writers.changes
        server.start()
        program.until("reconnected", since)
        until(lambda: writers.changes > before + 20, "writers make changes again")
        assert_converged(server, writers, program)


def test_a_worker_goes_on_during_a_smart_stop(server: Server) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch_refreshed")
        server.send(SMART)
        until(lambda: _refuses(server), "the server refuses new connections")
        since = program.now()
        program.until("batch_refreshed", since)
        assert not program.of("disconnected")
        server.restart(FAST)
        program.until("reconnected")
        assert_converged(server, writers, program)


def _refuses(server: Server) -> bool:
    try:
        server.connect().close()
    except psycopg.OperationalError:
        return True
    return False


def test_a_worker_survives_a_crash_of_the_server(server: Server) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch_refreshed")
        server.kill()
        program.until("disconnected")
        server.start()
        program.until("reconnected")
        assert_converged(server, writers, program)


@pytest.mark.parametrize("whose", ["writer", "gaq-listen worker"])
def test_a_worker_survives_the_kill_of_a_backend(server: Server, whose: str) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch_refreshed")
        os.kill(server.backends(whose)[0], signal.SIGKILL)
        program.until("disconnected")
        program.until("reconnected")
        assert_converged(server, writers, program)


def test_a_worker_waits_for_a_server_that_starts_up(server: Server) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch_refreshed")
        server.stop()
        go = server.start_held_up()
        said = program.until("disconnected", where=lambda values: "starting up" in values["reason"])
        assert said.level == "WARNING"
        go()
        program.until("reconnected")
        assert_converged(server, writers, program)


def test_the_first_connection_waits_for_a_starting_server(server: Server) -> None:
    server.stop()
    go = server.start_held_up()
    with running(server.dsn(user=WORKER), ready="disconnected") as program:
        assert "starting up" in program.lines[0].values["reason"]
        go()
        program.until("listening")
        with writing(server) as writers:
            program.until("batch_refreshed")
            assert_converged(server, writers, program)
