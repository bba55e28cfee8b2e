"""Print figures as a table, and save them in a file."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.disk import where
from benchmarks.figures import Figure, Target
from benchmarks.lab import SETTINGS, Lab
from gaq_listen import __version__

RESULTS = Path(__file__).parent / "results"


class Results:
    """The figures by scenario, in a file. A scenario that is measured again replaces its part of the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scenarios: dict[str, Any] = {}
        if path.exists():
            self.scenarios = json.loads(path.read_text(encoding="utf-8"))

    @classmethod
    def of(cls, *, quick: bool, on_disk: bool) -> "Results":
        """Return the results of full or of quick runs, with the data on a disk or in memory."""
        return cls(RESULTS / f"{'quick' if quick else 'full'}{'-disk' if on_disk else ''}.json")

    def keep(self, scenario: str, facts: dict[str, Any], figures: list[Figure]) -> None:
        """Save the figures of a scenario, with the circumstances."""
        self.scenarios[scenario] = facts | {"figures": [figure.as_json() for figure in figures]}
        self.path.parent.mkdir(exist_ok=True)
        text = json.dumps(self.scenarios, indent=1, ensure_ascii=False)
        self.path.write_text(text + "\n", encoding="utf-8")

    def figures(self, scenario: str) -> list[Figure]:
        """Return the saved figures of a scenario, which are none if the scenario was never measured."""
        return [Figure.from_json(saved) for saved in self.scenarios.get(scenario, {"figures": []})["figures"]]


def circumstances(lab: Lab) -> dict[str, Any]:
    """Return the machine, the versions and the settings. Call this before measuring, because of the load."""
    with lab.connect("postgres") as connection:
        server = connection.info.parameter_status("server_version")
        ((data,),) = connection.execute("show data_directory").fetchall()
        directory = Path(data)
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "postgresql": server,
        "gaq_listen": __version__,
        "python": platform.python_version(),
        "psycopg": version("psycopg"),
        "pgqueuer": version("pgqueuer"),
        "procrastinate": version("procrastinate"),
        "machine": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "data_on": str(where(directory) or "unknown"),
        "settings": SETTINGS,
    }


def amount(value: float, unit: str) -> str:
    """Format a value with about three digits, and its unit."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".replace(",", " ").rstrip()


def rows(figure: Figure) -> list[tuple[str, str, str, str, str]]:
    """Return a row for each contestant: its name, median, ratio to the base, spread, and targets."""
    found = []
    for name, values in figure.values.items():
        ratios = figure.ratios(name)
        is_base = name == figure.base
        ratio, spread = "", ""
        if not is_base and ratios:
            ratio = f"{figure.ratio(name):.2f}"
            spread = f"{min(ratios):.2f} … {max(ratios):.2f}"
        elif is_base and len(values) > 1:
            spread = f"{amount(min(values), '')} … {amount(max(values), '')} {figure.unit}".rstrip()
        wanted = "; ".join(_target(figure, target) for target in figure.targets if target.contestant == name)
        found.append((name, amount(figure.value(name), figure.unit), ratio, spread, wanted))
    return found


def _target(figure: Figure, target: Target) -> str:
    unit = f" {figure.unit}".rstrip() if target.absolute else " ×"
    return f"{target.sign} {target.limit:g}{unit}: {'met' if figure.met(target) else 'not reached'}"


def table(figures: list[Figure]) -> Table:
    """Return a table of all figures, with ratios to their bases and the targets."""
    shown = Table(title="gaq-listen, measured")
    for heading in ("", "who"):
        shown.add_column(heading)
    for heading in ("median", "ratio", "spread"):
        shown.add_column(heading, justify="right")
    shown.add_column("target")
    for figure in figures:
        lines = rows(figure)
        for line in lines:
            first = line is lines[0]
            shown.add_row(figure.name if first else "", *line, end_section=line is lines[-1])
    return shown


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
