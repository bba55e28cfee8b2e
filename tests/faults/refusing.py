"""Changes that make a running server refuse a worker, and how an administrator undoes each."""

from collections.abc import Callable
from contextlib import suppress

import psycopg

from tests.faults.program import Program
from tests.faults.server import DATABASE, WORKER, Server
from tests.support.waiting import until

UNREACHABLE, CONFIGURATION = 3, 1
"""Exit codes of a worker: no connection, and a database that does not fit."""
Change = Callable[[Server], object]

TERMINATE_WORKERS = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'gaq-%'"
RIGHT, WRONG = "right-secret", "wrong-secret"
ELSEWHERE = f"{DATABASE}_elsewhere"
_PASSWORD = f"local all {WORKER} scram-sha-256"


def wrong_password(server: Server) -> None:
    """Require RIGHT as the password of the worker's role."""
    server.ask(f"alter role {WORKER} password '{RIGHT}'")
    server.authenticate(_PASSWORD)


def any_password(server: Server) -> None:
    server.authenticate()


def without_login(server: Server) -> None:
    server.ask(f"alter role {WORKER} nologin")


def with_login(server: Server) -> None:
    server.ask(f"alter role {WORKER} login")


def dropped(server: Server) -> None:
    server.ask(f"drop database {DATABASE} with (force)", dbname="postgres")


def moved(server: Server) -> None:
    """Rename the database. To a worker that connects, this looks as if it had been dropped."""
    _rename(server, DATABASE, ELSEWHERE)


def moved_back(server: Server) -> None:
    _rename(server, ELSEWHERE, DATABASE)


def _rename(server: Server, old: str, new: str) -> None:
    # A database that refuses connections has no session that could block the renaming.
    server.ask(f"alter database {old} allow_connections false", dbname="postgres")
    end = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where datname = %s"
    server.ask(end, old, dbname="postgres")
    server.ask(f"alter database {old} rename to {new}", dbname="postgres")
    server.ask(f"alter database {new} allow_connections true", dbname="postgres")


def without_schema(server: Server) -> None:
    def gone() -> bool:
        # DROP SCHEMA takes the locks one by one, so a deadlock with a worker is possible. Then try again.
        with suppress(psycopg.errors.DeadlockDetected):
            server.ask("drop schema gaq cascade")
        return bool(server.ask("select to_regnamespace('gaq') is null"))

    until(gone, "the schema is dropped")


def newer_schema(server: Server) -> None:
    server.ask("update gaq.installation set version = version + 1")


def this_schema(server: Server) -> None:
    server.ask("update gaq.installation set version = version - 1")


def without_rights(server: Server) -> None:
    server.ask(f"revoke gaq_worker from {WORKER}")


def with_rights(server: Server) -> None:
    server.ask(f"grant gaq_worker to {WORKER}")


def without_connections(server: Server) -> None:
    """Allow the worker's role no connections, and end those that it has."""
    server.ask(f"alter role {WORKER} connection limit 0")
    server.ask(TERMINATE_WORKERS)


def with_connections(server: Server) -> None:
    server.ask(f"alter role {WORKER} connection limit -1")


FATAL: dict[str, tuple[Change, int, str]] = {
    "wrong password": (wrong_password, UNREACHABLE, "password authentication failed"),
    "role may not log in": (without_login, UNREACHABLE, "not permitted to log in"),
    "database dropped": (dropped, UNREACHABLE, f'database "{DATABASE}" does not exist'),
    "schema missing": (without_schema, CONFIGURATION, "run: gaq-listen install"),
    "schema newer": (newer_schema, CONFIGURATION, "upgrade the program"),
}
"""Changes that end a worker, each with the exit code and a part of the error message."""


def assert_only_error(program: Program, sentence: str) -> None:
    """Check that the program has written one error message, which has ``sentence`` in it and no password."""
    said = [text for text in program.raw if text.startswith("gaq-listen: ")]
    assert len(said) == 1, program.log
    assert sentence in said[0], program.log
    assert WRONG not in program.log
