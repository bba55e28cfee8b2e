"""Measure the cost of marking for a statement that changes many flags."""

import time

from benchmarks.figures import Figure, Target
from benchmarks.lab import Lab, text
from benchmarks.scenarios.writers import NONE, OUR, ROW_TRIGGER, WORKING, design

DESIGNS = (NONE, OUR, WORKING, ROW_TRIGGER)
CHANGES = ("insert", "update", "delete")
_RENUMBER = "select setval('qc_flags_id_seq', 20000000)"


def measure(lab: Lab) -> list[Figure]:
    """Measure statements that insert, update and delete the same 10 000 flags. The designs take turns."""
    figures = {change: Figure(f"{change} 10 000 flags of 500 pairs", "ms", NONE) for change in CHANGES}
    figures["insert"].targets += [Target(name, "≤", 1.6) for name in (OUR, WORKING)]
    for _ in range(3 if lab.quick else 9):
        for name in DESIGNS:
            with design(lab, name) as dbname:
                for change, milliseconds in _change(lab, dbname).items():
                    figures[change].add(name, milliseconds)
    return list(figures.values())


def _change(lab: Lab, dbname: str) -> dict[str, float]:
    times = {}
    with lab.connect(dbname) as connection, lab.connect(dbname) as other:
        # The first execution in a session includes work that later ones do not have.
        with connection.transaction(force_rollback=True):
            for change in CHANGES:
                connection.execute(text(f"{change}_many"))
        connection.execute(_RENUMBER)
        for change in CHANGES:
            other.execute("checkpoint")
            start = time.perf_counter()
            connection.execute(text(f"{change}_many"))
            times[change] = (time.perf_counter() - start) * 1000
    return times
