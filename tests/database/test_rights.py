"""Who may do what, and what an attacker among the writers can do: nothing."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection, errors, sql

from tests.conftest import Connect
from tests.support.tables import drain

FLAG = "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, 501, 1, 2)"

OF_THE_VIEW = [
    "bounds_marked_at",
    "first_placed_marks",
    "first_wide_marks",
    "keys_marked_at",
    "oldest_mark_at",
    "oldest_wide_mark",
    "which_are_marked_at",
    "wide_marks",
]
"""The routines that gaq_summaries calls with the rights of its reader."""


def _role(db: Connection[Any], connect: Connect, name: str, *grants: str) -> Iterator[Connection[Any]]:
    """A session of a login role of its own, which is gone afterwards; roles belong to the whole server."""
    role = sql.Identifier(f"{name}_{db.info.dbname}")
    db.execute(sql.SQL("create role {}").format(role))
    try:
        for grant in grants:
            db.execute(sql.SQL(grant).format(role))
        session = connect(autocommit=True)
        session.execute(sql.SQL("set session authorization {}").format(role))
        yield session
        session.close()
    finally:
        db.execute(sql.SQL("drop owned by {} cascade").format(role))
        db.execute(sql.SQL("drop role {}").format(role))


@pytest.fixture
def writer(period: Connection[Any], connect: Connect) -> Iterator[Connection[Any]]:
    """An ordinary application: it may write the source tables, and knows nothing of us."""
    yield from _role(
        period,
        connect,
        "writer",
        "grant select, insert, update, delete, truncate on runs, data_pass_runs, qc_flag_types, qc_flags,"
        " qc_flag_verifications, gaq_detectors to {}",
        "grant create, usage on schema public to {}",
    )


@pytest.fixture
def worker(period: Connection[Any], connect: Connect) -> Iterator[Connection[Any]]:
    """A worker's login role."""
    yield from _role(period, connect, "worker", "grant gaq_worker to {}")


@pytest.fixture
def reader(period: Connection[Any], connect: Connect) -> Iterator[Connection[Any]]:
    """A monitor."""
    yield from _role(period, connect, "reader", "grant gaq_reader to {}")


def marks(db: Connection[Any]) -> list[Any]:
    return db.execute("select data_pass_id, run_number, cause from gaq.invalidations").fetchall()


def test_a_writer_marks_without_any_right_on_our_schema(period: Connection[Any], writer: Connection[Any]) -> None:
    for change in (
        FLAG,
        "insert into qc_flag_verifications (flag_id) values (1)",
        "delete from gaq_detectors where (data_pass_id, run_number, detector_id) = (1, 502, 1)",
        "update runs set time_trg_end = time_o2_end - interval '5 min' where run_number = 503",
        "update qc_flag_types set bad = true where id = 1",
        "delete from data_pass_runs where (data_pass_id, run_number) = (2, 505)",
        "truncate qc_flag_verifications",
    ):
        assert period.execute("select stale_pairs from gaq.status").fetchone() == (0,)
        writer.execute(change.encode())
        assert period.execute("select stale_pairs > 0 from gaq.status").fetchone() == (True,)
        drain(period)


@pytest.mark.parametrize(
    "attempt",
    [
        "select * from gaq.summaries",
        "select * from gaq.invalidations",
        "insert into gaq.invalidations (data_pass_id, run_number, cause) values (1, 501, 'x')",
        "insert into gaq.wide_invalidations (kind, cause) values ('everything', 'x')",
        "delete from gaq.invalidations",
        "select * from gaq.refresh()",
        "call gaq.drain()",
        "select gaq.ring()",
        "select * from gaq.compute(array[1], array[501])",
        "select * from gaq_summaries",
        "update gaq_summaries set invalidated_at = now()",
        "create function gaq.theirs() returns int language sql return 1",
        "create trigger mine after insert on qc_flags for each statement execute function gaq.mark_everything()",
    ],
)
def test_a_writer_can_do_nothing_else(writer: Connection[Any], attempt: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        writer.execute(attempt.encode())


def test_every_routine_but_those_of_the_view_is_closed_to_the_public(db: Connection[Any]) -> None:
    open_ = db.execute(
        "select proname from pg_proc where pronamespace = 'gaq'::regnamespace"
        " and has_function_privilege('public', oid, 'execute') order by 1"
    ).fetchall()
    assert [name for (name,) in open_] == OF_THE_VIEW


@pytest.mark.parametrize("marks", [1, 600])
def test_a_role_that_was_given_the_view_alone_reads_it_while_wide_marks_wait(
    period: Connection[Any], writer: Connection[Any], marks: int
) -> None:
    (role,) = writer.execute("select current_user").fetchone() or ("",)
    period.execute(f"grant select on gaq_summaries to {role}".encode())
    period.execute(FLAG.encode())
    period.execute("call gaq.drain()")
    for kind, key in (("flag", "(select max(id) from qc_flags)"), ("flag type", "1"), ("run", "501")):
        period.execute(
            "insert into gaq.wide_invalidations (kind, key, cause)"
            f" select '{kind}', {key}, 'test' from generate_series(1, {marks})".encode()
        )
        question = "select invalidated_at is not null from gaq_summaries where (data_pass_id, run_number) = (1, 501)"
        assert writer.execute(question).fetchall() == [(True,)]
        period.execute("delete from gaq.wide_invalidations")
    with pytest.raises(errors.InsufficientPrivilege):
        writer.execute("select gaq.wide_marks('flag')")


def test_every_security_definer_routine_has_its_search_path(db: Connection[Any]) -> None:
    paths = db.execute(
        "select proconfig from pg_proc where pronamespace = 'gaq'::regnamespace and prosecdef"
    ).fetchall()
    assert len(paths) >= 10
    assert all("search_path=pg_catalog, pg_temp" in config for (config,) in paths)


def test_the_worker_refreshes_and_writes_no_source_table(period: Connection[Any], worker: Connection[Any]) -> None:
    period.execute(FLAG.encode())
    assert [row[2] for row in worker.execute("select * from gaq.refresh()").fetchall()] == [501]
    worker.execute("call gaq.drain()")
    assert worker.execute("select gaq.next_due()").fetchone() == (None,)
    for attempt in (
        FLAG,
        "update qc_flags set deleted = true",
        "select * from qc_flags",
        "delete from gaq.summaries",
        "update gaq.summaries set bad_run_coverage = 0",
        "insert into gaq.invalidations (data_pass_id, run_number, cause) values (1, 501, 'x')",
        "delete from gaq.invalidations",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            worker.execute(attempt.encode())


def test_the_reader_reads_and_does_nothing(reader: Connection[Any]) -> None:
    assert reader.execute("select count(*) from gaq_summaries").fetchone() == (10,)
    assert reader.execute("select stale_pairs from gaq.status").fetchone() == (0,)
    assert reader.execute("select count(*) > 20 from gaq.list_objects()").fetchone() == (True,)
    for attempt in ("select * from gaq.refresh()", "update gaq_summaries set invalidated_at = now()"):
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute(attempt.encode())


def test_an_application_may_be_given_the_right_to_ask(period: Connection[Any], writer: Connection[Any]) -> None:
    role = sql.Identifier(f"writer_{period.info.dbname}")
    period.execute(
        sql.SQL(
            "grant select, update (invalidated_at), insert (data_pass_id, run_number) on gaq_summaries to {}"
        ).format(role)
    )
    writer.execute("update gaq_summaries set invalidated_at = now() where data_pass_id = 1 and run_number = 501")
    writer.execute("insert into gaq_summaries (data_pass_id, run_number) values (1, 502) on conflict do nothing")
    assert marks(period) == [(1, 501, "by hand"), (1, 502, "by hand")]
    with pytest.raises(errors.InsufficientPrivilege):
        writer.execute("update gaq_summaries set bad_run_coverage = 0")


def test_what_a_writer_plants_is_not_called(period: Connection[Any], writer: Connection[Any]) -> None:
    """Functions, operators and tables with our names or PostgreSQL's, first in the writer's own path."""
    writer.execute(
        """
        create temp table invalidations (data_pass_id bigint, run_number bigint, cause text);
        create temp table new_rows (data_pass_id bigint, run_number bigint, deleted bool);
        create function public.pg_try_advisory_xact_lock_shared(bigint) returns bool language plpgsql
            as $$ begin raise exception 'planted'; end $$;
        create function public.pg_notify(text, text) returns void language plpgsql
            as $$ begin raise exception 'planted'; end $$;
        create function public.planted(bigint, bigint) returns bool language plpgsql
            as $$ begin raise exception 'planted as %', current_user; end $$;
        create operator public.= (leftarg = bigint, rightarg = bigint, function = public.planted);
        set search_path = public, pg_temp, pg_catalog;
        """
    )
    writer.execute(FLAG.encode())
    writer.execute("insert into qc_flag_verifications (flag_id) values (1)")
    assert marks(period) == [(1, 501, "flag")]
    period.execute("set search_path = public, pg_catalog")
    drain(period)
    assert period.execute("select stale_pairs from gaq.status").fetchone() == (0,)


def test_row_level_security_is_an_error_rather_than_a_wrong_value(
    period: Connection[Any], worker: Connection[Any]
) -> None:
    period.execute("alter table qc_flags enable row level security")
    period.execute(FLAG.encode())
    ((error, after),) = worker.execute("select error, good_after from gaq.refresh()").fetchall()
    assert "row-level security" in error
    assert after is None
    assert marks(period) == [(1, 501, "flag")]


def test_a_stranger_with_the_bells_lock_holds_nobody_up(
    period: Connection[Any], writer: Connection[Any], worker: Connection[Any], connect: Connect
) -> None:
    stranger = connect(autocommit=True)
    for lock in ("pg_advisory_lock", "pg_advisory_lock_shared"):
        stranger.execute(f"select {lock}(7449359913134156908)")
        writer.execute("set lock_timeout = '5s'")
        writer.execute(FLAG.encode())
        assert len(worker.execute("select * from gaq.refresh()").fetchall()) == 1
        stranger.execute("select pg_advisory_unlock_all()")


def test_pairs_of_absurd_numbers_fold_to_nothing(period: Connection[Any]) -> None:
    for pair in ((2**63 - 1, -(2**63)), (0, 0), (-1, 10**18)):
        period.execute("insert into gaq_summaries (data_pass_id, run_number) values (%s, %s)", pair)
    drain(period)
    assert period.execute("select count(*), count(invalidated_at) from gaq_summaries").fetchone() == (10, 0)
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        period.execute("insert into gaq_summaries (data_pass_id, run_number) values (9223372036854775808, 1)")
