"""Test the metrics and the health of a worker, and the HTTP server that serves them."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gaq_listen.errors import BadSetting
from gaq_listen.observers import health, http_server
from gaq_listen.observers.http_server import serve_http
from gaq_listen.observers.metrics import Metrics
from gaq_listen.observers.worker_state import WorkerState
from gaq_listen.worker.events import (
    Audited,
    BacklogCounted,
    Broken,
    Disconnected,
    Event,
    Listening,
    Observer,
    PairsFailed,
    Paused,
    Reconnected,
    Resumed,
    Started,
    Stopping,
    Swept,
)
from tests.observers.example_events import DRIFTED, batch, failed, pair

Series = dict[tuple[str, tuple[str, ...]], float]


def series(text: str) -> Series:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def after(*events: Event) -> Series:
    """Return the metrics after these events."""
    state = WorkerState(0.0, objective=1.0)
    metrics = Metrics(state)
    for event in events:
        state.apply(event, 0.0)
        metrics.observe(event)
    return series(metrics.text().decode())


def test_counters_and_histograms_count_events() -> None:
    found = after(
        batch(pair(seconds_stale=0.3), pair(seconds_stale=0.003)),
        batch(pair(seconds_stale=-0.001)),
        PairsFailed((failed(), failed())),
        Swept(3),
        Swept(0),
        Audited(100, (DRIFTED,)),
    )
    assert found["gaq_listen_pairs_refreshed_total", ()] == 3
    assert found["gaq_listen_batch_seconds_count", ()] == 2
    assert found["gaq_listen_batch_seconds_sum", ()] == pytest.approx(0.0168)
    assert found["gaq_listen_freshness_seconds_bucket", ("0.002",)] == 1
    assert found["gaq_listen_freshness_seconds_bucket", ("0.005",)] == 2
    assert found["gaq_listen_freshness_seconds_bucket", ("0.5",)] == 3
    assert found["gaq_listen_failures_total", ()] == 2
    assert found["gaq_listen_sweeps_total", ()] == 2
    assert found["gaq_listen_sweep_found_total", ()] == 3
    assert found["gaq_listen_pairs_audited_total", ()] == 100
    assert found["gaq_listen_pairs_drifted_total", ()] == 1


def test_a_lost_connection_counts_once_despite_retries() -> None:
    lost = Disconnected("refused", 1.0)
    assert after(lost, lost, Reconnected(2.0), lost)["gaq_listen_connections_lost_total", ()] == 2


def test_gauges_show_present_values() -> None:
    found = after(Started("gaq", "18.1", "gaq-1"), Listening(), BacklogCounted(12, 0.3, 2, "division by zero"))
    assert found["gaq_listen_stale_pairs", ()] == 12
    assert found["gaq_listen_oldest_stale_seconds", ()] == 0.3
    assert found["gaq_listen_failing_pairs", ()] == 2
    assert found["gaq_listen_objective_seconds", ()] == 1
    states = {labels[0]: value for (name, labels), value in found.items() if name == "gaq_listen_state"}
    assert [state for state, value in states.items() if value] == ["listening"]
    assert len(states) == 12


def test_a_gauge_without_a_value_is_absent() -> None:
    assert ("gaq_listen_stale_pairs", ()) not in after(BacklogCounted(None))
    assert ("gaq_listen_oldest_stale_seconds", ()) not in after()


@pytest.mark.parametrize(
    ("events", "ready", "sentence"),
    [
        ([Listening(), BacklogCounted(0)], True, "listening: 0 stale pairs"),
        ([Listening(), BacklogCounted(1, 0.3)], True, "listening: 1 stale pair, the oldest for 0.3 s"),
        ([Listening(), BacklogCounted(12, 0.3)], True, "listening: 12 stale pairs, the oldest for 0.3 s"),
        (
            [Listening(), BacklogCounted(12, 1.5)],
            False,
            "not fresh: 12 stale pairs, the oldest for 1.5 s; the objective is 1 s",
        ),
        ([], False, "connecting"),
        ([Listening()], False, "the stale pairs could not be counted"),
        ([Listening(), BacklogCounted(None)], False, "the stale pairs could not be counted"),
        ([Listening(), BacklogCounted(0), Paused("ops", 1.0)], False, "paused: by ops"),
        ([Listening(), BacklogCounted(0), Paused("ops", 1.0), Resumed(2.0)], True, "listening"),
        (
            [Listening(), BacklogCounted(0), Disconnected("refused", 3.0)],
            False,
            "disconnected: next try in 3 s: refused",
        ),
        (
            [Listening(), BacklogCounted(0), Broken("no view", 3.0)],
            False,
            "broken: see gaq-listen doctor; next try in 3 s: no view",
        ),
        ([Listening(), BacklogCounted(0), Stopping("SIGTERM")], False, "stopping"),
    ],
)
def test_ready_needs_a_listening_and_fresh_worker(events: list[Event], ready: bool, sentence: str) -> None:
    state = WorkerState(0.0, objective=1.0)
    for event in events:
        state.apply(event, 0.0)
    assert health.alive(state, last_event=0.0, now=health.SILENT)[0]
    answer = health.ready(state, last_event=0.0, now=0.0)
    assert answer[0] is ready
    assert sentence in answer[1]


def test_a_silent_worker_is_neither_alive_nor_ready() -> None:
    state = WorkerState(0.0, objective=1.0)
    for event in (Listening(), BacklogCounted(0)):
        state.apply(event, 0.0)
    for judge in (health.alive, health.ready):
        assert judge(state, 0.0, health.SILENT + 1) == (False, "the worker has reported nothing for 61 s")


@dataclass(frozen=True)
class Served:
    """Hold the observer and the port of a server."""

    observe: Observer
    port: int


@pytest.fixture
def served() -> Iterator[Served]:
    with ExitStack() as stack:
        while True:
            with socket.socket() as found:
                found.bind(("127.0.0.1", 0))
                port = found.getsockname()[1]
            # Another process may have taken the port meanwhile.
            with suppress(BadSetting):
                yield Served(stack.enter_context(serve_http(("127.0.0.1", port), 1.0)), port)
                return


def get(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_server_serves_three_pages(served: Served) -> None:
    assert get(served.port, "/healthz") == (200, "alive, connecting\n")
    assert get(served.port, "/readyz")[0] == 503
    for event in (Listening(), BacklogCounted(0), batch(pair())):
        served.observe(event)
    assert get(served.port, "/readyz")[0] == 200
    status, text = get(served.port, "/metrics?name[]=x")
    assert status == 200
    assert series(text)["gaq_listen_pairs_refreshed_total", ()] == 1
    assert get(served.port, "/") == (404, "there is only: /metrics, /healthz, /readyz\n")


def test_a_client_that_leaves_is_no_error() -> None:
    """The standard library's server would print a traceback between the lines of the log."""
    ours, client = socket.socketpair()
    with ours:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        client.close()
        pages = SimpleNamespace(pages={"/healthz": lambda: (200, http_server.TEXT, b"alive")})
        http_server._Handler(ours, "somebody", pages)  # type: ignore[arg-type]


def test_a_client_that_does_not_read_blocks_nobody(served: Served) -> None:
    silent = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(3)]
    silent[0].sendall(b"GET /metrics HTTP/1.0\r\n")

    def work() -> None:
        for _ in range(100):
            served.observe(batch(pair()))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join(20)
    assert not worker.is_alive()
    assert get(served.port, "/healthz")[0] == 200
    for each in silent:
        each.close()


def test_an_address_in_use_is_an_error(served: Served) -> None:
    with pytest.raises(
        BadSetting, match=f"--metrics-listen cannot listen at 127.0.0.1:{served.port}: Address already in use"
    ):
        serve_http(("127.0.0.1", served.port), 1.0).__enter__()


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(BadSetting, match=r"--metrics-listen cannot listen at 192\.0\.2\.1:9187: "):
        serve_http(("192.0.2.1", 9187), 1.0).__enter__()


def test_without_the_extra_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["prometheus_client"] = None
from gaq_listen.cli.main import main
main(["run", "--metrics-listen", ":9187", "--dsn", "host=/nonexistent"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "gaq-listen: --metrics-listen needs prometheus-client: pip install 'gaq-listen[metrics]'\n"
