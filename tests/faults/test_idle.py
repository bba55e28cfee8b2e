"""An idle worker needs few connections and queries, little memory and little CPU time."""

import re
import time
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

from gaq_listen.settings import WorkerSettings
from tests.faults.program import Program, running
from tests.faults.server import WORKER, Server
from tests.support.waiting import until

REST = 5.0
"""Seconds of idleness in which a test counts queries. A rate cannot be seen in less time."""


_MESSAGE = re.compile(r"@?([\d.]+)\|([^|]*)\|LOG:  (?:statement|execute [^:]*): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Query:
    """A query, and the time of its log entry in seconds."""

    at: float
    text: str


def counting(server: Server) -> None:
    """Restart the server so that it logs each query with the time and the ``application_name``."""
    server.settings |= {"log_statement": "all", "log_line_prefix": "@%n|%a|"}
    server.restart()


def asked(server: Server, name: str) -> list[Query]:
    """Return the logged queries of the sessions whose ``application_name`` begins with ``name``."""
    told = (_MESSAGE.fullmatch(text) for text in server.log.read_text(errors="replace").split("\n@"))
    return [Query(float(query[1]), query[3]) for query in told if query and query[2].startswith(name)]


def queries(server: Server, name: str) -> int:
    """Return the number of these queries."""
    return len(asked(server, name))


def test_idle_workers_ask_little_and_use_little_cpu(server: Server) -> None:
    counting(server)
    dsn = server.dsn(user=WORKER)
    sweeps = {"GAQ_LISTEN_SWEEP": "2s"}
    # The first worker serves metrics, which must be up to date when Prometheus reads them.
    with running(dsn, "--metrics-listen", "127.0.0.1:0", **sweeps) as first:
        server.until_asleep()
        with running(dsn, PGAPPNAME="second") as second:
            second.until("listening")
            # Wait until the second worker has found that the first one sleeps, and until nothing counts any more.
            until(
                lambda: len(asked_to_hold(server, "second")) > 1 and len(server.backends()) == 2, "the workers are idle"
            )
            began = [queries(server, name) for name in ("gaq-listen", "second")]
            used, woken = cpu(first, second), wake_ups(first, second)
            start = time.monotonic()
            time.sleep(REST)
            until(lambda: sweeps_of(asked(server, "gaq-listen")[began[0] :]) > 1, "the first worker has swept twice")
            used = [now - before for now, before in zip(cpu(first, second), used, strict=True)]
            woken = [now - before for now, before in zip(wake_ups(first, second), woken, strict=True)]
            rested = time.monotonic() - start
            ours, seconds = (asked(server, name)[n:] for name, n in zip(("gaq-listen", "second"), began, strict=True))
            assert (len(server.backends()), len(server.backends("second"))) == (2, 2)
            assert all(program.memory() < 60e6 for program in (first, second))
            # A sweep, and twice a second the thread that serves metrics, wake a worker up. How much CPU time that takes
            # depends on the machine, but a loop that never sleeps takes a whole core anywhere.
            assert all(wakings <= rested * 8 for wakings in woken)
            assert all(of_core <= rested * 0.1 for of_core in used)

    # Convert the counts into queries a minute with the default settings.
    swept = sweeps_of(ours)
    sweep = (len(ours) - sum(query.text == "select 1" for query in ours)) / swept
    sweeps_a_minute, heartbeats = 60 / WorkerSettings().sweep, 60 / WorkerSettings().heartbeat
    assert sweeps_a_minute * sweep + heartbeats <= 60 / 5
    between = [after.at - before.at for before, after in pairwise(seconds)]
    assert sweeps_a_minute * (sweep + 1) + 60 / mean(between) <= 60


def sweeps_of(asked: list[Query]) -> int:
    return sum("gaq.worker_heartbeat" in query.text for query in asked)


def asked_to_hold(server: Server, name: str) -> list[Query]:
    """Return the queries by which a worker tries to hold the doorbell."""
    return [query for query in asked(server, name) if "pg_try_advisory_lock" in query.text]


def cpu(*programs: Program) -> list[float]:
    return [program.cpu() for program in programs]


def wake_ups(*programs: Program) -> list[int]:
    return [program.wake_ups() for program in programs]


def test_a_worker_polls_seldom_beside_an_open_transaction(server: Server) -> None:
    """The open transaction keeps the worker from holding the doorbell, so marks come without a ring."""
    counting(server)
    with server.connect() as forgotten:
        forgotten.execute("begin")
        forgotten.execute("update qc_flags set deleted = true where id = 1")
        with running(server.dsn(user=WORKER)) as program:
            time.sleep(2)
            before, memory, start = queries(server, "gaq-listen"), program.memory(), time.monotonic()
            time.sleep(3)
            assert queries(server, "gaq-listen") - before <= (time.monotonic() - start) * 4
            assert program.memory() - memory < 1e6
            # The changes of other writers are refreshed meanwhile.
            server.ask("update gaq_summaries set invalidated_at = now() where run_number = 505")
            assert float(program.until("batch_refreshed").values["oldest_ms"]) < 5000
            forgotten.execute("commit")
            until(
                lambda: server.ask("select count(*) from gaq.pending") == 0,
                "the marks of the open transaction are refreshed",
            )


def test_a_flood_of_foreign_notifications_causes_few_queries(server: Server) -> None:
    counting(server)
    with running(server.dsn(user=WORKER)) as program, server.connect() as stranger:
        server.until_asleep()
        before, began, rung = queries(server, "gaq-listen"), time.monotonic(), 0
        while time.monotonic() < began + 2 or rung <= 300:
            stranger.execute("notify gaq_invalidated, 'stranger'")
            rung += 1
        seconds = time.monotonic() - began
        asked = queries(server, "gaq-listen") - before
        # At most one check every 50 ms, and the queries that release the doorbell and hold it again.
        assert rung > 300
        assert asked < 25 * seconds + 60, f"{asked} queries for {rung} notifications"
        server.ask("update gaq_summaries set invalidated_at = now() where run_number = 505")
        program.until("batch_refreshed")
        server.until_asleep()
