"""Read a pair and everything that its summary is computed from, in one snapshot."""

from dataclasses import fields
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow, dict_row

from gaq_listen.db.server_errors import sentence
from gaq_listen.errors import UnknownName
from gaq_listen.reports import changes, failures
from gaq_listen.reports.data_pass_names import suggestion
from gaq_listen.reports.explain.explanation import (
    ExplainedFlag,
    ExplainedPeriod,
    Explanation,
    StoredSummary,
)
from gaq_listen.reports.quality import QUALITY_NAMES, Quality
from gaq_listen.reports.summary_values import SummaryValues

LAST_CHANGES = 5
"""Most changes of a pair to read."""

_PAIR = "select clock_timestamp() as at, * from gaq.explain_pair(%s, %s)"
_DETECTORS = "select detector_id, detector from gaq.explain_detectors(%s, %s)"
_FLAGS = "select * from gaq.explain_flags(%s, %s)"
_PERIODS = "select * from gaq.periods(%s, %s)"
_MARKS = """
select invalidated_at, cause from gaq.marks
where data_pass_id = %s and run_number = %s and isfinite(invalidated_at) order by invalidated_at
"""
_COMPUTED = "select * from gaq.explain_computed(%s, %s)"
_QUALITIES = {name: quality for quality, name in QUALITY_NAMES.items()}
_RUNS = "select run_number::text from gaq.current_summaries where data_pass_id = %s"


def read(connection: Connection[TupleRow], data_pass_id: int, data_pass: str, run_number: int) -> Explanation:
    """Read a pair.

    Raises:
        UnknownName: the run is not in the data pass. The message suggests similar runs that are.
    """
    key = (data_pass_id, run_number)
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:

        def ask(query: str) -> list[dict[str, Any]]:
            return cursor.execute(query.encode(), key).fetchall()

        found = ask(_PAIR)
        if not found:
            runs = [run for (run,) in connection.execute(_RUNS, (data_pass_id,)).fetchall()]
            raise UnknownName(f"run {run_number} is not in {data_pass}{suggestion(str(run_number), runs)}")
        pair = found[0]
        found_failures = failures.read(connection, key)
        computed, error = _computed(connection, key)
        # Without times that a program can hold, the QC time counts as unknown, and there are no periods.
        has_times = pair["qc_time_start"] is not None and pair["qc_time_end"] is not None
        return Explanation(
            at=pair["at"],
            data_pass_id=data_pass_id,
            data_pass=data_pass,
            run_number=run_number,
            in_data_pass=pair["in_data_pass"],
            qc_time_start=pair["qc_time_start"],
            qc_time_end=pair["qc_time_end"],
            detectors=tuple((row["detector_id"], row["detector"]) for row in ask(_DETECTORS)),
            flags=tuple(map(_flag, ask(_FLAGS))),
            periods=tuple(map(_period, ask(_PERIODS))) if has_times else (),
            stored=_stored(pair),
            computed=computed,
            error=error,
            marks=tuple((row["invalidated_at"], row["cause"]) for row in ask(_MARKS)),
            failure=found_failures[0] if found_failures else None,
            changes=tuple(changes.read(connection, *key, at_most=LAST_CHANGES)),
        )


def _computed(connection: Connection[TupleRow], key: tuple[int, int]) -> tuple[SummaryValues | None, str | None]:
    try:
        with connection.transaction():  # a savepoint, so that an error leaves the rest readable
            row = connection.execute(_COMPUTED, key).fetchone()
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        return None, sentence(error)
    return (SummaryValues(*row) if row else None), None


def _stored(pair: dict[str, Any]) -> StoredSummary | None:
    if pair["not_computable"] is None:
        return None
    values = SummaryValues(*(pair[field.name] for field in fields(SummaryValues)))
    return StoredSummary(
        values, *(pair[name] for name in ("updated_at", "seconds_stale", "refreshed_for", "refreshed_by"))
    )


def _period(row: dict[str, Any]) -> ExplainedPeriod:
    return ExplainedPeriod(
        span=(row["from"], row["to"]),
        quality=_QUALITIES[row["quality"]],
        flags=tuple(row["flag_ids"]),
        unverified=tuple(row["unverified_flag_ids"]),
        uncovered=tuple(row["detectors_without_flag"]),
    )


def _flag(row: dict[str, Any]) -> ExplainedFlag:
    bad, mc_reproducible = row.pop("bad"), row.pop("mc_reproducible")
    quality = Quality.MC_REPRODUCIBLE if mc_reproducible else Quality.BAD if bad else Quality.GOOD
    span = row.pop("span")
    effective: list[tuple[datetime, datetime]] = [(part.lower, part.upper) for part in row.pop("effective")]
    hidden_by = tuple(row.pop("hidden_by"))
    return ExplainedFlag(
        **row,
        quality=quality,
        span=None if span.isempty else (span.lower, span.upper),
        effective=tuple(effective),
        hidden_by=hidden_by,
    )
