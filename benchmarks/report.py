"""A table to read, and a file to keep."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.designs import DESIGNS, NONE, SETTINGS
from benchmarks.writers import SEED, SLOW_DISK, WARM_UP_SECONDS, Effort, Figure
from gaq_listen import __version__

RESULTS = Path(__file__).parent / "results"


def circumstances(server_version: str, storage: str, effort: Effort) -> dict[str, Any]:
    """Where, when and how it is measured; to be asked before."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "postgresql": server_version,
        "gaq_listen": __version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "data_on": storage,
        "settings": SETTINGS,
        "2 ms a flush": SLOW_DISK,
        "repeats": effort.repeats,
        "repeats_of_many": effort.many_repeats,
        "seconds_a_repeat": effort.seconds,
        "seconds_to_warm_up": WARM_UP_SECONDS,
        "seed": SEED,
    }


def caption(facts: dict[str, Any]) -> str:
    """What somebody must know to judge the table."""
    return (
        f"PostgreSQL {facts['postgresql']} on {facts['cores']} cores ({facts['processor']}), shared with the clients; "
        f"load before {facts['load_before']}.\n"
        f"fsync and synchronous_commit on, data on {facts['data_on']}; '2 ms a flush' is commit_delay = 2000, which "
        "stands for the fsync of a disk.\n"
        f"Medians of {facts['repeats']} repeats of {facts['seconds_a_repeat']} s ({facts['repeats_of_many']} for "
        "10 000 flags), designs in turns, each on a new database.\n"
        "Ratios are to no trigger, repeat by repeat; in brackets the smallest and the largest."
    )


def table(figures: list[Figure]) -> Table:
    """Each figure for each design, as a ratio to no trigger, and whether it is what we want."""
    shown = Table(title="What marking costs writers")
    for heading in ("", "design"):
        shown.add_column(heading)
    for heading in ("median", "ratio", "spread"):
        shown.add_column(heading, justify="right")
    shown.add_column("target")
    for figure in figures:
        for design in DESIGNS:
            first = design == NONE
            ratios = figure.ratios(design)
            shown.add_row(
                figure.name if first else "",
                design,
                f"{median(figure.values[design]):,.0f} {figure.unit}",
                "" if first else f"{median(ratios):.2f}",
                "" if first else f"[{min(ratios):.2f} … {max(ratios):.2f}]".replace("[", r"\["),
                _target(figure, design),
                end_section=design == DESIGNS[-1],
            )
    return shown


def _target(figure: Figure, design: str) -> str:
    met = figure.met(design)
    if met is None:
        return ""
    sign = "≥" if figure.more_is_better else "≤"
    return f"{sign} {figure.target:.2f} {'met' if met else 'not reached'}"


def save(facts: dict[str, Any], figures: list[Figure]) -> Path:
    """Write everything that was measured as JSON; returns where."""
    measured = [
        {
            "name": figure.name,
            "unit": figure.unit,
            "target": figure.target,
            "more_is_better": figure.more_is_better,
            "designs": {
                design: {
                    "values": [round(value, 1) for value in figure.values[design]],
                    "ratio": round(median(figure.ratios(design)), 3),
                    "spread": [round(end(figure.ratios(design)), 3) for end in (min, max)],
                    "met": figure.met(design),
                }
                for design in DESIGNS
            },
        }
        for figure in figures
    ]
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "writers.json"
    path.write_text(json.dumps(facts | {"figures": measured}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
