"""Asked to stop, politely or not, whatever it is at."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.convergence import assert_converged, ended_well, stale
from tests.faults.program import Program, running
from tests.faults.proxy import Proxy, network
from tests.faults.server import DATABASE, WORKER, Server
from tests.faults.waiting import until
from tests.faults.writing import writing

SOON = 5.0
"""Seconds within which it ends, whatever it is at; a second request makes that one."""
BATCH = """
select count(*) from pg_stat_activity where application_name = 'gaq-listen worker' and wait_event_type = 'Lock'
"""


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with network(server.socket) as proxy:
        yield proxy


def dsn(proxy: Proxy) -> str:
    return proxy.dsn(user=WORKER, dbname=DATABASE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_once_while_it_sleeps(server: Server, number: signal.Signals) -> None:
    with running(server.dsn(user=WORKER)) as program:
        program.send(number)
        assert program.until("stopping", patience=SOON).values["reason"] == number.name
        assert program.wait(SOON) == 0
        ended_well(program)


def test_once_finishes_the_batch_in_flight(server: Server) -> None:
    with running(server.dsn(user=WORKER)) as program, server.connect() as other:
        server.until_asleep()
        with other.transaction():
            other.execute("lock table gaq.summaries in exclusive mode")
            server.ask("update gaq_summaries set invalidated_at = now() where run_number = 501")
            until(lambda: server.ask(BATCH) == 1, "it is in a batch")
            program.send(signal.SIGTERM)
            program.until("stopping")
            assert not program.of("stopped")
        assert program.wait(SOON) == 0
        assert [line.event for line in program.lines][-2:] == ["batch_refreshed", "stopped"]
        assert stale(server) == 0
        ended_well(program)


def test_twice_leaves_at_once_and_loses_nothing(server: Server) -> None:
    with writing(server) as writers:
        with running(server.dsn(user=WORKER)) as program, server.connect() as other:
            program.until("batch_refreshed")
            with other.transaction():
                other.execute("lock table gaq.summaries in exclusive mode")
                until(lambda: server.ask(BATCH) == 1, "it is in a batch")
                program.send(signal.SIGTERM)
                program.until("stopping")
                program.send(signal.SIGINT)
                assert program.wait(SOON) == 130
        with running(server.dsn(user=WORKER)) as program:
            assert_converged(server, writers, program)


@pytest.mark.parametrize("times", [1, 2])
def test_while_nothing_answers(server: Server, proxy: Proxy, times: int) -> None:
    """In the middle of serving, with a server that has just become silent."""
    with writing(server) as writers:
        with running(dsn(proxy), GAQ_LISTEN_HEARTBEAT="1s") as program:
            program.until("batch_refreshed")
            proxy.black_hole()
            program.send(signal.SIGTERM)
            program.until("stopping")
            for _ in range(times - 1):
                program.send(signal.SIGTERM)
            assert program.wait(SOON) == (0 if times == 1 else 130)
        proxy.heal()
        with running(server.dsn(user=WORKER)) as program:
            assert_converged(server, writers, program)


def test_during_the_first_connection(proxy: Proxy) -> None:
    proxy.black_hole()
    with running(dsn(proxy), ready="") as program:
        until(lambda: proxy.accepted, "it connects")
        time.sleep(0.1)
        program.send(signal.SIGTERM)
        assert program.wait(SOON) == 0
        assert [line.event for line in program.lines] == ["stopping"]


def test_during_reconnecting(server: Server) -> None:
    with running(server.dsn(user=WORKER)) as program:
        server.stop()
        program.until("disconnected", where=lambda values: "failed" in values["reason"])
        program.send(signal.SIGTERM)
        assert program.wait(SOON) == 0
        assert [line.event for line in program.lines][-2:] == ["stopping", "stopped"]


def test_a_terminal_that_has_gone_is_nothing_to_who_writes_elsewhere(server: Server) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.send(signal.SIGHUP)
        since = program.now()
        program.until("batch_refreshed", since)
        assert not program.of("stopping")
        assert_converged(server, writers, program)


def test_once_can_be_stopped_too(server: Server) -> None:
    with server.connect() as other, other.transaction():
        other.execute("lock table gaq.summaries in exclusive mode")
        server.ask("update gaq_summaries set invalidated_at = now() where run_number = 501")
        program = Program(server.dsn(user=WORKER), "--once")
        until(lambda: server.ask(BATCH) == 1, "it is in a batch")
        program.send(signal.SIGTERM)
        program.until("stopping")
        program.send(signal.SIGTERM)
        assert program.wait(SOON) == 130
