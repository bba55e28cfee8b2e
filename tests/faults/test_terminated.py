"""An administrator ends the sessions of a worker, or cancels its queries, again and again."""

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
def test_a_worker_survives_the_end_of_its_sessions(server: Server, name: str) -> None:
    chance = random.Random(name)
    with writing(server, pause=0.003) as writers, running(server.dsn(user=WORKER)) as program:
        for _ in range(TIMES):
            since = program.now()
            # The end should also hit a worker in the middle of a batch.
            time.sleep(chance.uniform(0, 0.05))
            server.ask(_END, name)
            program.until("reconnected", since)
            program.until("batch_refreshed", since)
        assert_converged(server, writers, program)


def test_a_worker_survives_cancelled_queries(server: Server) -> None:
    with writing(server, pause=0.003) as writers, running(server.dsn(user=WORKER)) as program:
        for _ in range(30):
            server.ask(_CANCEL, "gaq-listen %")
        assert_converged(server, writers, program)
