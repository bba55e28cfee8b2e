"""The server's queue of notifications fills up, because somebody listens and never takes them."""

import psycopg
import pytest

from tests.faults.conftest import NewServer
from tests.faults.program import running
from tests.faults.server import WORKER
from tests.faults.verdict import all_is_well
from tests.faults.waiting import until
from tests.faults.writing import writing

_FILL = "select pg_notify('nothing', repeat('x', 7000) || n) from generate_series(1, %s) n"
USAGE = "select pg_notification_queue_usage()"


@pytest.mark.parametrize("least", [0.5, 0.99], ids=["half", "to the brim"])
def test_the_queue_is_full(new_server: NewServer, least: float) -> None:
    server = new_server()
    if server.version < 17:
        pytest.skip("NOT TESTED: before PostgreSQL 17 the queue cannot be made small, and holds 8 GB")
    server.settings["max_notify_queue_pages"] = "64"
    server.start()
    with server.connect() as deaf, server.connect() as loud:
        deaf.execute("listen nothing")
        deaf.execute("begin")
        deaf.execute("select 1")
        with running(server.dsn(user=WORKER), GAQ_LISTEN_SWEEP="1s") as program:
            server.until_asleep()
            step = 20
            while server.ask(USAGE) < least and step:
                try:
                    loud.execute(_FILL, (step,))
                except psycopg.errors.ProgramLimitExceeded:
                    step //= 2
            assert server.ask(USAGE) >= 0.5
            with writing(server) as writers:
                until(lambda: writers.changes > 50, "they write")
                program.until("batch")
                # While it is full.
                all_is_well(server, writers)
                assert server.ask(USAGE) >= 0.5
                deaf.execute("rollback")
                all_is_well(server, writers, program)
