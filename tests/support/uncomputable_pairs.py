"""Make pairs that gaq.compute refuses, because they have too many GAQ detectors."""

from typing import Any

from psycopg import Connection

ERROR = "at most 1023 can be counted"


def poison(db: Connection[Any], data_pass_id: int, *run_numbers: int) -> None:
    """Give these pairs too many GAQ detectors, which also marks them."""
    db.execute(
        "insert into detectors (id, name) select n, 'D' || n from generate_series(1000, 2100) n on conflict do nothing"
    )
    db.execute(
        "insert into gaq_detectors select %s, run, n from unnest(%s::int[]) run, generate_series(1000, 2100) n",
        (data_pass_id, list(run_numbers)),
    )


def heal(db: Connection[Any]) -> None:
    """Remove the additional GAQ detectors of all pairs, which also marks the pairs."""
    db.execute("delete from gaq_detectors where detector_id >= 1000")
