"""Make a standby that streams from a primary, and DSNs that name several servers."""

import subprocess
from collections.abc import Iterable
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from gaq_listen.private_postgres import cluster
from tests.faults.proxy import Proxy
from tests.faults.server import DATABASE, WORKER, Server
from tests.support.waiting import until


def back_up(primary: Server, standby: Server) -> None:
    """Copy the data of a running primary to a server that has no data yet.

    Raises:
        pytest.skip.Exception: this PostgreSQL came without pg_basebackup.
    """
    program = primary.binaries / "pg_basebackup"
    if not program.exists():
        pytest.skip(f"NOT TESTED: a standby needs pg_basebackup, which is not in {primary.binaries}")
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
    """Start a server that has a copy of the data as the standby of the primary."""
    (standby.data / "standby.signal").touch()
    standby.account.take(standby.data)
    standby.settings["primary_conninfo"] = f"{_conninfo(primary)} application_name=standby"
    standby.start()
    streams = "select count(*) from pg_stat_replication where application_name = 'standby' and state = 'streaming'"
    until(lambda: primary.ask(streams) == 1, "the standby streams")


def caught_up(primary: Server, standby: Server) -> None:
    """Wait until the standby has replayed everything that the primary has written so far."""
    replayed = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"
    end = primary.ask("select pg_current_wal_lsn()::text")
    until(lambda: standby.ask(replayed, end), "the standby has caught up")


def either(proxies: Iterable[Proxy], **options: Any) -> str:
    """Return a DSN that names several servers, and that connects to the primary among them."""
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
