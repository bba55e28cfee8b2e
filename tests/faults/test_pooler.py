"""A worker connects through PgBouncer, which passes no notifications on in transaction mode."""

import psycopg

from tests.faults.convergence import assert_converged
from tests.faults.pooler import pooler
from tests.faults.program import Program, running
from tests.faults.server import Server
from tests.faults.writing import writing


def test_a_worker_polls_behind_a_pooler_in_transaction_mode(server: Server) -> None:
    with pooler(server, "transaction") as dsn, running(dsn, ready="polling") as program:
        assert "pooler" in program.of("polling")[0].values["reason"]
        with writing(server) as writers:
            program.until("batch_refreshed")
            assert_converged(server, writers, program)
        # The worker leaves no lock and no LISTEN behind in the pooled session.
        assert server.ask("select count(*) from pg_locks where locktype = 'advisory'") == 0
        with psycopg.connect(dsn) as another:
            assert another.execute("select pg_listening_channels()").fetchall() == []


def test_require_listen_refuses_a_pooler_in_transaction_mode(server: Server) -> None:
    with pooler(server, "transaction") as dsn:
        program = Program(dsn, "--require-listen")
        assert program.wait() == 1
        assert "pooler" in program.log


def test_a_worker_listens_through_a_pooler_in_session_mode(server: Server) -> None:
    with pooler(server, "session") as dsn, running(dsn, "--require-listen") as program, writing(server) as writers:
        program.until("batch_refreshed")
        assert_converged(server, writers, program)
