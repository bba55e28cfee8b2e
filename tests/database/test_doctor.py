"""The doctor: what it finds in a sound database, findings without a fix, and the text of findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.dba import doctor, findings_view, installer
from gaq_listen.dba.checks.finding import Finding
from tests.conftest import Connect
from tests.support import small_world
from tests.support.tables import drain
from tests.support.worker_harness import asleep, running_worker


@pytest.fixture
def undone(db: Connection[Any]) -> Iterator[Connection[Any]]:
    """Open a transaction that is rolled back, with its changes to the roles of the server."""
    with db.transaction(force_rollback=True):
        yield db


def whats(connection: Connection[Any]) -> list[str]:
    return [finding.what for finding in doctor.examine(connection)]


def only(connection: Connection[Any]) -> Finding:
    (finding,) = doctor.examine(connection)
    return finding


def number_of(connection: Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


# Nothing wrong ------------------------------------------------------------------------------------------------------


def test_doctor_finds_nothing_in_a_new_installation(db: Connection[Any]) -> None:
    assert doctor.examine(db) == []
    assert findings_view.render([]).startswith("nothing found by ")


def test_doctor_finds_nothing_after_a_second_installation(bare_db: Connection[Any]) -> None:
    for _ in range(2):
        installer.install(bare_db)
        assert doctor.examine(bare_db) == []


def test_doctor_checks_tables_in_another_schema(bare_db: Connection[Any]) -> None:
    bare_db.execute('alter schema public rename to "Book keeping"')
    installer.install(bare_db, "Book keeping")
    assert doctor.examine(bare_db) == []
    bare_db.execute('drop index "Book keeping".qc_flags_by_type')
    found = only(bare_db)
    assert found.fix == 'CREATE INDEX CONCURRENTLY ON "Book keeping".qc_flags (flag_type_id);'
    bare_db.execute(found.fix.encode())
    assert doctor.examine(bare_db) == []


async def test_doctor_finds_nothing_while_a_worker_sleeps(committed: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn) as work:
        await work.until(lambda: asleep(committed))
        assert doctor.examine(committed) == []
        committed.execute("update qc_flags set deleted = true where id = 11")
        await work.until(lambda: asleep(committed) and not number_of(committed, "select count(*) from gaq.pending"))
        assert doctor.examine(committed) == []


def test_doctor_accepts_children_with_all_triggers(undone: Connection[Any]) -> None:
    undone.execute("create table later () inherits (qc_flags)")
    assert only(undone).level == "note"
    undone.execute(
        """
        create trigger a after insert on later
            referencing new table as new_rows for each statement execute function gaq.mark_qc_flags();
        create trigger b after update on later
            referencing old table as old_rows new table as new_rows
            for each statement execute function gaq.mark_qc_flags();
        create trigger c after delete on later
            referencing old table as old_rows for each statement execute function gaq.mark_qc_flags();
        create trigger d after truncate on later for each statement execute function gaq.mark_everything();
        alter table later enable always trigger a, enable always trigger b, enable always trigger c;
        """
    )
    assert only(undone).level == "note"
    undone.execute("alter table later enable always trigger d")
    assert doctor.examine(undone) == []


# What the database itself shows -------------------------------------------------------------------------------------


def test_doctor_finds_an_altered_table_until_it_is_restored(undone: Connection[Any]) -> None:
    undone.execute("alter table gaq.invalidations alter cause drop not null")
    assert only(undone).what == "table gaq.invalidations was altered"
    undone.execute("alter table gaq.invalidations alter cause set not null")
    assert doctor.examine(undone) == []


def test_doctor_finds_children_without_triggers(undone: Connection[Any]) -> None:
    undone.execute("create table a () inherits (qc_flags); create table b () inherits (a)")
    found = only(undone)
    assert found.what == "public.qc_flags has partitions or children without triggers of their own: public.a, public.b"
    assert found.level == "note"


def test_doctor_finds_a_parent_without_triggers(undone: Connection[Any]) -> None:
    undone.execute("create table parent (run_number int not null); alter table runs inherit parent")
    expected = "public.runs is a partition or child of public.parent, which has no triggers that mark"
    assert only(undone).what == expected


def test_published_mark_without_identity_cannot_be_deleted(undone: Connection[Any]) -> None:
    """Show why a publication needs a replica identity."""
    undone.execute("alter table gaq.invalidations replica identity nothing; create publication p for all tables")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState), undone.transaction():
        undone.execute("delete from gaq.invalidations")


def test_doctor_on_another_major_version_compares_less(db: Connection[Any]) -> None:
    """Show that the doctor still finds missing objects, and compares no definitions."""
    db.execute("update gaq.installation set server_version = 130005")
    db.execute("update gaq.installed_objects set checksum = 'other' where kind in ('function', 'view', 'index')")
    major = db.info.server_version // 10000
    assert whats(db) == [f"gaq-listen was installed on PostgreSQL 13, and the server is PostgreSQL {major}"]
    db.execute("drop procedure gaq.drain(int); drop trigger gaq_insert on runs")
    assert len(whats(db)) == 3


@pytest.mark.parametrize("made", ["stored", "virtual"])
def test_doctor_finds_only_virtual_generated_columns(bare_db: Connection[Any], made: str) -> None:
    if made == "virtual" and bare_db.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    bare_db.execute(
        "alter table runs drop column qc_time_end,"
        " add column qc_time_end timestamptz"
        f" generated always as (coalesce(last_tf_timestamp, time_o2_end)) {made}".encode()
    )
    installer.install(bare_db)
    expected = ["public.runs has qc_time_end as a virtual generated column"] if made == "virtual" else []
    assert whats(bare_db) == expected


def test_doctor_finds_a_subscription(undone: Connection[Any]) -> None:
    undone.execute("create subscription elsewhere connection 'dbname=x' publication p with (connect = false)")
    assert doctor.examine(undone) == []
    # As REFRESH PUBLICATION would, if there were a publisher.
    undone.execute("set local allow_system_table_mods = on")
    undone.execute(
        "insert into pg_subscription_rel (srsubid, srrelid, srsubstate)"
        " select oid, 'qc_flags'::regclass, 'r' from pg_subscription where subname = 'elsewhere'"
    )
    assert only(undone).what == "logical replication writes public.qc_flags, by subscription elsewhere"


def test_doctor_finds_pairs_that_changed_without_a_mark(committed: Connection[Any]) -> None:
    committed.execute("alter table data_pass_runs disable trigger user")
    committed.execute(
        "insert into data_pass_runs values (2, 102), (3, 101); delete from data_pass_runs where run_number = 103"
    )
    installer.install(committed)
    # Installing marks what never had a summary; that is undone here, to see it found.
    committed.execute("delete from gaq.invalidations; delete from gaq.wide_invalidations")
    came, left = doctor.examine(committed)
    assert came.what == "2 pairs without a summary and without a mark"
    assert left.what == "1 pair with a summary, in no data pass, and without a mark"
    for finding in (came, left):
        committed.execute(finding.fix.encode())
    assert small_world.marks(committed) == (3, 0)
    assert doctor.examine(committed) == []
    drain(committed)
    small_world.assert_fresh(committed)


# What could not be looked at ----------------------------------------------------------------------------------------


def test_doctor_as_a_reader_reports_skipped_checks(undone: Connection[Any]) -> None:
    undone.execute("set local role gaq_reader")
    findings = doctor.examine(undone)
    assert {finding.level for finding in findings} == {"note"}
    assert [finding.what for finding in findings] == [
        "could not check pairs without a mark: permission denied for view source_pairs",
        "gaq_reader cannot see what other sessions do",
    ]


def test_doctor_does_not_wait_for_a_locked_table(
    db: Connection[Any], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LOCK_TIMEOUT", 0.05)
    connect().execute("lock table gaq.installed_objects")
    found = doctor.examine(db)
    assert [finding.what.partition(":")[0] for finding in found] == [
        "could not check installed objects",
        "could not check owners",
    ]


def test_doctor_changes_no_setting(undone: Connection[Any]) -> None:
    undone.execute("set local search_path = public")
    doctor.examine(undone)
    assert undone.execute("show search_path").fetchone() == ("public",)
    assert undone.execute("show transaction_read_only").fetchone() == ("off",)


# What it looks like -------------------------------------------------------------------------------------------------


def test_findings_text_is_safe_for_a_terminal() -> None:
    findings = [
        Finding("a \x1b[31mname\nof two lines " + "word " * 30, "because", "SELECT 1; " * 20),
        Finding("b", "c", "d", "note"),
    ]
    text = findings_view.render(findings)
    assert "\n   fix:  SELECT 1;" in findings_view.render([Finding("a", "b", "SELECT 1;")])
    assert text.startswith("1. error: a \\x1b[31mname\\nof two lines word")
    assert text.endswith("\n\n2. note: b\n   why:  c\n   do:   d\n\nfound 1 error, 1 note")
    assert max(map(len, text.splitlines())) <= 80
