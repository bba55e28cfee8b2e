"""The queue of notifications is full, because a foreign session listens and never reads."""

import pytest

from tests.faults.conftest import NewServer
from tests.faults.convergence import assert_converged
from tests.faults.notification_queue import USAGE, filled, settings
from tests.faults.program import running
from tests.faults.server import WORKER
from tests.faults.writing import writing
from tests.support.waiting import until


@pytest.mark.parametrize("least", [0.5, 0.99], ids=["half", "to the brim"])
def test_pairs_are_refreshed_while_the_queue_is_full(new_server: NewServer, least: float) -> None:
    server = new_server()
    server.settings |= settings(server.version)
    server.start()
    with running(server.dsn(user=WORKER), GAQ_LISTEN_SWEEP="1s") as program:
        server.until_asleep()
        with filled(server, least), writing(server) as writers:
            until(lambda: writers.changes > 50, "writers make changes")
            program.until("batch_refreshed")
            # The queue is still full.
            assert_converged(server, writers)
            assert server.ask(USAGE) >= 0.5
        assert_converged(server, writers, program)
