"""An application migrates its schema beside an installation: what happens, and that one command puts it right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection

from gaq_listen.cli.main import main
from gaq_listen.db import source_bindings
from gaq_listen.dba import doctor, installer
from gaq_listen.dba.plan import measurements
from gaq_listen.dba.plan.planner import make_plan
from gaq_listen.errors import GaqListenError
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import events
from gaq_listen.worker.worker import Worker
from tests.conftest import where
from tests.database.migrated_tables import MIGRATIONS, Migration, Outcome, probe, shown, write
from tests.support.shapes import SHAPES, Shape
from tests.support.tables import drain, stale
from tests.support.worker_harness import running_worker

PROBES = ((1, 101), (2, 101))
_DIFFER = """
SELECT * FROM gaq.differences((SELECT array_agg(data_pass_id) FROM gaq.known_pairs),
                              (SELECT array_agg(run_number) FROM gaq.known_pairs))
"""

everywhere = pytest.mark.parametrize("shape", SHAPES, indirect=True, ids=lambda shape: shape.name)


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "INTERVAL", 0.01)


@pytest.fixture
def dba(committed: Connection[Any]) -> Iterator[Connection[Any]]:
    """A connection that speaks as the scripts do, to a database with the world in it."""
    with psycopg.connect(where(committed), autocommit=True) as connection:
        connection.execute("GRANT SELECT, UPDATE (invalidated_at) ON gaq_summaries TO pg_monitor")
        installer.install(connection)  # which records the grants
        yield connection


async def drained(dsn: str) -> list[events.Event]:
    """Let a worker refresh what it can; return what it said."""
    told: list[events.Event] = []
    with suppress(GaqListenError):
        await Worker(WorkerSettings(dsn=dsn, once=True), told.append).run()
    assert [event for event in told if isinstance(event, events.Started)]
    return told


def said(dba: Connection[Any]) -> set[str]:
    """Return what doctor finds, without what does no harm."""
    return {finding.what for finding in doctor.examine(dba) if finding.level != "note"}


def assert_right(dba: Connection[Any], healthy: set[str]) -> None:
    """Nothing is stale or differs, doctor finds what it found before, and the grants are there."""
    assert stale(dba) == set()
    assert dba.execute(_DIFFER).fetchall() == []
    assert source_bindings.source_changes(dba) == []
    assert said(dba) <= healthy
    (granted,) = dba.execute(
        "SELECT has_table_privilege('pg_monitor', 'gaq_summaries', 'SELECT'),"
        " has_column_privilege('pg_monitor', 'gaq_summaries', 'invalidated_at', 'UPDATE')"
    ).fetchall()
    assert granted == (True, True)


@everywhere
@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda migration: migration.name)
async def test_migration(dba: Connection[Any], shape: Shape, migration: Migration) -> None:
    statements, names = shape.of(migration.statements), shape.of(migration.names)
    if statements is None:
        return
    if dba.info.server_version < migration.since:
        pytest.skip(f"PostgreSQL {dba.info.server_version // 10000} has no such statement")
    dsn, healthy = where(dba), said(dba)
    write(dba, shape, {})

    if migration.outcome is Outcome.DETACH:
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            dba.execute(statements)
        installer.detach(dba)
        assert stale(dba) >= set(dba.execute("SELECT data_pass_id, run_number FROM gaq.summaries").fetchall())
    dba.execute(statements)

    # Writers go on, and a bad flag over a whole run shows, or there is an alarm.
    write(dba, shape, names)
    probe(dba, shape, names, PROBES[0])
    told = await drained(dsn)
    alarms = [event for event in told if isinstance(event, events.SourcesChanged)]
    advice = [finding.fix for finding in doctor.examine(dba)]
    assert not [fix for fix in advice if "DROP TRIGGER" in fix]
    status = CliRunner().invoke(main, ["status", "--dsn", dsn, "--objective", "1h"])
    if migration.outcome is Outcome.NOTHING:
        assert not alarms
        assert status.exit_code == 0, status.output
        assert shown(dba, PROBES[0]) == (1, False)
        assert_right(dba, healthy)
    else:
        assert alarms
        assert alarms[0].fix == "gaq-listen install"
        assert status.exit_code == 1
        assert [fix for fix in advice if fix == "gaq-listen install"]
        verified = CliRunner().invoke(main, ["verify", "--dsn", dsn])
        assert verified.exit_code == 1
        if migration.outcome is Outcome.DETACH:
            assert shown(dba, PROBES[0])[1]

    # The one command, and everything again. It may be given where nothing was wrong, too, and twice.
    for pair in PROBES:
        installer.install(dba)
        write(dba, shape, names)
        probe(dba, shape, names, pair)
        assert not [event for event in await drained(dsn) if isinstance(event, events.SourcesChanged)]
        drain(dba)
        assert shown(dba, pair) == (1, False)
        assert_right(dba, healthy)


def test_detach_and_install_can_be_repeated_and_kept_apart(dba: Connection[Any]) -> None:
    """Also where one stopped half-way; an operator's pause stays."""
    before = said(dba)
    dba.execute("SELECT gaq.pause('upgrade', 'ops')")
    installer.detach(dba)
    installer.detach(dba)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="detached"):
        dba.execute("SELECT FROM gaq.live_summaries(1)")
    installer.install(dba)
    assert dba.execute("SELECT paused_by, reason FROM gaq.paused").fetchall() == [("ops", "upgrade")]
    dba.execute("SELECT gaq.resume()")
    assert len(stale(dba)) == len(dba.execute("SELECT FROM gaq.summaries").fetchall())
    drain(dba)
    assert_right(dba, before)


def test_an_installation_that_changes_nothing_marks_nothing(dba: Connection[Any]) -> None:
    installer.install(dba)
    assert stale(dba) == set()


async def test_a_worker_raises_the_alarm_with_its_sweep_and_ends_it(dba: Connection[Any]) -> None:
    async with running_worker(where(dba), sweep=1.0) as work:
        dba.execute("ALTER TABLE qc_flags DISABLE TRIGGER gaq_update")
        (alarm, *_) = await work.until(lambda: work.of(events.SourcesChanged))
        assert alarm.what == ("triggers that mark are missing or disabled on public.qc_flags, so changes are not seen",)
        installer.install(dba)
        await work.until(lambda: work.of(events.SourcesRestored))
        await work.until(lambda: not stale(dba))


@everywhere
def test_the_plan_names_every_column_that_is_pinned(dba: Connection[Any], shape: Shape) -> None:
    """But those of names and comments, which it sums up in words."""
    columns = {
        (table, column)
        for line in make_plan(dba).pinned
        for table, _, listed in [line.rstrip(")").partition(" (")]
        for column in listed.split(", ")
    }
    read = set(dba.execute("SELECT table_name, column_name FROM gaq.bound_columns WHERE marked").fetchall())
    assert read <= columns


def test_the_plan_of_a_second_installation_says_what_differs(dba: Connection[Any]) -> None:
    assert make_plan(dba).differences == ()
    dba.execute("DROP FUNCTION gaq.next_due; ALTER TABLE gaq.failures ALTER sqlstate DROP NOT NULL")
    dba.execute("ALTER TABLE qc_flags RENAME deleted TO a; ALTER TABLE qc_flags ADD deleted bool DEFAULT false")
    alarm, missing, altered = make_plan(dba).differences
    assert alarm.what.startswith("column deleted of public.qc_flags is another column")
    assert alarm.fix == missing.fix == "gaq-listen install"
    assert missing.what == "function gaq.next_due(debounce interval, max_wait interval) is missing"
    assert altered.what == "table gaq.failures was altered"


DAMAGE = {
    "ALTER TABLE gaq.failures ALTER sqlstate DROP NOT NULL": "ALTER TABLE gaq.failures ALTER sqlstate SET NOT NULL",
    "ALTER TABLE gaq.summaries ALTER created_at DROP DEFAULT": (
        "ALTER TABLE gaq.summaries ALTER created_at SET DEFAULT clock_timestamp()"
    ),
    "CREATE TRIGGER odd AFTER INSERT ON qc_flags EXECUTE FUNCTION gaq.mark_everything()": (
        "DROP TRIGGER odd ON qc_flags"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_installation_does_not_make_damage_the_rule(dba: Connection[Any], damage: str) -> None:
    """What it does not repair, doctor goes on naming, until it is as it should be."""
    dba.execute(damage)
    found = said(dba)
    assert len(found) == 1
    installer.install(dba)
    assert said(dba) == found
    dba.execute(DAMAGE[damage])
    assert said(dba) == set()


def test_doctor_names_an_unlogged_table(dba: Connection[Any]) -> None:
    dba.execute("ALTER TABLE gaq_detectors SET UNLOGGED")
    (finding,) = doctor.examine(dba)
    assert finding.what == "public.gaq_detectors is UNLOGGED"
    dba.execute(finding.fix)
    assert doctor.examine(dba) == []
