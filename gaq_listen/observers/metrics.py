"""Count what a worker does, for Prometheus. This module needs the extra ``gaq-listen[metrics]``."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gaq_listen import __version__
from gaq_listen.observers.worker_state import STATES, WorkerState
from gaq_listen.worker import events

# Seconds, from what an idle database reaches to what an operator is woken up for.
_STALE_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_BATCH_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """Count events, and read present values from ``state`` at each scrape."""

    def __init__(self, state: WorkerState) -> None:
        self.registry = CollectorRegistry()
        self._freshness = Histogram(
            "gaq_listen_freshness_seconds",
            "Seconds from the commit that made a pair stale to the refresh.",
            buckets=_STALE_BUCKETS,
            registry=self.registry,
        )
        self._batch = Histogram(
            "gaq_listen_batch_seconds",
            "Seconds that a batch took to claim, compute and store.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self._refreshed = self._counter("pairs_refreshed", "Pairs that this worker has refreshed.")
        self._sweep_found = self._counter("sweep_found", "Pairs that only a periodic sweep found.")
        self._sweeps = self._counter("sweeps", "Periodic sweeps of this worker.")
        self._connections_lost = self._counter(
            "connections_lost", "Times that this worker lost its connection to the database."
        )
        self._failures = self._counter("failures", "Computations of a pair that failed.")
        self._audited = self._counter("pairs_audited", "Fresh pairs that the audit recomputed.")
        self._drifted = self._counter("pairs_drifted", "Fresh pairs that differed from what the audit recomputed.")
        self._disconnected = False
        self.registry.register(_PresentValues(state))

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(f"gaq_listen_{name}", help_text, registry=self.registry)

    def observe(self, event: events.Event) -> None:
        """Count an event."""
        match event:
            case events.BatchRefreshed(pairs, seconds):
                self._batch.observe(seconds)
                self._refreshed.inc(len(pairs))
                for pair in pairs:
                    self._freshness.observe(max(0.0, pair.seconds_stale))
            case events.Swept(found):
                self._sweeps.inc()
                self._sweep_found.inc(found)
            case events.PairsFailed(failed):
                self._failures.inc(len(failed))
            case events.Audited(audited, drifted):
                self._audited.inc(audited)
                self._drifted.inc(len(drifted))
            case events.Disconnected():
                # The worker emits this event again with every try that fails.
                self._connections_lost.inc(not self._disconnected)
                self._disconnected = True
            case events.Reconnected():
                self._disconnected = False

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


class _PresentValues(Collector):
    """Read the gauges from the state of the worker."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges. Prometheus calls this once a scrape."""
        state, now = self._state, time.monotonic()
        word, _ = state.summary(now)
        states = GaugeMetricFamily(
            "gaq_listen_state", "1 for the present state of the worker, 0 for others.", labels=["state"]
        )
        for each in STATES:
            states.add_metric([each.lower()], float(each == word))
        yield states
        info = GaugeMetricFamily(
            "gaq_listen_info", "Always 1. The labels name the worker.", labels=["version", "worker", "database"]
        )
        if server := state.server:
            info.add_metric([__version__, server.worker, server.database], 1)
        yield info
        yield _gauge("objective_seconds", "Seconds that a pair may be stale, as --objective says.", state.objective)
        yield _gauge("up_seconds", "Seconds since the worker was started.", now - state.began)
        counted = state.counted
        # If nobody could count, these gauges are absent. A zero would be wrong.
        if counted is not None and counted.stale_pairs is not None:
            yield _gauge(
                "stale_pairs",
                "Stale pairs of the database. Absent while the database does not answer.",
                counted.stale_pairs,
            )
            yield _gauge(
                "oldest_stale_seconds", "Seconds for which the oldest stale pair has been stale.", counted.seconds_stale
            )
            yield _gauge("failing_pairs", "Pairs of the database that cannot be computed now.", counted.failing)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gaq_listen_{name}", help_text, value=value)
