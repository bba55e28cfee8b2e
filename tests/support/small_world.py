"""The small world: source rows that tests know by their ids, and their summaries by the model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import Connection
from pytest_postgresql.janitor import DatabaseJanitor

from tests.conftest import Server
from tests.support.model import Flag, FlagType, Instant, Pair, Summary, summary
from tests.support.shapes import LINK, links_flags
from tests.support.tables import Key, computed, drain, stale, stored

# The pairs. Runs 101, 102 and 103 take their QC times from the time frames, from O2 and from the trigger.
# Run 104 has no QC time, and is in no data pass.
A: Key = (1, 101)
B: Key = (1, 102)
C: Key = (2, 101)
D: Key = (3, 103)

WORLD = """
INSERT INTO detectors VALUES (1, 'ITS'), (2, 'TPC'), (3, 'FT0'), (4, 'ZDC');
INSERT INTO data_passes VALUES (1, 'apass1'), (2, 'apass2'), (3, 'cpass0');
INSERT INTO qc_flag_types VALUES
    (1, 'Good', false, false), (2, 'Bad', true, false), (3, 'Limited', true, true),
    (4, 'Of no flag', false, false);

INSERT INTO runs (run_number, time_o2_start, time_o2_end, time_trg_start, time_trg_end,
                  first_tf_timestamp, last_tf_timestamp) VALUES
    (101, '2024-01-01 00:00Z', '2024-01-01 11:00Z', '2024-01-01 00:30Z', '2024-01-01 10:30Z',
          '2024-01-01 01:00Z', '2024-01-01 10:00Z'),
    (102, '2024-01-02 00:00Z', '2024-01-02 10:00Z', null, null, null, null),
    (103, '2024-01-03 00:00Z', '2024-01-03 10:00Z', '2024-01-03 01:00Z', '2024-01-03 09:00Z',
          null, null),
    (104, null, null, null, null, null, null);
INSERT INTO run_detectors SELECT run_number, detectors.id FROM runs, detectors WHERE detectors.id <= 3;
INSERT INTO data_pass_runs VALUES (1, 101), (1, 102), (2, 101), (3, 103);
INSERT INTO gaq_detectors SELECT data_pass_id, run_number, id
    FROM data_pass_runs, detectors WHERE id = 1 OR id = 2 AND data_pass_id <= 2;

INSERT INTO qc_flags (id, data_pass_id, run_number, detector_id, flag_type_id, "from", "to",
                      deleted, created_at) VALUES
    (11, 1, 101, 1, 1, null, null, false, '2024-02-01'),
    (12, 1, 101, 2, 1, null, null, false, '2024-02-01'),
    (13, 1, 101, 1, 2, '2024-01-01 05:00Z', '2024-01-01 06:00Z', false, '2024-02-02'),
    (21, 1, 102, 1, 1, null, null, false, '2024-02-01'),
    (22, 1, 102, 2, 3, null, '2024-01-02 05:00Z', false, '2024-02-01'),
    (31, 2, 101, 1, 1, null, null, false, '2024-02-01'),
    (32, 2, 101, 2, 3, null, null, false, '2024-02-01'),
    (41, 3, 103, 1, 1, null, null, false, '2024-02-01'),
    -- that count for nothing: of no data pass, of a detector that does not matter, deleted
    (51, null, 101, 1, 2, null, null, false, '2024-02-03'),
    (61, 1, 102, 3, 2, null, null, false, '2024-02-03'),
    (71, 1, 101, 1, 2, null, null, true, '2024-02-03');
INSERT INTO qc_flag_verifications (id, flag_id) VALUES (1, 11), (2, 11), (3, 21);
SELECT setval(pg_get_serial_sequence('qc_flags', 'id'), 1000);
SELECT setval(pg_get_serial_sequence('qc_flag_verifications', 'id'), 1000);
"""


@contextmanager
def database(server: Server, name: str, template: str | None = None) -> Iterator[Connection[Any]]:
    """Create a database, yield a connection in autocommit, and drop the database at the end."""
    janitor = DatabaseJanitor(
        user=server.user,
        host=server.host,
        port=server.port,
        dbname=name,
        template_dbname=template,
        maintenance_dbname=server.maintenance_dbname,
        password=server.password,
    )
    with janitor, psycopg.connect(server.dsn(name), autocommit=True) as connection:
        yield connection


def build(connection: Connection[Any]) -> None:
    """Insert the world on a connection in autocommit, and refresh all summaries."""
    connection.execute(WORLD.encode())
    drain(connection)
    assert_fresh(connection)


def rebuild(connection: Connection[Any]) -> None:
    """Remove all rows, and insert the world again. No other session may use the database meanwhile."""
    connection.execute(
        "TRUNCATE runs, detectors, data_passes, qc_flag_types RESTART IDENTITY CASCADE;"
        " TRUNCATE gaq.summaries, gaq.invalidations, gaq.wide_invalidations, gaq.workers"
    )
    build(connection)


def pairs(connection: Connection[Any]) -> set[Key]:
    """Return the pairs that exist."""
    return set(connection.execute("SELECT data_pass_id, run_number FROM data_pass_runs").fetchall())


_SHOWN = """
SELECT data_pass_id, run_number, bad_run_coverage, mc_reproducible_coverage, explicitly_not_bad_run_coverage,
       missing_verifications_count, undefined_quality_periods_count, not_computable::int <> 0,
       invalidated_at IS NOT NULL
FROM gaq_summaries
"""
_LIVE = """
SELECT data_pass_id, run_number, bad_run_coverage, mc_reproducible_coverage, explicitly_not_bad_run_coverage,
       missing_verifications_count, undefined_quality_periods_count, not_computable, error IS NOT NULL
FROM data_passes CROSS JOIN LATERAL gaq.live_summaries(data_passes.id::bigint)
"""
_RUNS = """
SELECT data_pass_id, run_number,
       EXTRACT(epoch FROM coalesce(first_tf_timestamp, time_trg_start, time_o2_start)),
       EXTRACT(epoch FROM coalesce(last_tf_timestamp, time_trg_end, time_o2_end))
FROM data_pass_runs LEFT JOIN runs USING (run_number)
"""
_FLAGS = """
SELECT data_pass_id, run_number, id, detector_id, flag_type_id, EXTRACT(epoch FROM "from"), EXTRACT(epoch FROM "to"),
       deleted, EXTRACT(epoch FROM created_at)
FROM {}
"""
_OF_A_COLUMN = "qc_flags WHERE data_pass_id IS NOT NULL"
_OF_A_LINK = f"(SELECT qc_flags.*, data_pass_id FROM qc_flags JOIN {LINK} ON quality_control_flag_id = id) flag"


def judge(connection: Connection[Any]) -> tuple[set[Key], set[Key], set[Key]]:
    """Return the pairs whose stored summary is wrong, the stale pairs, and the pairs whose live summary is wrong.

    A summary is wrong if it differs from the model of the source tables, is missing, or belongs to no existing pair.
    """
    with connection.pipeline():
        shown = connection.execute(_SHOWN)
        live = connection.execute(_LIVE)
        runs = connection.execute(_RUNS)
        detectors = connection.execute("SELECT data_pass_id, run_number, detector_id FROM gaq_detectors")
        flag_types = connection.execute("SELECT id, bad, mc_reproducible FROM qc_flag_types")
        flags = connection.execute(_FLAGS.format(_OF_A_LINK if links_flags(connection) else _OF_A_COLUMN).encode())
        verifications = connection.execute("SELECT flag_id FROM qc_flag_verifications")

        rows = shown.fetchall()
        live_rows = live.fetchall()

    is_stale = {(row[0], row[1]) for row in rows if row[-1]}
    is_stored = {(row[0], row[1]): Summary(*row[2:-1]) for row in rows}
    types = tuple(FlagType(*row) for row in flag_types)
    detectors_of = defaultdict(list)
    for data_pass_id, run_number, detector in detectors:
        detectors_of[data_pass_id, run_number].append(detector)
    verified = Counter(row[0] for row in verifications)
    flags_of = defaultdict(list)
    for data_pass_id, run_number, *flag in flags:
        flags_of[data_pass_id, run_number].append(_flag(flag, verified))

    right = {}
    for data_pass_id, run_number, start, end in runs:
        key = (data_pass_id, run_number)
        pair = Pair(_instant(start), _instant(end), tuple(detectors_of[key]), types, tuple(flags_of[key]))
        right[key] = summary(pair)
    is_live = {(row[0], row[1]): Summary(*row[2:-1]) for row in live_rows if not row[-1]}
    return _unlike(is_stored, right), is_stale, _unlike(is_live, right)


def _unlike(shown: dict[Key, Summary], right: dict[Key, Summary]) -> set[Key]:
    return {
        key
        for key in shown.keys() | right.keys()
        if key not in shown or key not in right or shown[key].differences(right[key])
    }


def _flag(row: Sequence[Any], verified: Counter[int]) -> Flag:
    number, detector, flag_type, starts, ends, deleted, created = row
    return Flag(
        id=number,
        detector_id=detector,
        flag_type_id=flag_type,
        from_=_instant(starts),
        to=_instant(ends),
        deleted=deleted,
        created_at=_instant(created) or 0,
        verified=verified[number],
    )


def _instant(seconds: Decimal | None) -> Instant | None:
    if seconds is None:
        return None
    return int(seconds * 1_000_000) if seconds.is_finite() else float(seconds)


def wrong(connection: Connection[Any]) -> set[Key]:
    """Return the pairs whose stored summary differs from the model, or that do not exist any more."""
    return judge(connection)[0]


def live_wrong(connection: Connection[Any]) -> set[Key]:
    """Return the pairs whose row of gaq.live_summaries differs from the model, or that do not exist any more."""
    return judge(connection)[2]


def assert_fresh(connection: Connection[Any]) -> None:
    """Assert that no pair is stale, and that all stored summaries agree with gaq.compute and with the model."""
    assert_settled(connection)
    assert wrong(connection) == set()


def assert_settled(connection: Connection[Any]) -> None:
    """Assert that no pair is stale, and that all stored summaries agree with gaq.compute.

    This also holds for rows that break a foreign key, which the model does not know.
    """
    assert stale(connection) == set()
    assert marks(connection) == (0, 0)
    assert stored(connection) == computed(connection, list(pairs(connection)))


def marks(connection: Connection[Any]) -> tuple[int, int]:
    """Return the number of marks of pairs, and the number of wide marks."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM gaq.invalidations), (SELECT count(*) FROM gaq.wide_invalidations)"
    ).fetchone()
    assert row is not None
    return row[0], row[1]
