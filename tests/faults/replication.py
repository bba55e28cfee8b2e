"""A standby that streams from a primary, and DSNs that name several servers."""

import subprocess
from collections.abc import Iterable
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from gaq_listen.private_postgres import cluster
from tests.faults.proxy import Proxy
from tests.faults.server import DATABASE, WORKER, Server
from tests.faults.waiting import until


def back_up(primary: Server, standby: Server) -> None:
    """Gives a server that has no data yet what the primary, which runs, has.

    Raises:
        pytest.skip.Exception: PostgreSQL came without its program for that.
    """
    program = primary.binaries / "pg_basebackup"
    if not program.exists():
        pytest.skip(f"NOT TESTED: a standby takes pg_basebackup, and there is none in {primary.binaries}")
    for path in (standby.data, standby.sockets):
        cluster.make_private(path, standby.account)
    subprocess.run(
        [program, "--checkpoint=fast", "--no-sync", f"--pgdata={standby.data}", f"--dbname={_conninfo(primary)}"],
        check=True,
        capture_output=True,
        cwd="/",
        env=cluster.environment(),
        **standby.account.identity(),
    )


def follow(primary: Server, standby: Server) -> None:
    """Starts a server, whose data is the primary's, as its standby."""
    (standby.data / "standby.signal").touch()
    standby.account.take(standby.data)
    standby.settings["primary_conninfo"] = f"{_conninfo(primary)} application_name=standby"
    standby.start()
    streams = "select count(*) from pg_stat_replication where application_name = 'standby' and state = 'streaming'"
    until(lambda: primary.ask(streams) == 1, "it streams")


def caught_up(primary: Server, standby: Server) -> None:
    """Waits until the standby has everything that the primary has now."""
    replayed = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"
    end = primary.ask("select pg_current_wal_lsn()::text")
    until(lambda: standby.ask(replayed, end), "the standby has everything")


def either(proxies: Iterable[Proxy], **options: Any) -> str:
    """The worker's DSN of several servers, that wants the one which is primary."""
    ports = [str(proxy.port) for proxy in proxies]
    where: dict[str, Any] = {
        "host": ",".join("127.0.0.1" for _ in ports),
        "port": ",".join(ports),
        "dbname": DATABASE,
        "user": WORKER,
        "sslmode": "disable",
        "target_session_attrs": "read-write",
        "connect_timeout": 2,
    }
    return make_conninfo(**(where | options))


def _conninfo(primary: Server) -> str:
    return f"host={primary.sockets} port={cluster.PORT} user=postgres"
