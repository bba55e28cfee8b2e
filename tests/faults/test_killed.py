"""A worker is killed again and again, at random moments."""

import random
import time

from tests.faults.convergence import assert_converged
from tests.faults.program import Program, running
from tests.faults.server import WORKER, Server
from tests.faults.writing import writing

TIMES = 5


def test_nothing_is_lost_when_workers_are_killed(server: Server) -> None:
    chance = random.Random(1)
    with writing(server, pause=0.003) as writers:
        for _ in range(TIMES):
            with running(server.dsn(user=WORKER)) as program:
                # The kill should also hit the middle of a batch, which no log line shows.
                program.until("batch_refreshed")
                time.sleep(chance.uniform(0, 0.2))
                program.kill()
        with running(server.dsn(user=WORKER)) as program:
            assert_converged(server, writers, program)


def test_once_drains_what_a_killed_worker_left(server: Server) -> None:
    with writing(server) as writers:
        with running(server.dsn(user=WORKER)) as program:
            program.until("batch_refreshed")
            program.kill()
        writers.stop()
        server.ask("update gaq_summaries set invalidated_at = now()")
        once = Program(server.dsn(user=WORKER), "--once")
        assert once.wait() == 0
        assert_converged(server, writers)
