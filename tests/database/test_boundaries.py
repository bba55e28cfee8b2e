"""The Bookkeeping's rule for flags of a run whose QC time moves: a port of its trigger, and who misses it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.dba import doctor, installer
from gaq_listen.dba.plan import measurements
from gaq_listen.dba.plan.planner import make_plan
from gaq_listen.dba.scripts import script
from tests.conftest import where
from tests.support.boundaries import CASES, Bounds, Case
from tests.support.shapes import BOOKKEEPING, LINK, Shape
from tests.support.small_world import assert_fresh
from tests.support.tables import drain, stored

pytestmark = pytest.mark.parametrize("shape", [BOOKKEEPING], indirect=True, ids=["bookkeeping"])

MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC)
MADE = """
INSERT INTO detectors (id, name, type) VALUES (1, 'ITS', 'PHYSICAL');
INSERT INTO data_passes (id, name) VALUES (1, 'apass1');
INSERT INTO quality_control_flag_types (id, name, method, bad) VALUES (1, 'Good', 'Good', false);
"""


def at(hours: float | None) -> datetime | None:
    return None if hours is None else MIDNIGHT + timedelta(hours=hours)


def hours(*bounds: datetime | None) -> Bounds:
    start, end = (None if bound is None else (bound - MIDNIGHT) / timedelta(hours=1) for bound in bounds)
    return start, end


def make(connection: Connection[Any], case: Case, number: int) -> None:
    """Insert the run of 10 hours with the flag and its effective periods."""
    connection.execute(
        "INSERT INTO runs (id, run_number, time_o2_start, time_o2_end) VALUES (%s, %s, %s, %s)",
        (number, number, at(0), at(10)),
    )
    connection.execute(
        'INSERT INTO quality_control_flags (id, deleted, "from", "to", flag_type_id, run_number, detector_id)'
        " VALUES (%s, %s, %s, %s, 1, %s, 1)",
        (number, str(int(case.was_deleted)), at(case.flag[0]), at(case.flag[1]), number),
    )
    for bounds in case.periods:
        connection.execute(
            'INSERT INTO quality_control_flag_effective_periods (flag_id, "from", "to") VALUES (%s, %s, %s)',
            (number, *map(at, bounds)),
        )


def found(connection: Connection[Any], number: int) -> tuple[Bounds, bool, tuple[Bounds, ...]]:
    """The flag's bounds, whether it is deleted, and its effective periods."""
    ((*bounds, deleted),) = connection.execute(
        'SELECT "from", "to", deleted::int <> 0 FROM quality_control_flags WHERE id = %s', (number,)
    ).fetchall()
    periods = connection.execute(
        'SELECT "from", "to" FROM quality_control_flag_effective_periods WHERE flag_id = %s ORDER BY id', (number,)
    ).fetchall()
    return hours(*bounds), deleted, tuple(hours(*period) for period in periods)


@pytest.mark.parametrize("deleted", ["boolean", "smallint"])
def test_flags_follow_a_window_as_in_the_original(bare_db: Connection[Any], shape: Shape, deleted: str) -> None:
    """All cases in one database: a run's move touches no other run."""
    bare_db.execute(MADE.encode())
    if deleted == "smallint":
        bare_db.execute(
            "ALTER TABLE quality_control_flags"
            " ALTER deleted DROP DEFAULT, ALTER deleted TYPE smallint USING deleted::int"
        )
    bare_db.execute(script("bookkeeping_boundaries").encode())
    bare_db.execute(script("bookkeeping_boundaries").encode())
    for number, case in enumerate(CASES, 1):
        make(bare_db, case, number)
    for number, case in enumerate(CASES, 1):
        for window in case.windows:
            bare_db.execute(
                "UPDATE runs SET time_o2_start = %s, time_o2_end = %s WHERE id = %s", (*map(at, window), number)
            )
    came = {case.name: found(bare_db, number) for number, case in enumerate(CASES, 1)}
    assert came == {case.name: (case.flag_after, case.deleted, case.periods_after) for case in CASES}


@pytest.mark.parametrize(("ported", "good", "undefined"), [(True, 1.0, 0), (False, 0.8, 1)])
def test_a_window_that_shrinks_and_grows_again(
    bare_db: Connection[Any], shape: Shape, ported: bool, good: float, undefined: int
) -> None:
    """What the application lost with the trigger, and what the worker stores with it."""
    bare_db.execute(MADE.encode())
    make(bare_db, next(case for case in CASES if case.name == "shrinks and grows again"), 1)
    bare_db.execute("INSERT INTO data_passes_runs (data_pass_id, run_number) VALUES (1, 1)")
    bare_db.execute(
        "INSERT INTO global_aggregated_quality_detectors (data_pass_id, run_number, detector_id) VALUES (1, 1, 1)"
    )
    bare_db.execute(f"INSERT INTO {LINK} (data_pass_id, quality_control_flag_id) VALUES (1, 1)".encode())
    if ported:
        bare_db.execute(script("bookkeeping_boundaries").encode())
    with psycopg.connect(where(bare_db), autocommit=True) as dba:
        installer.install(dba, sources="bookkeeping")
    drain(bare_db)
    for end in (7, 10):
        bare_db.execute("UPDATE runs SET time_o2_end = %s", (at(end),))
        drain(bare_db)
    assert_fresh(bare_db)
    summary = stored(bare_db)[1, 1]
    assert (summary.not_bad, summary.undefined_quality_periods) == (good, undefined)


def test_who_may_change_a_run_need_not_be_allowed_to_change_flags(bare_db: Connection[Any], shape: Shape) -> None:
    bare_db.execute(MADE.encode())
    make(bare_db, CASES[4], 5)
    bare_db.execute(script("bookkeeping_boundaries").encode())
    name = f"operator_of_{bare_db.info.dbname}"
    bare_db.execute(f"CREATE ROLE {name}; GRANT SELECT, UPDATE ON runs TO {name}".encode())
    try:
        bare_db.execute(f"SET ROLE {name}; SET search_path = pg_temp".encode())
        bare_db.execute("UPDATE public.runs SET time_o2_end = %s", (at(7),))
        bare_db.execute("RESET ROLE; RESET search_path")
        assert found(bare_db, 5)[0] == CASES[4].flag_after
    finally:
        bare_db.execute(f"RESET ROLE; DROP OWNED BY {name}; DROP ROLE {name}".encode())


@pytest.mark.parametrize("schema", ["public", "elsewhere"])
def test_plan_and_doctor_tell_that_it_is_missing(
    bare_db: Connection[Any], shape: Shape, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what they say brings it back, also after the installation, which leaves it when it goes."""
    monkeypatch.setattr(measurements, "INTERVAL", 0.01)
    if schema != "public":
        bare_db.execute("ALTER SCHEMA public RENAME TO elsewhere; CREATE SCHEMA public")
    says = "runs has no trigger qcf_boundaries_update_on_run_timestamps_update, which is the application's own"
    options = "" if schema == "public" else f"PGOPTIONS='-c gaq.source_schema={schema}' "
    brings_back = f"gaq-listen sql bookkeeping_boundaries | {options}psql -1 -f -"
    with psycopg.connect(where(bare_db), autocommit=True) as dba:

        def warned() -> list[str]:
            warnings = make_plan(dba, schema, "bookkeeping").advice
            return [warning.fix for warning in warnings if warning.what.startswith(says)]

        def diagnosed() -> list[str]:
            return [finding.fix for finding in doctor.examine(dba) if finding.what == says]

        assert warned() == [brings_back]
        installer.install(dba, schema, sources="bookkeeping")
        assert diagnosed() == [brings_back]
        dba.execute("SELECT set_config('gaq.source_schema', %s, false)", (schema,))
        dba.execute(script("bookkeeping_boundaries").encode())
        assert (warned(), diagnosed()) == ([], [])
        dba.execute(
            f"ALTER TABLE {schema}.runs DISABLE TRIGGER qcf_boundaries_update_on_run_timestamps_update".encode()
        )
        assert (warned(), diagnosed()) == ([brings_back], [brings_back])
        dba.execute(f"ALTER TABLE {schema}.runs ENABLE TRIGGER qcf_boundaries_update_on_run_timestamps_update".encode())
        installer.uninstall(dba)
        assert warned() == []
