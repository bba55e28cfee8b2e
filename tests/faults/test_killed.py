"""The worker is killed outright, again and again, at moments that chance chooses."""

import random
import time

from tests.faults.convergence import assert_converged
from tests.faults.program import Program, running
from tests.faults.server import WORKER, Server
from tests.faults.writing import writing

TIMES = 5


def test_killed_at_random_moments(server: Server) -> None:
    chance = random.Random(1)
    with writing(server, pause=0.003) as writers:
        for _ in range(TIMES):
            with running(server.dsn(user=WORKER)) as program:
                # What is aimed at is the middle of a batch, which no line tells.
                program.until("batch_refreshed")
                time.sleep(chance.uniform(0, 0.2))
                program.kill()
        with running(server.dsn(user=WORKER)) as program:
            assert_converged(server, writers, program)


def test_what_it_left_is_drained_by_once(server: Server) -> None:
    with writing(server) as writers:
        with running(server.dsn(user=WORKER)) as program:
            program.until("batch_refreshed")
            program.kill()
        writers.stop()
        server.ask("update gaq_summaries set invalidated_at = now()")
        once = Program(server.dsn(user=WORKER), "--once")
        assert once.wait() == 0
        assert_converged(server, writers)
