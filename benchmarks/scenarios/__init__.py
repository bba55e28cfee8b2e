"""The scenarios. Each module is one scenario, whose function ``measure`` returns figures."""

from collections.abc import Callable

from benchmarks.figures import Figure
from benchmarks.lab import Lab
from benchmarks.scenarios import (
    bulk,
    burst,
    changes,
    compute,
    growth,
    idle,
    live,
    reading,
    refresh,
    rest,
    shapes,
    steady,
    storm,
    wide,
    workers,
    writers,
)

SCENARIOS: dict[str, Callable[[Lab], list[Figure]]] = {
    "compute": compute.measure,
    "shapes": shapes.measure,
    "refresh": refresh.measure,
    "growth": growth.measure,
    "idle": idle.measure,
    "steady": steady.measure,
    "burst": burst.measure,
    "writers": writers.measure,
    "bulk": bulk.measure,
    "storm": storm.measure,
    "workers": workers.measure,
    "reading": reading.measure,
    "wide": wide.measure,
    "rest": rest.measure,
    "live": live.measure,
    "changes": changes.measure,
}
"""The scenarios by the names for ``--only``, in the order of measuring."""
