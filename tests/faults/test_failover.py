"""A primary and its standby, real streaming replication, and a DSN that names both."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from tests.faults.conftest import NewServer
from tests.faults.program import Program, running
from tests.faults.proxy import Proxy, network
from tests.faults.server import DATABASE, WORKER, Server
from tests.faults.verdict import all_is_well
from tests.faults.waiting import until
from tests.faults.writing import writing


@pytest.fixture
def pair(new_server: NewServer) -> tuple[Server, Server]:
    """A primary, and a standby that streams from it."""
    primary, standby = new_server(), new_server()
    primary.start()
    (standby.data / "standby.signal").touch()
    standby.account.take(standby.data)
    standby.settings["primary_conninfo"] = f"host={primary.sockets} user=postgres application_name=standby"
    standby.start()
    streams = "select count(*) from pg_stat_replication where state = 'streaming'"
    until(lambda: primary.ask(streams) == 1, "it streams")
    return primary, standby


@contextmanager
def networks(*servers: Server) -> Iterator[list[Proxy]]:
    with network(servers[0].sockets / ".s.PGSQL.5432") as one, network(servers[1].sockets / ".s.PGSQL.5432") as other:
        yield [one, other]


def both(proxies: list[Proxy], **options: Any) -> str:
    """A DSN of both, that wants the one which is primary."""
    return make_conninfo(
        host=",".join("127.0.0.1" for _ in proxies),
        port=",".join(str(proxy.port) for proxy in proxies),
        dbname=DATABASE,
        user=WORKER,
        sslmode="disable",
        target_session_attrs="read-write",
        connect_timeout=2,
        **options,
    )


@pytest.mark.parametrize("silent", [False, True], ids=["killed", "unreachable"])
def test_it_goes_on_with_the_new_primary(pair: tuple[Server, Server], silent: bool) -> None:
    primary, standby = pair
    with networks(*pair) as proxies, running(both(proxies), GAQ_LISTEN_HEARTBEAT="1s") as program:
        with writing(primary) as writers:
            program.until("batch")
            if silent:
                proxies[0].black_hole()
            else:
                primary.kill()
            program.until("disconnected")
            writers.stop()
            assert writers.errors == []
        standby.ask("select pg_promote()")
        with writing(standby) as writers:
            program.until("reconnected")
            since = program.now()
            program.until("batch", since)
            if silent:
                primary.kill()
            all_is_well(standby, writers, program)


def test_a_standby_is_said_and_waited_with(pair: tuple[Server, Server]) -> None:
    primary, standby = pair
    with writing(primary) as writers, running(standby.dsn(user=WORKER), ready="polling") as program:
        assert "standby" in program.of("polling")[0].values["reason"]
        until(lambda: writers.changes > 20, "they write")
        writers.stop()
        assert not program.of("batch")
        replayed = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"
        end = primary.ask("select pg_current_wal_lsn()::text")
        until(lambda: standby.ask(replayed, end), "the standby has everything")
        standby.ask("select pg_promote()")
        program.until("listening")
        all_is_well(standby, writers, program)


def test_a_standby_is_refused_when_listening_is_required(pair: tuple[Server, Server]) -> None:
    program = Program(pair[1].dsn(user=WORKER), "--require-listen")
    assert program.wait() == 1
    assert "standby" in program.log
    assert len(program.raw) <= 3, program.log
