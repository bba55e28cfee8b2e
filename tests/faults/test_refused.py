"""A server that is there and says no: one clear sentence, the right exit code, and trying again where that helps."""

from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from tests.faults.program import Program, running
from tests.faults.server import DATABASE, WORKER, Server
from tests.faults.verdict import all_is_well
from tests.faults.waiting import until
from tests.faults.writing import writing

UNREACHABLE, BAD = 3, 1
Change = Callable[[Server], object]

END = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'gaq-%'"
WRONG = "wrong-secret"
PASSWORD = f"local all {WORKER} scram-sha-256"


def wrong_password(server: Server) -> None:
    server.ask(f"alter role {WORKER} password 'right'")
    server.authenticate(PASSWORD)


def without_login(server: Server) -> None:
    server.ask(f"alter role {WORKER} nologin")


def dropped(server: Server) -> None:
    server.ask(f"drop database {DATABASE} with (force)", dbname="postgres")


def without_schema(server: Server) -> None:
    def gone() -> bool:
        # It takes every lock, one after the other, and whoever works has some of them: then it has to start again.
        with suppress(psycopg.errors.DeadlockDetected):
            server.ask("drop schema gaq cascade")
        return bool(server.ask("select to_regnamespace('gaq') is null"))

    until(gone, "it is dropped")


def newer_schema(server: Server) -> None:
    server.ask("update gaq.installation set version = version + 1")


def without_rights(server: Server) -> None:
    server.ask(f"revoke gaq_worker from {WORKER}")


HOPELESS: dict[str, tuple[Change, int, str]] = {
    "wrong password": (wrong_password, UNREACHABLE, "password authentication failed"),
    "role may not log in": (without_login, UNREACHABLE, "not permitted to log in"),
    "database dropped": (dropped, UNREACHABLE, f'database "{DATABASE}" does not exist'),
    "schema missing": (without_schema, BAD, "run: gaq-listen install"),
    "schema newer": (newer_schema, BAD, "upgrade the program"),
}


def one_sentence(program: Program, sentence: str) -> None:
    said = [text for text in program.raw if text.startswith("gaq-listen: ")]
    assert len(said) == 1, program.log
    assert sentence in said[0], program.log
    assert WRONG not in program.log


@pytest.mark.parametrize("what", ["wrong password", "database dropped", "schema newer"])
def test_at_the_start(server: Server, what: str) -> None:
    change, code, sentence = HOPELESS[what]
    change(server)
    program = Program(server.dsn(user=WORKER, password=WRONG))
    assert program.wait() == code
    one_sentence(program, sentence)
    assert len(program.raw) == 1, program.log


@pytest.mark.parametrize("what", HOPELESS)
def test_while_it_runs(server: Server, what: str) -> None:
    change, code, sentence = HOPELESS[what]
    with running(server.dsn(user=WORKER, password=WRONG)) as program:
        change(server)
        # Who is connected stays so: what has changed shows to who connects again.
        if what != "database dropped":
            server.ask(END)
        assert program.wait() == code
        one_sentence(program, sentence)
        assert program.lines[-1].event == "stopped"


def test_rights_at_the_start(server: Server) -> None:
    without_rights(server)
    program = Program(server.dsn(user=WORKER))
    assert program.wait() == BAD
    one_sentence(program, "GRANT gaq_worker")


def test_rights_that_are_revoked_and_come_back(server: Server) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch")
        without_rights(server)
        said = program.until("disconnected", where=lambda values: "permission denied" in values["reason"])
        assert "GRANT gaq_worker" in said.values["reason"]
        server.ask(f"grant gaq_worker to {WORKER}")
        program.until("reconnected")
        all_is_well(server, writers, program)


@pytest.mark.parametrize("first", [True, False], ids=["at the start", "while it runs"])
def test_too_many_connections_are_waited_for(server: Server, first: bool) -> None:
    limit = f"alter role {WORKER} connection limit "
    with writing(server) as writers, running(server.dsn(user=WORKER), ready="") as program:
        if not first:
            program.until("batch")
        server.ask(limit + "0")
        server.ask(END)
        program.until("disconnected", where=lambda values: "too many connections" in values["reason"])
        server.ask(limit + "-1")
        since = program.now()
        program.until("batch", since)
        all_is_well(server, writers, program)


def test_the_schema_is_removed_under_it(server: Server) -> None:
    with running(server.dsn(user=WORKER)) as program:
        without_schema(server)
        server.ask("notify gaq_invalidated")
        assert program.wait() == BAD
        one_sentence(program, "run: gaq-listen install")


def test_what_is_configured_for_its_role_does_not_end_it(server: Server) -> None:
    for name in ("statement_timeout", "idle_session_timeout", "lock_timeout"):
        server.ask(f"alter role {WORKER} set {name} = '300ms'")
    with running(server.dsn(user=WORKER)) as program, server.connect() as other, writing(server) as writers:
        program.until("batch")
        with other.transaction():
            other.execute("lock table gaq.summaries in exclusive mode")
            other.execute("select pg_sleep(0.6)")
        since = program.now()
        program.until("batch", since)
        writers.stop()
        other.execute("select pg_sleep(0.6)")
        server.ask("update gaq_summaries set invalidated_at = now() where run_number = 501")
        until(lambda: program.of("batch")[-1].values["refreshed"].count("by hand"), "it is refreshed")
        assert not program.of("disconnected"), program.log
        all_is_well(server, writers, program)
