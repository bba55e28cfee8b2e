"""Pairs that cannot be computed, made for real: they have more GAQ detectors than can be counted."""

from typing import Any

from psycopg import Connection

ERROR = "at most 1023 can be counted"


def poison(db: Connection[Any], data_pass_id: int, *run_numbers: int) -> None:
    """Makes these pairs fail, and marks them by it."""
    db.execute(
        "insert into detectors (id, name) select n, 'D' || n from generate_series(1000, 2100) n on conflict do nothing"
    )
    db.execute(
        "insert into gaq_detectors select %s, run, n from unnest(%s::int[]) run, generate_series(1000, 2100) n",
        (data_pass_id, list(run_numbers)),
    )


def heal(db: Connection[Any]) -> None:
    """Makes all of them well, and marks them by it."""
    db.execute("delete from gaq_detectors where detector_id >= 1000")
