"""What a worker costs that has nothing to do: connections, queries, memory, time."""

import time

from tests.faults.program import Program, running
from tests.faults.server import WORKER, Server
from tests.faults.waiting import until

REST = 5.0
"""Seconds of rest that are looked at: the only way to see how often something happens."""


def counting(server: Server) -> None:
    """From here on the server's log tells each query, after the name of who asked."""
    server.settings |= {"log_statement": "all", "log_line_prefix": "%a|"}
    server.restart()


def queries(server: Server, name: str) -> int:
    """How many were asked so far under this name."""
    lines = server.log.read_text(errors="replace").splitlines()
    return sum(line.startswith(name) and ("statement:" in line or "execute " in line) for line in lines)


def test_at_rest(server: Server) -> None:
    counting(server)
    dsn = server.dsn(user=WORKER)
    with running(dsn) as first:
        server.until_asleep()
        with running(dsn, PGAPPNAME="second") as second:
            second.until("listening")
            assert len(server.backends()) == 2
            assert len(server.backends("second")) == 2
            time.sleep(1)  # until the second has looked at everything, and found that the first sleeps
            used = cpu(first, second)
            asked = [queries(server, name) for name in ("gaq-listen", "second")]
            time.sleep(REST)
            asked = [
                queries(server, name) - before for name, before in zip(("gaq-listen", "second"), asked, strict=True)
            ]
            used = [now - before for now, before in zip(cpu(first, second), used, strict=True)]
            assert asked[0] <= REST / 5 + 1
            assert 1 <= asked[1] <= REST + 1
            assert all(program.memory() < 60e6 for program in (first, second))
            # Half a percent of a core, and a tick of the clock that counts it.
            assert all(seconds <= REST * 0.005 + 0.02 for seconds in used)


def cpu(*programs: Program) -> list[float]:
    return [program.cpu() for program in programs]


def test_beside_a_transaction_that_stays_open(server: Server) -> None:
    """It keeps the doorbell from being held: marks may come without a ring, so the worker polls, and not too often."""
    counting(server)
    with server.connect() as forgotten:
        forgotten.execute("begin")
        forgotten.execute("update qc_flags set deleted = true where id = 1")
        with running(server.dsn(user=WORKER)) as program:
            time.sleep(2)
            before, memory = queries(server, "gaq-listen"), program.memory()
            time.sleep(3)
            assert queries(server, "gaq-listen") - before <= 3 * 4
            assert program.memory() - memory < 1e6
            # What others do meanwhile is not held up.
            server.ask("update gaq_summaries set invalidated_at = now() where run_number = 505")
            assert float(program.until("batch").values["oldest_ms"]) < 5000
            forgotten.execute("commit")
            until(lambda: server.ask("select count(*) from gaq.pending") == 0, "what it had marked is refreshed")


def test_a_flood_of_strangers_notifications(server: Server) -> None:
    counting(server)
    with running(server.dsn(user=WORKER)) as program, server.connect() as stranger:
        server.until_asleep()
        before, began, rung = queries(server, "gaq-listen"), time.monotonic(), 0
        while time.monotonic() < began + 2:
            stranger.execute("notify gaq_invalidated, 'stranger'")
            rung += 1
        seconds = time.monotonic() - began
        asked = queries(server, "gaq-listen") - before
        # At most one look every 50 ms, and what it takes to let the bell go and to sleep again.
        assert rung > 300
        assert asked < 25 * seconds + 60, f"{asked} queries for {rung} notifications"
        server.ask("update gaq_summaries set invalidated_at = now() where run_number = 505")
        program.until("batch")
        server.until_asleep()
