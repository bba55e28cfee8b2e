"""What a worker costs that has nothing to do: connections, queries, memory, time."""

import re
import time
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

from gaq_listen.settings import WorkerSettings
from tests.faults.program import Program, running
from tests.faults.server import WORKER, Server
from tests.faults.waiting import until

REST = 5.0
"""Seconds of rest that are looked at: the only way to see how often something happens."""


_MESSAGE = re.compile(r"@?([\d.]+)\|([^|]*)\|LOG:  (?:statement|execute [^:]*): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Query:
    """One that was asked, and when, in seconds."""

    at: float
    text: str


def counting(server: Server) -> None:
    """From here on the server's log tells each query, after when it was and the name of who asked."""
    server.settings |= {"log_statement": "all", "log_line_prefix": "@%n|%a|"}
    server.restart()


def asked(server: Server, name: str) -> list[Query]:
    """What was asked so far under this name, or one that begins like it."""
    told = (_MESSAGE.fullmatch(text) for text in server.log.read_text(errors="replace").split("\n@"))
    return [Query(float(query[1]), query[3]) for query in told if query and query[2].startswith(name)]


def queries(server: Server, name: str) -> int:
    """How many that were."""
    return len(asked(server, name))


def test_at_rest(server: Server) -> None:
    counting(server)
    dsn = server.dsn(user=WORKER)
    sweeps = {"GAQ_LISTEN_SWEEP": "2s"}
    # The first is watched: whoever scrapes its numbers wants them to be of now.
    with running(dsn, "--metrics-listen", "127.0.0.1:0", **sweeps) as first:
        server.until_asleep()
        with running(dsn, PGAPPNAME="second") as second:
            second.until("listening")
            # Until the second has looked at everything, and found that the first sleeps; and nobody counts any more.
            until(lambda: len(asked_to_hold(server, "second")) > 1 and len(server.backends()) == 2, "they are at rest")
            began = [queries(server, name) for name in ("gaq-listen", "second")]
            used = cpu(first, second)
            time.sleep(REST)
            used = [now - before for now, before in zip(cpu(first, second), used, strict=True)]
            ours, seconds = (asked(server, name)[n:] for name, n in zip(("gaq-listen", "second"), began, strict=True))
            assert (len(server.backends()), len(server.backends("second"))) == (2, 2)
            assert all(program.memory() < 60e6 for program in (first, second))
            # Half a percent of a core, and a tick of the clock that counts it.
            assert all(of_core <= REST * 0.005 + 0.02 for of_core in used)

    # What that is in a minute, with the settings that a worker has by itself.
    swept = sum("gaq.report" in query.text for query in ours)
    assert swept > 1
    sweep = (len(ours) - sum(query.text == "select 1" for query in ours)) / swept
    sweeps_a_minute, heartbeats = 60 / WorkerSettings().sweep, 60 / WorkerSettings().heartbeat
    assert sweeps_a_minute * sweep + heartbeats <= 60 / 5
    between = [after.at - before.at for before, after in pairwise(seconds)]
    assert sweeps_a_minute * (sweep + 1) + 60 / mean(between) <= 60


def asked_to_hold(server: Server, name: str) -> list[Query]:
    """Those with which a worker asks who holds the bell."""
    return [query for query in asked(server, name) if "pg_try_advisory_lock" in query.text]


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
            assert float(program.until("batch_refreshed").values["oldest_ms"]) < 5000
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
        program.until("batch_refreshed")
        server.until_asleep()
