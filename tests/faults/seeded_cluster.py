"""Make one cluster with gaq-listen and the small period in it, and copies of that cluster."""

import signal
from contextlib import ExitStack
from pathlib import Path

from gaq_listen.dba.scripts import INSTALL_SCRIPTS, script
from gaq_listen.private_postgres import cluster, supervisor
from gaq_listen.private_postgres.binaries import find_binaries, usable_binaries
from gaq_listen.private_postgres.os_user import OsUser, server_user
from tests.faults import clocks
from tests.faults.server import DATABASE, IMMEDIATE, WORKER, Server
from tests.support.small_period import PERIOD
from tests.support.tables import drain


def new_home(account: OsUser, stack: ExitStack, base: Path | None = None) -> Path:
    """Make a directory for a server in ``base``, by default in shared memory if it has room. ``stack`` removes it."""
    home = cluster.make_home(base or cluster.data_base(cluster.temp_base(account)))
    stack.callback(cluster.remove_directory, home)
    return home


def seed_server(stack: ExitStack) -> Server:
    """Make the cluster, and return its server, stopped. ``stack`` removes it."""
    stack.callback(clocks.forget_the_killed)
    account = server_user()
    home = new_home(account, stack)
    binaries, version = usable_binaries(find_binaries(), account, home)
    server = Server(home, binaries, version, account)
    for path in (server.data, server.sockets):
        cluster.make_private(path, account)
    initdb = supervisor.start(cluster.initdb_command(binaries, server.data), account, server.log, signal.SIGTERM)
    assert initdb.wait(60) == 0, cluster.last_lines(server.log)
    server.start()
    stack.callback(server.stop)
    with server.connect(dbname="postgres") as connection:
        connection.execute(f"create database {DATABASE}".encode())
    with server.connect() as connection:
        for name in ("reference_tables", *INSTALL_SCRIPTS):
            connection.execute(script(name).encode())
        connection.execute("reset all; reset role")
        connection.execute(PERIOD.encode())
        drain(connection)
        connection.execute(f"create role {WORKER} login; grant gaq_worker to {WORKER}".encode())
    server.stop()
    return server


def copy_of(seed: Server, stack: ExitStack, base: Path | None = None) -> Server:
    """Return a server with a copy of the data, not started. ``stack`` stops and removes it."""
    server = seed.copy(new_home(seed.account, stack, base))
    stack.callback(server.stop, IMMEDIATE)
    return server
