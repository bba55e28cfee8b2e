"""Write pairs of the model into the source tables, and read summaries back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from psycopg import Connection

from tests.support.model import FlagType, Instant, Pair, Summary
from tests.support.shapes import LINK, links_flags

Key: TypeAlias = tuple[int, int]
"""data_pass_id and run_number."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VALUES = """
    data_pass_id, run_number, bad_run_coverage, mc_reproducible_coverage,
    explicitly_not_bad_run_coverage, missing_verifications_count,
    undefined_quality_periods_count, not_computable
"""


def insert(connection: Connection[Any], pairs: Mapping[Key, Pair]) -> None:
    """Insert the pairs with their flags, detectors and verifications, and missing data passes and runs.

    Pairs of one run must agree on its QC times. Flags get new ids, in the order of their old ids.
    """
    _insert_shared_rows(connection, pairs)

    flags = [(key, flag) for key, pair in pairs.items() for flag in pair.flags]
    in_order = sorted(flags, key=lambda entry: entry[1].id)
    ids = dict(zip(in_order, _new_flag_ids(connection, len(flags)), strict=True))
    types = {(key, flag_type.id): _type_id(flag_type) for key, pair in pairs.items() for flag_type in pair.flag_types}

    _copy(connection, "data_pass_runs (data_pass_id, run_number)", pairs)
    _copy(
        connection,
        "gaq_detectors (data_pass_id, run_number, detector_id)",
        [(*key, detector) for key, pair in pairs.items() for detector in set(pair.gaq_detectors)],
    )
    linked = links_flags(connection)
    columns = 'id, run_number, detector_id, flag_type_id, "from", "to", deleted, created_at'
    _copy(
        connection,
        f"qc_flags ({columns})" if linked else f"qc_flags ({columns}, data_pass_id)",
        [
            (
                ids[key, flag],
                key[1],
                flag.detector_id,
                types[key, flag.flag_type_id],
                timestamp(flag.from_),
                timestamp(flag.to),
                int(flag.deleted),
                timestamp(flag.created_at),
                *(() if linked else key[:1]),
            )
            for key, flag in flags
        ],
    )
    if linked:
        links = [(key[0], ids[key, flag]) for key, flag in flags]
        _copy(connection, f"{LINK} (data_pass_id, quality_control_flag_id)", links)
    _copy(
        connection,
        "qc_flag_verifications (flag_id)",
        [(ids[key, flag],) for key, flag in flags for _ in range(flag.verified)],
    )


def _new_flag_ids(connection: Connection[Any], how_many: int) -> list[int]:
    rows = connection.execute(
        "SELECT nextval(pg_get_serial_sequence('qc_flags', 'id')) FROM generate_series(1, %s)",
        [how_many],
    ).fetchall()
    return sorted(row[0] for row in rows)


def _insert_shared_rows(connection: Connection[Any], pairs: Mapping[Key, Pair]) -> None:
    connection.execute(
        "INSERT INTO qc_flag_types (id, name, bad, mc_reproducible)"
        " SELECT 1 + bad::int + 2 * mcr::int, format('bad %s mcr %s', bad, mcr), bad, mcr"
        " FROM (VALUES (false), (true)) b (bad), (VALUES (false), (true)) m (mcr)"
        " ON CONFLICT DO NOTHING"
    )
    connection.execute(
        "INSERT INTO detectors (id, name) SELECT DISTINCT id, 'D' || id"
        " FROM unnest(%s::int[]) id ON CONFLICT DO NOTHING",
        [
            [detector for pair in pairs.values() for detector in pair.gaq_detectors]
            + [flag.detector_id for pair in pairs.values() for flag in pair.flags]
        ],
    )
    connection.execute(
        "INSERT INTO data_passes (id, name) SELECT DISTINCT id, 'LHC' || id"
        " FROM unnest(%s::int[]) id ON CONFLICT DO NOTHING",
        [[data_pass_id for data_pass_id, _ in pairs]],
    )
    connection.execute(
        "INSERT INTO runs (run_number, first_tf_timestamp, last_tf_timestamp)"
        " SELECT DISTINCT * FROM unnest(%s::int[], %s::timestamptz[], %s::timestamptz[])"
        " ON CONFLICT DO NOTHING",
        [
            [run_number for _, run_number in pairs],
            [timestamp(pair.qc_time_start) for pair in pairs.values()],
            [timestamp(pair.qc_time_end) for pair in pairs.values()],
        ],
    )


def drain(connection: Connection[Any]) -> None:
    """Refresh all stale pairs, batch after batch, on a connection in autocommit mode."""
    while connection.execute("SELECT * FROM gaq.refresh(max_pairs => 400)").fetchall():
        pass


def stored(connection: Connection[Any]) -> dict[Key, Summary]:
    """Return the rows of gaq_summaries, stale or not."""
    return _summaries(connection.execute(f"SELECT {_VALUES} FROM gaq_summaries").fetchall())


def stale(connection: Connection[Any]) -> set[Key]:
    """Return the stale pairs."""
    return set(
        connection.execute(
            "SELECT data_pass_id, run_number FROM gaq_summaries WHERE invalidated_at IS NOT NULL"
        ).fetchall()
    )


def computed(connection: Connection[Any], keys: Sequence[Key]) -> dict[Key, Summary]:
    """Return the result of gaq.compute, which must have one row for each pair."""
    rows = connection.execute(
        f"SELECT {_VALUES} FROM gaq.compute(%s::bigint[], %s::bigint[])",
        [[data_pass_id for data_pass_id, _ in keys], [run_number for _, run_number in keys]],
    ).fetchall()
    summaries = _summaries(rows)
    assert len(summaries) == len(rows), f"rows for the same pair: {rows}"
    return summaries


def timestamp(instant: Instant | None) -> str | None:
    """Return an instant of the model as PostgreSQL reads it."""
    if instant is None:
        return None
    if math.isinf(instant):
        return "infinity" if instant > 0 else "-infinity"
    return (_EPOCH + timedelta(microseconds=instant)).isoformat()


def _type_id(flag_type: FlagType) -> int:
    """Return the id of the row for a flag type. All types with the same two properties share a row."""
    return 1 + flag_type.bad + 2 * flag_type.mc_reproducible


def _copy(connection: Connection[Any], table: str, rows: Iterable[Sequence[object]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _summaries(rows: list[tuple[Any, ...]]) -> dict[Key, Summary]:
    return {(row[0], row[1]): Summary(*row[2:]) for row in rows}
