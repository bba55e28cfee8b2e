"""A server that is there and says no: one clear sentence, the right exit code, and trying again where that helps."""

import pytest

from gaq_listen.dba import installer
from tests.faults.convergence import assert_converged
from tests.faults.program import Program, running
from tests.faults.refusing import (
    BAD,
    END,
    HOPELESS,
    WRONG,
    one_sentence,
    with_connections,
    with_rights,
    without_connections,
    without_rights,
    without_schema,
)
from tests.faults.server import WORKER, Server
from tests.faults.waiting import until
from tests.faults.writing import writing


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


def test_rights_are_kept_when_all_is_removed_and_installed_again(server: Server) -> None:
    with server.connect() as connection:
        installer.uninstall(connection)
        installer.install(connection)
    assert Program(server.dsn(user=WORKER), "--once").wait() == 0


def test_rights_that_are_revoked_and_come_back(server: Server) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch_refreshed")
        without_rights(server)
        said = program.until("broken", where=lambda values: "permission denied" in values["reason"])
        assert "GRANT gaq_worker" in said.values["reason"]
        with_rights(server)
        program.until("repaired")
        assert_converged(server, writers, program)


@pytest.mark.parametrize("first", [True, False], ids=["at the start", "while it runs"])
def test_too_many_connections_are_waited_for(server: Server, first: bool) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER), ready="") as program:
        if not first:
            program.until("batch_refreshed")
        without_connections(server)
        program.until("disconnected", where=lambda values: "too many connections" in values["reason"])
        with_connections(server)
        since = program.now()
        program.until("batch_refreshed", since)
        assert_converged(server, writers, program)


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
        program.until("batch_refreshed")
        with other.transaction():
            other.execute("lock table gaq.summaries in exclusive mode")
            other.execute("select pg_sleep(0.6)")
        since = program.now()
        program.until("batch_refreshed", since)
        writers.stop()
        other.execute("select pg_sleep(0.6)")
        # The writers may have taken the run out of every data pass.
        server.ask("insert into data_pass_runs values (1, 501) on conflict do nothing")
        server.ask("update gaq_summaries set invalidated_at = now() where run_number = 501")
        until(lambda: program.of("batch_refreshed")[-1].values["refreshed"].count("by hand"), "it is refreshed")
        assert not program.of("disconnected"), program.log
        assert_converged(server, writers, program)
