"""Test that the period of the demo is the same for the same seed, and realistic."""

from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from gaq_listen.demo.period import Flag, fill

TABLES = (
    "runs",
    "detectors",
    "run_detectors",
    "data_passes",
    "data_pass_runs",
    "qc_flag_types",
    "qc_flags",
    "qc_flag_verifications",
    "gaq_detectors",
)


def rows(db: Connection[Any], query: str) -> list[tuple[Any, ...]]:
    return db.execute(query.encode()).fetchall()


def value(db: Connection[Any], query: str) -> Any:
    [[found]] = rows(db, query)
    return found


def contents(db: Connection[Any]) -> dict[str, list[tuple[Any, ...]]]:
    found = {table: rows(db, f"select * from {table} t order by t") for table in TABLES}
    db.execute("truncate runs, detectors, data_passes, qc_flag_types restart identity cascade")
    return found


def test_period_same_seed_gives_the_same_rows(bare_db: Connection[Any]) -> None:
    first = fill(bare_db, seed=7, runs_per_pass=5), contents(bare_db)
    again = fill(bare_db, seed=7, runs_per_pass=5), contents(bare_db)
    other = fill(bare_db, seed=8, runs_per_pass=5), contents(bare_db)
    assert first == again
    assert first != other


@pytest.mark.parametrize("size", [1, 40, 100])
def test_period_has_the_given_number_of_runs(bare_db: Connection[Any], size: int) -> None:
    period = fill(bare_db, runs_per_pass=size)
    assert len(period.data_passes) == 6
    counts = rows(bare_db, "select data_pass_id, count(*) from data_pass_runs group by 1")
    assert sorted(counts) == [(id_, size) for id_ in range(1, 7)]


def test_period_describes_the_inserted_rows(bare_db: Connection[Any]) -> None:
    period = fill(bare_db)
    assert [(p.id, p.name) for p in period.data_passes] == rows(bare_db, "select id, name from data_passes order by id")
    in_pass = {(p.id, number) for p in period.data_passes for number in p.run_numbers}
    assert in_pass == set(rows(bare_db, "select data_pass_id, run_number from data_pass_runs"))
    assert [(r.number, r.start, r.end) for r in period.runs.values()] == rows(
        bare_db, "select run_number, qc_time_start, qc_time_end from runs order by 1"
    )
    assert {(r.number, d) for r in period.runs.values() for d in r.detectors} == set(
        rows(bare_db, "select run_number, detector_id from run_detectors")
    )
    assert period.flags == [
        Flag(id_, (data_pass_id, run_number), *rest)
        for id_, data_pass_id, run_number, *rest in rows(
            bare_db,
            "select id, data_pass_id, run_number, detector_id, flag_type_id, deleted from qc_flags"
            " where data_pass_id is not null order by id",
        )
    ]
    spare = {(p.id, number) for p in period.data_passes for number in p.spare_run_numbers}
    assert len(spare) == 2 * 6
    assert not spare & in_pass


@pytest.mark.parametrize(("beam_type", "detectors"), [("pp", "FT0,ITS,TPC"), ("PbPb", "FT0,ITS,TPC,ZDC")])
def test_period_gaq_detectors_depend_on_the_beam_type(bare_db: Connection[Any], beam_type: str, detectors: str) -> None:
    fill(bare_db)
    listed = rows(
        bare_db,
        "select string_agg(d.name, ',' order by d.name)"
        " from data_pass_runs p join runs using (run_number)"
        " left join gaq_detectors g using (data_pass_id, run_number) left join detectors d on d.id = g.detector_id"
        f" where pdp_beam_type = '{beam_type}' group by data_pass_id, run_number",
    )
    assert listed == [(detectors,)] * 120


def test_period_runs_are_realistic(bare_db: Connection[Any]) -> None:
    fill(bare_db)
    assert value(bare_db, "select count(*) from runs") == 4 * 42
    shortest, longest = rows(
        bare_db, "select min(qc_time_end - qc_time_start), max(qc_time_end - qc_time_start) from runs"
    )[0]
    assert timedelta(minutes=2) < shortest < longest < timedelta(hours=10, minutes=1)
    without_tf = "first_tf_timestamp is null and last_tf_timestamp is null"
    assert value(bare_db, f"select count(*) from runs where {without_tf} and time_trg_start is not null") > 3
    assert value(bare_db, f"select count(*) from runs where {without_tf} and time_trg_start is null") > 0
    assert (
        value(bare_db, "select count(*) from data_pass_runs join runs using (run_number) where qc_time_end is null")
        == 2
    )
    disorderly = "select count(*) from (select *, lag(qc_time_end) over (order by run_number) previous from runs) r"
    assert value(bare_db, f"{disorderly} where qc_time_start < previous or qc_time_end <= qc_time_start") == 0


def test_period_flags_are_realistic(bare_db: Connection[Any]) -> None:
    period = fill(bare_db)
    flags = value(bare_db, "select count(*) from qc_flags")

    def share(condition: str) -> float:
        return float(value(bare_db, f"select count(*) from qc_flags f where {condition}") / flags)

    good = "flag_type_id = (select id from qc_flag_types where name = 'Good')"
    assert share(f'{good} and "from" is null and "to" is null') > 0.7
    assert 0.1 < share(f"not {good}") < 0.25
    assert 0.3 < share("exists (select from qc_flag_verifications v where v.flag_id = f.id)") < 0.37
    assert 0.01 < share("deleted") < 0.05
    assert 0 < share("data_pass_id is null") < 0.02
    assert share('"from" is null and "to" is not null') > 0
    assert share('"from" is not null and "to" is null') > 0

    run = "(select {} from runs r where r.run_number = f.run_number)"
    assert share(f'"from" < {run.format("qc_time_start")} or "to" > {run.format("qc_time_end")}') == 0
    assert share('"from" >= "to"') == 0
    there = "(select from run_detectors d where d.run_number = f.run_number and d.detector_id = f.detector_id)"
    assert share(f"not exists {there}") == 0
    corrected = "(select from qc_flags o where o.created_at > f.created_at and {})".format(
        "(o.data_pass_id, o.run_number, o.detector_id) = (f.data_pass_id, f.run_number, f.detector_id)"
    )
    assert share(f'"from" is not null and exists {corrected}') > 0.01
    assert {flag.pair[0] for flag in period.flags} == {p.id for p in period.data_passes}


def test_period_new_rows_get_new_ids(bare_db: Connection[Any]) -> None:
    period = fill(bare_db, runs_per_pass=2)
    run = next(iter(period.runs))
    for insert in (
        f"insert into qc_flags (run_number, detector_id, flag_type_id) values ({run}, 1, 9)",
        "insert into qc_flag_types (name, bad) values ('New', true)",
        "insert into detectors (name) values ('FIT')",
        "insert into data_passes (name) values ('LHC26a_apass1')",
        "insert into qc_flag_verifications (flag_id) values (1)",
    ):
        assert bare_db.execute(insert.encode()).rowcount == 1


def test_period_summaries_are_mostly_good(db: Connection[Any]) -> None:
    fill(db)
    db.execute("call gaq.drain()")
    pairs, not_computable, good, mixed = rows(
        db,
        "select count(*), count(*) filter (where not_computable), avg(explicitly_not_bad_run_coverage),"
        " count(*) filter (where mc_reproducible_coverage > 0 and bad_run_coverage > 0) from gaq_summaries",
    )[0]
    assert (pairs, not_computable) == (240, 2)
    assert 0.6 < good < 0.9
    assert mixed > 0
