"""A small world of source rows that tests can name one by one, and its summaries by the model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import Connection
from pytest_postgresql.janitor import DatabaseJanitor

from tests.conftest import Server
from tests.model import Flag, FlagType, Instant, Pair, Summary, summary
from tests.tables import Key, computed, drain, stale, stored

# The pairs. Runs 101, 102 and 103 take their QC times from the time frames, from O2 and from the
# trigger; run 104 has none, and is in no data pass.
A: Key = (1, 101)
B: Key = (1, 102)
C: Key = (2, 101)
D: Key = (3, 103)

_WORLD = """
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
INSERT INTO run_detectors SELECT run_number, id FROM runs, detectors WHERE id <= 3;
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
    """A connection in autocommit to a new database, which is dropped at the end."""
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
    """Inserts the world, on a connection in autocommit, and refreshes all summaries."""
    connection.execute(_WORLD.encode())
    drain(connection)
    assert_fresh(connection)


def pairs(connection: Connection[Any]) -> set[Key]:
    """The pairs there are."""
    return set(connection.execute("SELECT data_pass_id, run_number FROM data_pass_runs").fetchall())


def expected(connection: Connection[Any]) -> dict[Key, Summary]:
    """What the model says of every pair, from the source tables as the connection sees them."""
    detectors: dict[Key, list[int]] = defaultdict(list)
    for row in connection.execute("SELECT data_pass_id, run_number, detector_id FROM gaq_detectors"):
        detectors[row[0], row[1]].append(row[2])

    flags: dict[Key, list[Flag]] = defaultdict(list)
    verified = Counter(row[0] for row in connection.execute("SELECT flag_id FROM qc_flag_verifications"))
    for row in connection.execute(
        'SELECT data_pass_id, run_number, id, detector_id, flag_type_id, EXTRACT(epoch FROM "from"),'
        ' EXTRACT(epoch FROM "to"), deleted, EXTRACT(epoch FROM created_at) FROM qc_flags'
        " WHERE data_pass_id IS NOT NULL"
    ):
        number, detector, flag_type, starts, ends, deleted, created = row[2:]
        created_at = _instant(created)
        assert created_at is not None
        flags[row[0], row[1]].append(
            Flag(
                number,
                detector,
                flag_type,
                _instant(starts),
                _instant(ends),
                deleted,
                created_at,
                verified[number],
            )
        )

    flag_types = tuple(
        FlagType(*row) for row in connection.execute("SELECT id, bad, mc_reproducible FROM qc_flag_types")
    )
    runs = connection.execute(
        "SELECT data_pass_id, run_number, EXTRACT(epoch FROM qc_time_start),"
        " EXTRACT(epoch FROM qc_time_end) FROM data_pass_runs LEFT JOIN runs USING (run_number)"
    ).fetchall()
    return {
        (data_pass_id, run_number): summary(
            Pair(
                _instant(start),
                _instant(end),
                tuple(detectors[data_pass_id, run_number]),
                flag_types,
                tuple(flags[data_pass_id, run_number]),
            )
        )
        for data_pass_id, run_number, start, end in runs
    }


def _instant(seconds: Decimal | None) -> Instant | None:
    if seconds is None:
        return None
    return int(seconds * 1_000_000) if seconds.is_finite() else float(seconds)


def wrong(connection: Connection[Any]) -> set[Key]:
    """The pairs whose stored summary is not what the model says, or that are no pair any more."""
    shown, right = stored(connection), expected(connection)
    return {
        key
        for key in shown.keys() | right.keys()
        if key not in shown or key not in right or shown[key].differences(right[key])
    }


def assert_fresh(connection: Connection[Any]) -> None:
    """Nothing is stale, and what is stored is what gaq.compute and the model say."""
    assert_settled(connection)
    assert wrong(connection) == set()


def assert_settled(connection: Connection[Any]) -> None:
    """Nothing is stale, and what is stored is what gaq.compute says: also of rows that no foreign
    key would have let be, of which the model knows nothing."""
    assert stale(connection) == set()
    assert marks(connection) == (0, 0)
    assert stored(connection) == computed(connection, list(pairs(connection)))


def marks(connection: Connection[Any]) -> tuple[int, int]:
    """How many marks there are: those of pairs, and the wide ones."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM gaq.invalidations), (SELECT count(*) FROM gaq.wide_invalidations)"
    ).fetchone()
    assert row is not None
    return row[0], row[1]
