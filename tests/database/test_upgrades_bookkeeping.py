"""Earlier versions in the Bookkeeping's shape become this one while a writer goes on, and no mark is lost."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.dba import doctor
from gaq_listen.dba.scripts import Step
from gaq_listen.dba.sources import named
from tests.database.test_installation import objects
from tests.support.shapes import BOOKKEEPING
from tests.support.small_world import assert_fresh, wrong
from tests.support.tables import drain, stale

UPGRADES = Path(__file__).parents[1] / "upgrades"
SOURCES = {2: "versions_2_and_3", 3: "versions_2_and_3", 4: "version_4"}
"""The sources file that each earlier version had for the Bookkeeping, in ``tests/upgrades/bookkeeping``."""
VERSIONS = pytest.mark.parametrize("version", SOURCES)
SOURCES_OF_REFERENCE = re.compile(
    r"do \$\$ begin\n    perform set_config\('search_path', [^\n]*\nend \$\$;\n\nset role gaq_owner;\n"
    r"do \$\$ begin perform gaq.use_sources\('reference'\).*enable always trigger gaq_truncate;\n",
    re.DOTALL,
)
"""The sources file in the SQL of an earlier version."""

in_bookkeeping = pytest.mark.parametrize("shape", [BOOKKEEPING], indirect=True, ids=["bookkeeping"])

WORLD = """
insert into detectors (id, name) values (1, 'ITS'), (2, 'TPC');
insert into data_passes (id, name) values (1, 'apass1');
insert into runs (run_number, time_o2_start, time_o2_end)
select pair, '2024-01-01 00:00Z', '2024-01-01 10:00Z' from generate_series(1, {pairs}) pair;
insert into data_passes_runs (data_pass_id, run_number) select 1, pair from generate_series(1, {pairs}) pair;
insert into global_aggregated_quality_detectors (data_pass_id, run_number, detector_id)
select 1, pair, 1 from generate_series(1, {pairs}) pair;
insert into quality_control_flag_types (id, name, bad) select pair, pair, true from generate_series(1, {pairs}) pair;
insert into quality_control_flags (id, run_number, detector_id, flag_type_id, "from", "to")
select pair, pair, 1, pair, '2024-01-01 01:00Z', '2024-01-01 05:00Z' from generate_series(1, {pairs}) pair;
insert into data_pass_quality_control_flag (data_pass_id, quality_control_flag_id)
select 1, pair from generate_series(1, {pairs}) pair;
"""
"""Pairs of data pass 1, each with a run, a flag and a flag type of its own, which all have the number of the pair."""

CHANGES = [
    """
    insert into quality_control_flags (id, run_number, detector_id, flag_type_id)
    values (1000000 + {pair}, {pair}, 1, {pair});
    insert into data_pass_quality_control_flag (data_pass_id, quality_control_flag_id) values (1, 1000000 + {pair});
    """,
    "delete from data_pass_quality_control_flag where quality_control_flag_id = {pair}",
    "update quality_control_flags set deleted = true where id = {pair}",
    """update quality_control_flags set "to" = '2024-01-01 07:00Z' where id = {pair}""",
    "update quality_control_flag_types set bad = false where id = {pair}",
    "insert into quality_control_flag_verifications (flag_id) values ({pair})",
    "update runs set time_trg_start = time_o2_start, time_trg_end = '2024-01-01 08:00Z' where run_number = {pair}",
    "insert into global_aggregated_quality_detectors (data_pass_id, run_number, detector_id) values (1, {pair}, 2)",
    "delete from data_passes_runs where run_number = {pair}",
]
"""Changes that each make the summary of one pair wrong."""


def apply(db: Connection[Any], text: str) -> None:
    """Execute a script that has the Bookkeeping's own names, without the translation of statements."""
    psycopg.Cursor(db).execute(text.encode())


def install_earlier(db: Connection[Any], version: int) -> None:
    """Install an earlier version with the sources file that it had for the Bookkeeping."""
    text = (UPGRADES / f"version_{version}.sql").read_text(encoding="utf-8")
    sources = (UPGRADES / "bookkeeping" / f"{SOURCES[version]}.sql").read_text(encoding="utf-8")
    spliced, found = SOURCES_OF_REFERENCE.subn(lambda _: sources, text)
    assert found == 1
    apply(db, spliced)


def steps() -> list[Step]:
    return list(named("bookkeeping").steps())


def test_every_earlier_version_that_has_the_shape_is_tested() -> None:
    assert list(SOURCES) == list(range(2, SQL_VERSION))


@in_bookkeeping
@VERSIONS
def test_a_change_between_any_two_steps_of_an_upgrade_reaches_its_summary(
    bare_db: Connection[Any], version: int
) -> None:
    """Each change is of a pair of its own, so no other mark stands in for one that is lost."""
    rounds = len(steps()) + 1
    apply(bare_db, WORLD.format(pairs=rounds * len(CHANGES)))
    if version < 4:  # whose refresh needed names of type text
        apply(bare_db, "alter table data_passes alter name type text")
    install_earlier(bare_db, version)
    drain(bare_db)
    assert bare_db.execute("select count(*) from gaq_summaries where invalidated_at is null").fetchone() == (
        rounds * len(CHANGES),
    )
    changed = 0

    def write() -> None:
        nonlocal changed
        for change in CHANGES:
            changed += 1
            apply(bare_db, change.format(pair=changed))

    write()
    for step in steps():
        apply(bare_db, step.text)
        write()
    everything = "select count(*) from gaq.wide_invalidations where kind = 'everything'"
    assert bare_db.execute(everything).fetchone() == (0,)
    assert len(wrong(bare_db)) == changed
    assert wrong(bare_db) <= stale(bare_db)
    drain(bare_db)
    assert_fresh(bare_db)
    assert [found.what for found in doctor.examine(bare_db) if found.level == "error"] == []


@in_bookkeeping
@VERSIONS
def test_an_upgrade_gives_what_a_new_installation_gives(
    bare_db: Connection[Any], db: Connection[Any], version: int
) -> None:
    install_earlier(bare_db, version)
    for step in steps():
        apply(bare_db, step.text)
    assert objects(bare_db) == objects(db)
