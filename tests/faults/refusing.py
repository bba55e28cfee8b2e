"""A server that is there and says no: what somebody has changed, and how it is changed back."""

from collections.abc import Callable
from contextlib import suppress

import psycopg

from tests.faults.program import Program
from tests.faults.server import DATABASE, WORKER, Server
from tests.faults.waiting import until

UNREACHABLE, BAD = 3, 1
"""Exit codes."""
Change = Callable[[Server], object]

END = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'gaq-%'"
RIGHT, WRONG = "right-secret", "wrong-secret"
ELSEWHERE = f"{DATABASE}_elsewhere"
_PASSWORD = f"local all {WORKER} scram-sha-256"


def wrong_password(server: Server) -> None:
    """Who gives WRONG, as who gives none, is refused."""
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
    """As a database that was dropped looks to who connects; but it can come back."""
    _rename(server, DATABASE, ELSEWHERE)


def moved_back(server: Server) -> None:
    _rename(server, ELSEWHERE, DATABASE)


def _rename(server: Server, old: str, new: str) -> None:
    # Nobody is let in, so that nobody is in the way.
    server.ask(f"alter database {old} allow_connections false", dbname="postgres")
    end = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where datname = %s"
    server.ask(end, old, dbname="postgres")
    server.ask(f"alter database {old} rename to {new}", dbname="postgres")
    server.ask(f"alter database {new} allow_connections true", dbname="postgres")


def without_schema(server: Server) -> None:
    def gone() -> bool:
        # It takes every lock, one after the other, and whoever works has some of them: then it has to start again.
        with suppress(psycopg.errors.DeadlockDetected):
            server.ask("drop schema gaq cascade")
        return bool(server.ask("select to_regnamespace('gaq') is null"))

    until(gone, "it is dropped")


def newer_schema(server: Server) -> None:
    server.ask("update gaq.installation set version = version + 1")


def this_schema(server: Server) -> None:
    server.ask("update gaq.installation set version = version - 1")


def without_rights(server: Server) -> None:
    server.ask(f"revoke gaq_worker from {WORKER}")


def with_rights(server: Server) -> None:
    server.ask(f"grant gaq_worker to {WORKER}")


def without_connections(server: Server) -> None:
    """The worker's role may have none, and those that it has are ended."""
    server.ask(f"alter role {WORKER} connection limit 0")
    server.ask(END)


def with_connections(server: Server) -> None:
    server.ask(f"alter role {WORKER} connection limit -1")


HOPELESS: dict[str, tuple[Change, int, str]] = {
    "wrong password": (wrong_password, UNREACHABLE, "password authentication failed"),
    "role may not log in": (without_login, UNREACHABLE, "not permitted to log in"),
    "database dropped": (dropped, UNREACHABLE, f'database "{DATABASE}" does not exist'),
    "schema missing": (without_schema, BAD, "run: gaq-listen install"),
    "schema newer": (newer_schema, BAD, "upgrade the program"),
}
"""What ends a worker, with which exit code, and what it says."""


def one_sentence(program: Program, sentence: str) -> None:
    """It has said this, and nothing else that is no line of its log, and no secret."""
    said = [text for text in program.raw if text.startswith("gaq-listen: ")]
    assert len(said) == 1, program.log
    assert sentence in said[0], program.log
    assert WRONG not in program.log
