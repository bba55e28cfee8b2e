"""Somebody ends the worker's sessions, or what they are at: one, the other, all of them, again and again."""

import random
import time

import pytest

from tests.faults.convergence import assert_converged
from tests.faults.program import running
from tests.faults.server import WORKER, Server
from tests.faults.writing import writing

TIMES = 3
_END = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like %s"
_CANCEL = "select count(pg_cancel_backend(pid)) from pg_stat_activity where application_name like %s"


@pytest.mark.parametrize("name", ["gaq-listen doorbell", "gaq-listen worker", "gaq-listen %"])
def test_sessions_are_ended(server: Server, name: str) -> None:
    chance = random.Random(name)
    with writing(server, pause=0.003) as writers, running(server.dsn(user=WORKER)) as program:
        for _ in range(TIMES):
            since = program.now()
            # At any moment: what is aimed at is not only its sleep.
            time.sleep(chance.uniform(0, 0.05))
            server.ask(_END, name)
            program.until("reconnected", since)
            program.until("batch_refreshed", since)
        assert_converged(server, writers, program)


def test_queries_are_cancelled(server: Server) -> None:
    with writing(server, pause=0.003) as writers, running(server.dsn(user=WORKER)) as program:
        for _ in range(30):
            server.ask(_CANCEL, "gaq-listen %")
        assert_converged(server, writers, program)
