"""A running server refuses a worker, which ends with one error message and an exit code, or tries again."""

import pytest

from gaq_listen.dba import installer
from tests.faults.convergence import assert_converged
from tests.faults.program import Program, running
from tests.faults.refusing import (
    CONFIGURATION,
    FATAL,
    TERMINATE_WORKERS,
    WRONG,
    assert_only_error,
    with_connections,
    with_rights,
    without_connections,
    without_rights,
    without_schema,
)
from tests.faults.server import WORKER, Server
from tests.faults.writing import writing
from tests.support.waiting import until


@pytest.mark.parametrize("what", ["wrong password", "database dropped", "schema newer"])
def test_a_refused_worker_ends_at_its_start(server: Server, what: str) -> None:
    change, code, sentence = FATAL[what]
    change(server)
    program = Program(server.dsn(user=WORKER, password=WRONG))
    assert program.wait() == code
    assert_only_error(program, sentence)
    assert len(program.raw) == 1, program.log


@pytest.mark.parametrize("what", FATAL)
def test_a_refused_worker_ends_when_it_reconnects(server: Server, what: str) -> None:
    change, code, sentence = FATAL[what]
    with running(server.dsn(user=WORKER, password=WRONG)) as program:
        change(server)
        # A connected worker does not notice the change. It notices when it connects again.
        if what != "database dropped":
            server.ask(TERMINATE_WORKERS)
        assert program.wait() == code
        assert_only_error(program, sentence)
        assert program.lines[-1].event == "stopped"


def test_a_worker_without_rights_ends_with_the_grant_to_run(server: Server) -> None:
    without_rights(server)
    program = Program(server.dsn(user=WORKER))
    assert program.wait() == CONFIGURATION
    assert_only_error(program, "GRANT gaq_worker")


def test_a_new_installation_keeps_the_rights_of_workers(server: Server) -> None:
    with server.connect() as connection:
        installer.uninstall(connection)
        installer.install(connection)
    assert Program(server.dsn(user=WORKER), "--once").wait() == 0


def test_a_worker_recovers_when_revoked_rights_return(server: Server) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch_refreshed")
        without_rights(server)
        said = program.until("broken", where=lambda values: "permission denied" in values["reason"])
        assert "GRANT gaq_worker" in said.values["reason"]
        with_rights(server)
        program.until("repaired")
        assert_converged(server, writers, program)


@pytest.mark.parametrize("first", [True, False], ids=["at the start", "while it runs"])
def test_a_worker_waits_for_a_free_connection(server: Server, first: bool) -> None:
    with writing(server) as writers, running(server.dsn(user=WORKER), ready="") as program:
        if not first:
            program.until("batch_refreshed")
        without_connections(server)
        program.until("disconnected", where=lambda values: "too many connections" in values["reason"])
        with_connections(server)
        since = program.now()
        program.until("batch_refreshed", since)
        assert_converged(server, writers, program)


def test_a_worker_ends_when_its_schema_is_removed(server: Server) -> None:
    with running(server.dsn(user=WORKER)) as program:
        without_schema(server)
        server.ask("notify gaq_invalidated")
        assert program.wait() == CONFIGURATION
        assert_only_error(program, "run: gaq-listen install")


def test_timeouts_of_the_role_do_not_end_a_worker(server: Server) -> None:
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
        # The writers may have removed the run from every data pass.
        server.ask("insert into data_pass_runs values (1, 501) on conflict do nothing")
        server.ask("update gaq_summaries set invalidated_at = now() where run_number = 501")
        until(lambda: program.of("batch_refreshed")[-1].values["refreshed"].count("by hand"), "the pair is refreshed")
        assert not program.of("disconnected"), program.log
        assert_converged(server, writers, program)
