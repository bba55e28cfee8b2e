"""Signals stop a worker, whatever it does at that moment."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.convergence import assert_clean_stop, assert_converged, stale
from tests.faults.program import Program, running
from tests.faults.proxy import Proxy, network
from tests.faults.server import DATABASE, WORKER, Server
from tests.faults.writing import writing
from tests.support.waiting import until

SOON = 5.0
"""Seconds within which a worker ends."""
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
def test_one_signal_stops_a_sleeping_worker(server: Server, number: signal.Signals) -> None:
    with running(server.dsn(user=WORKER)) as program:
        program.send(number)
        assert program.until("stopping", patience=SOON).values["reason"] == number.name
        assert program.wait(SOON) == 0
        assert_clean_stop(program)


def test_one_signal_lets_a_worker_finish_its_batch(server: Server) -> None:
    with running(server.dsn(user=WORKER)) as program, server.connect() as other:
        server.until_asleep()
        with other.transaction():
            other.execute("lock table gaq.summaries in exclusive mode")
            server.ask("update gaq_summaries set invalidated_at = now() where run_number = 501")
            until(lambda: server.ask(BATCH) == 1, "the worker is in a batch")
            program.send(signal.SIGTERM)
            program.until("stopping")
            assert not program.of("stopped")
        assert program.wait(SOON) == 0
        assert [line.event for line in program.lines][-2:] == ["batch_refreshed", "stopped"]
        assert stale(server) == 0
        assert_clean_stop(program)


def test_two_signals_end_a_worker_at_once_and_lose_nothing(server: Server) -> None:
    with writing(server) as writers:
        with running(server.dsn(user=WORKER)) as program, server.connect() as other:
            program.until("batch_refreshed")
            with other.transaction():
                other.execute("lock table gaq.summaries in exclusive mode")
                until(lambda: server.ask(BATCH) == 1, "the worker is in a batch")
                program.send(signal.SIGTERM)
                program.until("stopping")
                program.send(signal.SIGINT)
                assert program.wait(SOON) == 130
        with running(server.dsn(user=WORKER)) as program:
            assert_converged(server, writers, program)


@pytest.mark.parametrize("times", [1, 2])
def test_signals_stop_a_worker_whose_server_is_silent(server: Server, proxy: Proxy, times: int) -> None:
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


def test_a_signal_stops_a_worker_that_connects_first(proxy: Proxy) -> None:
    proxy.black_hole()
    with running(dsn(proxy), ready="") as program:
        until(lambda: proxy.accepted, "the worker connects")
        time.sleep(0.1)
        program.send(signal.SIGTERM)
        assert program.wait(SOON) == 0
        assert [line.event for line in program.lines] == ["stopping"]


def test_a_signal_stops_a_worker_that_reconnects(server: Server) -> None:
    with running(server.dsn(user=WORKER)) as program:
        server.stop()
        program.until("disconnected", where=lambda values: "failed" in values["reason"])
        program.send(signal.SIGTERM)
        assert program.wait(SOON) == 0
        assert [line.event for line in program.lines][-2:] == ["stopping", "stopped"]


def test_a_hangup_does_not_stop_a_worker_without_terminal(server: Server) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.send(signal.SIGHUP)
        since = program.now()
        program.until("batch_refreshed", since)
        assert not program.of("stopping")
        assert_converged(server, writers, program)


def test_two_signals_stop_a_worker_with_once(server: Server) -> None:
    with server.connect() as other, other.transaction():
        other.execute("lock table gaq.summaries in exclusive mode")
        server.ask("update gaq_summaries set invalidated_at = now() where run_number = 501")
        program = Program(server.dsn(user=WORKER), "--once")
        until(lambda: server.ask(BATCH) == 1, "the worker is in a batch")
        program.send(signal.SIGTERM)
        program.until("stopping")
        program.send(signal.SIGTERM)
        assert program.wait(SOON) == 130
