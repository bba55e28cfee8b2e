"""A worker whose DSN names a primary and its streaming standby survives a failover."""

import pytest

from tests.faults.conftest import NewServer
from tests.faults.convergence import assert_converged
from tests.faults.program import Program, running
from tests.faults.proxy import network
from tests.faults.replication import caught_up, either, follow
from tests.faults.server import WORKER, Server
from tests.faults.writing import writing
from tests.support.waiting import until


@pytest.fixture
def pair(new_server: NewServer) -> tuple[Server, Server]:
    """Start a primary, and a standby that streams from the primary."""
    primary, standby = new_server(), new_server()
    primary.start()
    # Both are copies of one cluster, so the standby needs no backup of the primary.
    follow(primary, standby)
    return primary, standby


@pytest.mark.parametrize("silent", [False, True], ids=["killed", "unreachable"])
def test_a_worker_goes_on_with_the_new_primary(pair: tuple[Server, Server], silent: bool) -> None:
    primary, standby = pair
    with (
        network(primary.socket) as way,
        network(standby.socket) as other_way,
        running(either((way, other_way)), GAQ_LISTEN_HEARTBEAT="1s") as program,
    ):
        with writing(primary) as writers:
            program.until("batch_refreshed")
            if silent:
                way.black_hole()
            else:
                primary.kill()
            program.until("disconnected")
            writers.stop()
            assert writers.errors == []
        standby.ask("select pg_promote()")
        with writing(standby) as writers:
            program.until("reconnected")
            since = program.now()
            program.until("batch_refreshed", since)
            if silent:
                primary.kill()
            assert_converged(standby, writers, program)


def test_a_worker_on_a_standby_polls_until_it_is_promoted(pair: tuple[Server, Server]) -> None:
    primary, standby = pair
    with writing(primary) as writers, running(standby.dsn(user=WORKER), ready="polling") as program:
        assert "standby" in program.of("polling")[0].values["reason"]
        until(lambda: writers.changes > 20, "writers make changes")
        writers.stop()
        assert not program.of("batch_refreshed")
        caught_up(primary, standby)
        standby.ask("select pg_promote()")
        program.until("listening")
        assert_converged(standby, writers, program)


def test_require_listen_refuses_a_standby(pair: tuple[Server, Server]) -> None:
    program = Program(pair[1].dsn(user=WORKER), "--require-listen")
    assert program.wait() == 1
    assert "standby" in program.log
    assert len(program.raw) <= 3, program.log
