"""Faults in which the server refuses the workers, until an administrator changes something back."""

from gaq_listen.dba import installer
from tests.faults import refusing
from tests.faults.fault_environment import FaultEnvironment
from tests.faults.refusing import Change
from tests.faults.server import WORKER, Server


def too_many_connections(env: FaultEnvironment) -> None:
    refusing.without_connections(env.server)
    env.some_time(2)
    refusing.with_connections(env.server)


def rights_revoked(env: FaultEnvironment) -> None:
    env.all_started()
    refusing.without_rights(env.server)
    env.some_time(1)
    refusing.with_rights(env.server)


def password_changed(env: FaultEnvironment) -> None:
    def change(server: Server) -> None:
        refusing.wrong_password(server)
        server.ask(f"alter role {WORKER} password '{refusing.WRONG}'")

    def back(server: Server) -> None:
        server.ask(f"alter role {WORKER} password '{refusing.RIGHT}'")
        refusing.any_password(server)

    _ends_all(env, "wrong password", change, back)


def login_forbidden(env: FaultEnvironment) -> None:
    _ends_all(env, "role may not log in", refusing.without_login, refusing.with_login)


def database_gone(env: FaultEnvironment) -> None:
    _ends_all(env, "database dropped", refusing.moved, refusing.moved_back)


def schema_newer(env: FaultEnvironment) -> None:
    _ends_all(env, "schema newer", refusing.newer_schema, refusing.this_schema)


def uninstalled_and_installed_again(env: FaultEnvironment) -> None:
    def uninstall(server: Server) -> None:
        with server.connect() as connection:
            installer.uninstall(connection)

    def install(server: Server) -> None:
        with server.connect() as connection:
            installer.install(connection)

    _ends_all(env, "schema missing", uninstall, install)


def _ends_all(env: FaultEnvironment, what: str, change: Change, back: Change) -> None:
    """Make a change that ends every worker, each with one error message and its exit code. Then undo the change."""
    _, code, sentence = refusing.FATAL[what]
    workers = env.all_started()
    change(env.server)
    # A connected worker does not notice the change. It notices when it connects again.
    env.server.ask(refusing.TERMINATE_WORKERS, dbname="postgres")
    for worker in workers:
        assert worker.wait() == code, worker.log
        refusing.assert_only_error(worker, sentence)
    env.some_time(1)
    back(env.server)
    for worker in workers:
        env.replace(worker)
