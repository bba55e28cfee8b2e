"""Conditions that the doctor finds, and that disappear when its fix is executed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection

from gaq_listen.dba import doctor
from gaq_listen.dba.scripts import INSTALL_SCRIPTS, script


@pytest.fixture
def undone(db: Connection[Any]) -> Iterator[Connection[Any]]:
    """Open a transaction that is rolled back, with its changes to the roles of the server."""
    with db.transaction(force_rollback=True):
        yield db


CONDITIONS = [
    # installed objects
    ("drop trigger gaq_delete on runs", "trigger gaq_delete on public.runs is missing"),
    ("alter table qc_flags disable trigger gaq_insert", "trigger gaq_insert on public.qc_flags is disabled"),
    ("alter table runs enable trigger gaq_update", "trigger gaq_update on public.runs is not ENABLE ALWAYS"),
    ("alter table runs enable replica trigger gaq_update", "trigger gaq_update on public.runs is not ENABLE ALWAYS"),
    (
        (
            "create or replace trigger gaq_truncate after truncate on runs"
            " for each statement when (current_user <> 'me') execute function gaq.mark_everything();"
            " alter table runs enable always trigger gaq_truncate"
        ),
        "trigger gaq_truncate on public.runs was altered",
    ),
    (
        "create trigger again after truncate on runs for each statement execute function gaq.mark_everything()",
        "trigger again on public.runs is not ours",
    ),
    ("drop procedure gaq.drain(int)", "function gaq.drain(IN max_pairs integer) is missing"),
    (
        "create or replace function gaq.bell_key() returns bigint language sql immutable parallel safe return 1",
        "function gaq.bell_key() was altered",
    ),
    ("drop view gaq.status", "could not check stale pairs"),
    ("drop view gaq.status", "view gaq.status is missing"),
    ("drop index gaq.invalidations_by_age", "index gaq.invalidations_by_age is missing"),
    (
        "drop index gaq.invalidations_by_age; create index invalidations_by_age on gaq.invalidations (cause)",
        "index gaq.invalidations_by_age was altered",
    ),
    ("set role gaq_owner; create table gaq.notes (x int); reset role", "table gaq.notes is not ours"),
    (
        (
            "set role gaq_owner; create function gaq.f() returns int language sql return 1;"
            " revoke execute on function gaq.f() from public; reset role"
        ),
        "function gaq.f() is not ours",
    ),
    ("delete from gaq.installed_objects", "the database has no record of the installed objects"),
    # owners
    ("alter function gaq.ring() owner to pg_monitor", "function gaq.ring() belongs to pg_monitor"),
    ("alter procedure gaq.drain owner to pg_monitor", "function gaq.drain(IN max_pairs integer) belongs to pg_monitor"),
    ("alter view gaq_summaries owner to pg_monitor", "view public.gaq_summaries belongs to pg_monitor"),
    ("alter schema gaq owner to pg_monitor", "schema gaq belongs to pg_monitor"),
    # things attached
    (
        (
            "create trigger mine after insert on gaq.invalidations"
            " for each row execute function suppress_redundant_updates_trigger()"
        ),
        "trigger mine on gaq.invalidations is not ours",
    ),
    (
        "create rule mine as on delete to gaq.invalidations do also select 1",
        "rule mine on gaq.invalidations is not ours",
    ),
    ("alter table gaq.summaries enable row level security", "row-level security on gaq.summaries is not ours"),
    (
        "alter table gaq.invalidations add constraint fk foreign key (run_number) references runs",
        "foreign key fk on gaq.invalidations is not ours",
    ),
    ("set role gaq_owner; create sequence gaq.numbers; reset role", "sequence gaq.numbers is not ours"),
    # rights given
    ("grant execute on function gaq.ring() to public", "PUBLIC has EXECUTE on routine gaq.ring()"),
    ("grant usage, create on schema gaq to pg_monitor", "pg_monitor has CREATE, USAGE on schema gaq"),
    ("grant delete on gaq.invalidations to gaq_worker", "gaq_worker has DELETE on table gaq.invalidations"),
    ("grant select (cause) on gaq.invalidations to pg_monitor", "pg_monitor has SELECT on table gaq.invalidations"),
    # rights needed
    ("revoke execute on function gaq.refresh from gaq_worker", "gaq_worker lacks EXECUTE on routine gaq.refresh("),
    ("revoke execute on function gaq.next_due from gaq_worker", "gaq_worker lacks EXECUTE on routine gaq.next_due("),
    ("revoke select on gaq_summaries from gaq_reader", "gaq_reader lacks SELECT on table public.gaq_summaries"),
    ("revoke usage on schema gaq from gaq_reader", "gaq_reader lacks USAGE on schema gaq"),
    ("revoke gaq_reader from gaq_worker", "gaq_worker lacks gaq_reader"),
    ("alter role gaq_worker rename to somebody", "role gaq_worker does not exist"),
    # rights on the source tables
    ("revoke select on qc_flag_types from gaq_owner", "gaq_owner cannot read id, name, bad, mc_reproducible of"),
    ("grant insert, truncate on runs to gaq_owner", "gaq_owner may INSERT, TRUNCATE on public.runs"),
    # what no trigger sees
    ("alter table qc_flags enable row level security", "row-level security is enabled on public.qc_flags"),
    ("alter table detectors enable row level security", "row-level security is enabled on public.detectors"),
    (
        (
            "alter table gaq.wide_invalidations drop constraint wide_invalidations_pkey;"
            " create publication everything for all tables"
        ),
        "gaq.wide_invalidations is published by everything without a replica identity",
    ),
    (
        "alter table gaq.invalidations replica identity nothing; create publication p for table gaq.invalidations",
        "gaq.invalidations is published by p without a replica identity",
    ),
    # indexes and autovacuum
    ("drop index qc_flag_verifications_by_flag", "no index on qc_flag_verifications (flag_id)"),
    (
        "alter table gaq_detectors drop constraint gaq_detectors_pkey",
        "no index on gaq_detectors (data_pass_id, run_number)",
    ),
    ("alter table gaq.summaries set (autovacuum_enabled = off)", "autovacuum_enabled=off, on gaq.summaries"),
]


@pytest.mark.parametrize(("provoke", "expected"), CONDITIONS)
def test_doctor_finds_a_condition_and_its_fix_works(undone: Connection[Any], provoke: str, expected: str) -> None:
    undone.execute(provoke.encode())
    (found,) = [finding for finding in doctor.examine(undone) if finding.what.startswith(expected)]
    assert found.is_fix, found.fix
    # As a DBA would, one after the other, whatever the search path; an index, here in a transaction, not concurrently.
    undone.execute("set local search_path = pg_catalog")
    for command in found.fix.replace(" CONCURRENTLY", "").partition(" -- ")[0].split("; then "):
        if command == "gaq-listen install":
            for name in INSTALL_SCRIPTS:
                undone.execute(script(name).encode())
        elif command != "gaq-listen doctor":
            undone.execute(command.encode())
    assert expected not in "\n".join(finding.what for finding in doctor.examine(undone))
