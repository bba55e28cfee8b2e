"""A table gaq_summaries in which an application has stored summaries: taken over, asked as before, given back."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from gaq_listen.dba import doctor, installer
from gaq_listen.dba.plan import measurements
from gaq_listen.dba.plan.planner import make_plan
from gaq_listen.dba.scripts import script
from gaq_listen.dba.sources import named
from gaq_listen.errors import GaqListenError
from tests.conftest import where
from tests.database.test_installation import PROGRAMS, dump
from tests.support.shapes import Shape, in_every_shape
from tests.support.small_world import WORLD, A, B, C, D, assert_fresh
from tests.support.tables import drain, stale, stored

pytestmark = in_every_shape

ORIGINAL = """
CREATE TABLE gaq_summaries (
    data_pass_id {key} NOT NULL REFERENCES data_passes ON UPDATE CASCADE,
    run_number {key} NOT NULL REFERENCES runs (run_number) ON UPDATE CASCADE,
    bad_run_coverage {coverage}, explicitly_not_bad_run_coverage {coverage}, mc_reproducible_coverage {coverage},
    missing_verifications_count int, undefined_quality_periods_count int,
    not_computable {yes} NOT NULL DEFAULT {no},
    invalidated_at {instant},
    created_at {instant} NOT NULL DEFAULT now(), updated_at {instant} NOT NULL DEFAULT now(),
    PRIMARY KEY (data_pass_id, run_number)
);
CREATE INDEX gaq_summaries_by_age ON gaq_summaries (invalidated_at);
COMMENT ON TABLE gaq_summaries IS 'kept by the application';
COMMENT ON COLUMN gaq_summaries.invalidated_at IS 'when';
-- A and B are computed, B stale; C cannot be computed; D never was; and (2, 103) is no pair.
INSERT INTO gaq_summaries VALUES
    (1, 101, 0.25, 0.5, 0.25, 3, 4, {no}, null, '2024-03-01 00:00Z', '2024-03-02 00:00Z'),
    (1, 102, 0.25, 0.5, 0.25, 3, 4, {no}, '2024-03-03 00:00Z', '2024-03-01 00:00Z', '2024-03-02 00:00Z'),
    (2, 101, null, null, null, null, null, {sure}, null, '2024-03-01 00:00Z', '2024-03-02 00:00Z'),
    (3, 103, null, null, null, null, null, {no}, null, '2024-03-01 00:00Z', '2024-03-02 00:00Z'),
    (2, 103, 0.25, 0.5, 0.25, 3, 4, {no}, null, '2024-03-01 00:00Z', '2024-03-02 00:00Z');
"""
AS = {
    "timestamptz": {"key": "bigint", "coverage": "double precision", "yes": "bool", "instant": "timestamptz"},
    "timestamp": {"key": "int", "coverage": "double precision", "yes": "smallint", "instant": "timestamp(3)"},
    "numeric": {"key": "numeric(10,0)", "coverage": "numeric", "yes": "int", "instant": "timestamp"},
    "real": {"key": "int", "coverage": "real", "yes": "bool", "instant": "timestamptz(3)"},
}
TYPES = {
    name: re.sub(r" REFERENCES \w+( \(\w+\))? ON UPDATE CASCADE" if name == "numeric" else "^$", "", ORIGINAL).format(
        no="false" if types["yes"] == "bool" else "0", sure="true" if types["yes"] == "bool" else "1", **types
    )
    for name, types in AS.items()
}


@pytest.fixture
def original(bare_db: Connection[Any]) -> Connection[Any]:
    """A database with the world, and with summaries that an application has stored."""
    bare_db.execute(f"{WORLD}; SET timezone = 'UTC'; {TYPES['timestamptz']}; SET timezone = 'Asia/Tokyo'".encode())
    return bare_db


def install(connection: Connection[Any], shape: Shape | None = None) -> None:
    """On a connection that speaks as the scripts do."""
    with psycopg.connect(where(connection), autocommit=True) as dba:
        installer.install(dba, sources=shape.name if shape else None)


@pytest.mark.parametrize("types", ["timestamptz", "timestamp"])
def test_values_are_kept_and_what_was_invalidated_is_marked(bare_db: Connection[Any], shape: Shape, types: str) -> None:
    bare_db.execute(f"{WORLD}; SET timezone = 'UTC'; {TYPES[types]}; SET timezone = 'Asia/Tokyo'".encode())
    install(bare_db, shape)

    shown = bare_db.execute(
        "SELECT data_pass_id, run_number, bad_run_coverage, missing_verifications_count, not_computable,"
        " created_at = '2024-03-01 00:00Z', updated_at = '2024-03-02 00:00Z', invalidated_at = '2024-03-03 00:00Z',"
        " invalidated_at IS NOT NULL FROM gaq_summaries ORDER BY 1, 2"
    ).fetchall()
    assert shown == [
        (1, 101, 0.25, 3, False, True, True, None, False),
        (1, 102, 0.25, 3, False, True, True, True, True),
        (2, 101, None, None, True, True, True, None, False),
        (2, 103, 0.25, 3, False, True, True, False, True),
        (3, 103, None, None, None, True, None, False, True),
    ]
    causes = bare_db.execute("SELECT data_pass_id, run_number, cause FROM gaq.invalidations ORDER BY 1, 2").fetchall()
    assert causes == [(*B, "taken over"), (2, 103, "taken over"), (*D, "installation")]

    kept = stored(bare_db)[A]
    drain(bare_db)
    assert stored(bare_db)[A] == kept
    assert stored(bare_db).keys() == {A, B, C, D}
    bare_db.execute("UPDATE gaq_summaries SET invalidated_at = now()")
    drain(bare_db)
    assert_fresh(bare_db)


COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'gaq_summaries'::regclass AND attnum > 0 ORDER BY attnum
"""


@pytest.mark.parametrize("types", TYPES)
def test_the_view_keeps_the_types_of_the_table(bare_db: Connection[Any], shape: Shape, types: str) -> None:
    """Drivers were told these: many hand a bigint over as text. Asking for refreshes works in any of them."""
    bare_db.execute(f"{WORLD}; SET timezone = 'UTC'; {TYPES[types]}; SET timezone = 'Asia/Tokyo'".encode())
    before = bare_db.execute(COLUMNS).fetchall()
    bare_db.execute("GRANT SELECT, UPDATE ON gaq_summaries TO PUBLIC")
    install(bare_db, shape)
    assert bare_db.execute(COLUMNS).fetchall() == before
    # Whoever might read the table reads the view, without any right on schema gaq.
    bare_db.execute("SET ROLE pg_monitor")
    assert len(bare_db.execute("SELECT * FROM gaq_summaries WHERE data_pass_id > 0").fetchall()) == 5
    bare_db.execute("UPDATE gaq_summaries SET invalidated_at = now()")
    bare_db.execute("RESET ROLE")
    drain(bare_db)
    shown = "SELECT bad_run_coverage::real, not_computable::int, invalidated_at, updated_at AT TIME ZONE 'UTC' FROM {}"
    if "without" in dict(before)["updated_at"]:
        shown = shown.replace(" AT TIME ZONE 'UTC'", "")
    ours = "SELECT bad_run_coverage::real, not_computable::int, invalidated_at, updated_at AT TIME ZONE 'UTC' FROM {}"
    pairs = " WHERE (data_pass_id, run_number) = (1, 101)"
    ((*seen, when),) = bare_db.execute((shown.format("gaq_summaries") + pairs).encode()).fetchall()
    ((*stored_, then),) = bare_db.execute((ours.format("gaq.current_summaries") + pairs).encode()).fetchall()
    assert seen == stored_
    assert abs((when - then).total_seconds()) < 0.001
    for statement in (
        "UPDATE gaq_summaries SET invalidated_at = now() WHERE data_pass_id = 1 AND run_number = 101 RETURNING *",
        "INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (1, 101)",
        # What is no number of the table's type is asked for elsewhere: nobody who reads the view is disturbed.
        f"SELECT gaq.recalculate(array[1, {2**40}], array[101, {2**40}])",
    ):
        bare_db.execute(statement.encode())
        assert A in stale(bare_db)
        drain(bare_db)
        assert stale(bare_db) == set()


def test_a_view_from_before_gets_the_types_of_the_table(original: Connection[Any], shape: Shape) -> None:
    """Version 3 gave its own. Rights stay; a view that somebody made of it keeps it as it is."""
    original.execute("ALTER TABLE gaq_summaries ALTER run_number TYPE int, ALTER data_pass_id TYPE int")
    original.execute("GRANT UPDATE (invalidated_at), SELECT ON gaq_summaries TO PUBLIC")
    wanted = original.execute(COLUMNS).fetchall()
    install(original, shape)
    rights = (
        "SELECT relacl::text, (SELECT array_agg(attacl::text) FROM pg_attribute WHERE attrelid = c.oid)"
        " FROM pg_class c WHERE oid = 'gaq_summaries'::regclass"
    )
    before = "CREATE OR REPLACE VIEW gaq_summaries AS TABLE gaq.current_summaries"
    original.execute("DROP VIEW gaq_summaries")
    original.execute(before.encode())
    original.execute(
        "CREATE TRIGGER gaq_request INSTEAD OF INSERT OR UPDATE ON gaq_summaries"
        " FOR EACH ROW EXECUTE FUNCTION gaq.request_refresh();"
        "ALTER VIEW gaq_summaries OWNER TO gaq_owner"
    )
    original.execute("GRANT UPDATE (invalidated_at), SELECT ON gaq_summaries TO PUBLIC")
    original.execute("CREATE VIEW theirs AS TABLE gaq_summaries")
    install(original)
    assert original.execute(COLUMNS).fetchall() != wanted
    given = original.execute(rights.encode()).fetchall()
    original.execute("DROP VIEW theirs")
    install(original)
    assert original.execute(COLUMNS).fetchall() == wanted
    assert original.execute(rights.encode()).fetchall() == given
    drain(original)
    assert [finding for finding in doctor.examine(original) if finding.level == "error"] == []


def test_infinite_times_of_the_application_are_no_obstacle(original: Connection[Any], shape: Shape) -> None:
    original.execute(
        "UPDATE gaq_summaries SET invalidated_at = 'infinity', created_at = '-infinity' WHERE run_number = 101"
    )
    original.execute(
        "UPDATE gaq_summaries SET updated_at = '-infinity', invalidated_at = '-infinity' WHERE run_number = 102"
    )
    install(original, shape)
    # A client could not hold an infinite time.
    assert len(original.execute("SELECT * FROM gaq_summaries").fetchall()) == 5
    assert stale(original) >= {A, B}
    assert original.execute("SELECT stale_pairs, stale_since FROM gaq.status").fetchall()
    original.execute("UPDATE gaq_summaries SET invalidated_at = now()")
    drain(original)
    assert_fresh(original)


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_a_pair_is_found_by_index_in_the_types_of_the_table(original: Connection[Any], shape: Shape, mode: str) -> None:
    original.execute("ALTER TABLE gaq_summaries ALTER run_number TYPE int, ALTER data_pass_id TYPE int")
    install(original, shape)
    original.execute(
        "INSERT INTO gaq.summaries (data_pass_id, run_number) SELECT n / 100, n FROM generate_series(1000, 20000) n"
    )
    original.execute("VACUUM ANALYZE gaq.summaries, gaq.invalidations")
    with original.transaction():
        original.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
        original.execute(
            "PREPARE question (int, int) AS SELECT * FROM gaq_summaries WHERE data_pass_id = $1 AND run_number = $2"
        )
        plan_ = "\n".join(line for (line,) in original.execute("EXPLAIN EXECUTE question (50, 5000)"))
    assert "Index Scan using summaries_pkey" in plan_, plan_
    assert "Seq Scan on summaries" not in plan_


def test_uninstall_gives_it_back_as_it_was(original: Connection[Any], shape: Shape) -> None:
    original.execute("GRANT SELECT, UPDATE (invalidated_at) ON gaq_summaries TO PUBLIC")
    before = dump(where(original))
    told: list[str] = []
    install(original, shape)
    drain(original)
    original.execute("UPDATE gaq_summaries SET invalidated_at = now()")
    installer.uninstall(original, report=told.append)
    assert dump(where(original)) == before
    assert "UPDATE gaq_summaries SET invalidated_at = now()" in told[-1]


def test_a_second_installation_changes_nothing(original: Connection[Any], shape: Shape) -> None:
    install(original, shape)
    drain(original)
    # In which order a table has its rows says nothing.
    before = sorted(dump(where(original), "--exclude-table-data=gaq.installation"))
    install(original)
    assert sorted(dump(where(original), "--exclude-table-data=gaq.installation")) == before
    assert [finding for finding in doctor.examine(original) if finding.level == "error"] == []


def test_a_table_in_another_shape_is_left_alone(original: Connection[Any], shape: Shape) -> None:
    original.execute("ALTER TABLE gaq_summaries DROP COLUMN not_computable")
    with pytest.raises(GaqListenError, match="cannot adopt a table without not_computable"):
        install(original, shape)
    assert original.execute("SELECT count(*) FROM gaq_summaries").fetchone() == (5,)


@pytest.fixture
def application(original: Connection[Any], shape: Shape) -> Iterator[Connection[Any]]:
    """The application's connection, in autocommit, after the take-over: it owned nothing, and might write the table."""
    role = sql.Identifier(f"application of {original.info.dbname}")
    original.execute(sql.SQL("CREATE ROLE {}").format(role))
    try:
        original.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON gaq_summaries TO {}").format(role))
        install(original, shape)
        drain(original)
        with psycopg.connect(where(original), autocommit=True) as connection:
            connection.execute(sql.SQL("SET ROLE {}").format(role))
            yield connection
    finally:
        original.execute(sql.SQL("DROP OWNED BY {}").format(role))
        original.execute(sql.SQL("DROP ROLE {}").format(role))


ASKS = [
    "UPDATE gaq_summaries SET invalidated_at = now() WHERE (data_pass_id, run_number) = (1, 101)",
    # as a library does that knows of updated_at
    "UPDATE gaq_summaries SET invalidated_at = now(), updated_at = now() WHERE (data_pass_id, run_number) = (1, 101)",
    "UPDATE gaq_summaries SET invalidated_at = now() WHERE (data_pass_id, run_number) = (1, 101) RETURNING *",
    "INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (1, 101)",
    ("INSERT INTO gaq_summaries (data_pass_id, run_number, invalidated_at, created_at, updated_at)"
     " VALUES (1, 101, now(), now(), now()) RETURNING *"),
    ("INSERT INTO gaq_summaries (data_pass_id, run_number, invalidated_at) VALUES (1, 101, now())"
     " ON CONFLICT DO NOTHING RETURNING data_pass_id, run_number"),
]  # fmt: skip


@pytest.mark.parametrize("statement", ASKS)
def test_the_application_asks_as_before(
    application: Connection[Any], original: Connection[Any], statement: str
) -> None:
    application.execute(statement.encode())
    assert stale(original) == {A}
    drain(original)
    assert stored(original)[A].missing_verifications != 3


CANNOT = [
    (("INSERT INTO gaq_summaries (data_pass_id, run_number, invalidated_at) VALUES (1, 101, now())"
      " ON CONFLICT (data_pass_id, run_number) DO UPDATE SET invalidated_at = excluded.invalidated_at"),
     "no unique or exclusion constraint"),
    (("INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (1, 101)"
      " ON CONFLICT (data_pass_id, run_number) DO NOTHING"), "no unique or exclusion constraint"),
    ("DELETE FROM gaq_summaries WHERE run_number = 101", "it goes when its run leaves the data pass"),
    ("UPDATE gaq_summaries SET bad_run_coverage = 0, invalidated_at = now()", "is computed"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "says"), CANNOT)
def test_what_cannot_work_on_a_view(
    application: Connection[Any], original: Connection[Any], statement: str, says: str
) -> None:
    with pytest.raises(psycopg.Error, match=says):
        application.execute(statement.encode())
    assert stale(original) == set()


def test_psql_adopts_file_by_file_and_the_name_is_never_missing(original: Connection[Any], shape: Shape) -> None:
    for step in named(shape.name).steps():
        subprocess.run(
            [PROGRAMS / "psql", "-qX1", "-v", "ON_ERROR_STOP=1", where(original), "-f", "-"],
            input=step.text,
            text=True,
            check=True,
        )
        assert original.execute("SELECT count(*) FROM gaq_summaries").fetchone() == (5,)
    assert stale(original) == {B, D, (2, 103)}


def test_it_can_be_let_go(original: Connection[Any], shape: Shape) -> None:
    """As docs/guides/adopting.md says. The view keeps the types that it has."""
    original.execute("ALTER TABLE gaq_summaries ALTER run_number TYPE int, ALTER data_pass_id TYPE int")
    install(original, shape)
    types = original.execute(COLUMNS).fetchall()
    original.execute("DROP VIEW gaq.original_summaries; DROP TABLE gaq_summaries_original")
    install(original)
    assert original.execute(COLUMNS).fetchall() == types
    drain(original)
    assert [finding for finding in doctor.examine(original) if finding.level == "error"] == []
    installer.uninstall(original)
    assert original.execute("SELECT to_regclass('gaq_summaries'), to_regnamespace('gaq')").fetchone() == (None, None)


def test_the_plan_tells(original: Connection[Any], shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "INTERVAL", 0.01)
    original.execute("CREATE VIEW theirs AS SELECT * FROM gaq_summaries")
    found = make_plan(original, "public", shape.name)
    assert found.obstacles == ()
    assert "would adopt the table public.gaq_summaries (5 rows, 1 of them invalidated)" in found.existing
    told = " / ".join(f"{warning.what} {warning.fix}" for warning in found.advice)
    for words in (
        "stop the application's own worker",
        "DO UPDATE (an upsert)",
        "INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (...)",
        "view public.theirs" if "view public.theirs" in told else "view theirs",
        "DROP CONSTRAINT gaq_summaries_data_pass_id_fkey",
    ):
        assert words in told
    original.execute("ALTER TABLE gaq_summaries DROP COLUMN invalidated_at CASCADE")
    (blocker,) = make_plan(original, "public", shape.name).obstacles
    assert blocker.why.endswith("cannot adopt a table without invalidated_at")


UPSERT = """
INSERT INTO gaq_summaries (data_pass_id, run_number, invalidated_at) VALUES (1, 101, now())
ON CONFLICT (data_pass_id, run_number) DO UPDATE SET invalidated_at = excluded.invalidated_at
"""


def test_an_upsert_that_is_still_in_use_is_found(
    original: Connection[Any], shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the plan and by a query, before the switch. The application needs no right for it."""
    monkeypatch.setattr(measurements, "INTERVAL", 0.01)

    def told() -> str:
        with psycopg.connect(where(original), autocommit=True) as dba:
            return " / ".join(f"{each.what} {each.fix}" for each in make_plan(dba, "public", shape.name).advice)

    assert "nothing records which programs upsert into public.gaq_summaries" in told()
    before = dump(where(original))
    original.execute(script("bookkeeping_upserts").encode())
    original.execute(script("bookkeeping_upserts").encode())
    role = sql.Identifier(f"application of {original.info.dbname}")
    original.execute(sql.SQL("CREATE ROLE {}").format(role))
    try:
        original.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE ON gaq_summaries TO {}").format(role))
        with psycopg.connect(where(original), autocommit=True) as application:
            application.execute(sql.SQL("SET ROLE {}").format(role))
            application.execute("UPDATE gaq_summaries SET invalidated_at = now()")
            application.execute(
                "INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (1, 103) ON CONFLICT DO NOTHING"
            )
            assert "the application upserts" not in told()
            application.execute(UPSERT.encode())
            application.execute(UPSERT.replace("101, now()", "%s, now()"), (101,))
    finally:
        original.execute(sql.SQL("DROP OWNED BY {}").format(role))
        original.execute(sql.SQL("DROP ROLE {}").format(role))
    assert "the application upserts into public.gaq_summaries: 2 of them, the last at 2" in told()
    assert original.execute("SELECT count(*) FROM gaq_upserts WHERE query ~ 'DO UPDATE'").fetchall() == [(2,)]

    # As the file says, everything goes away again.
    original.execute("DELETE FROM gaq_summaries WHERE (data_pass_id, run_number) = (1, 103)")
    original.execute("DROP TABLE gaq_upserts; DROP FUNCTION gaq_note_upsert() CASCADE")
    assert len(dump(where(original))) == len(before)
