"""The whole way, by the documented commands: a MariaDB with data, pgloader, install, run --once, verify; writers.

Without Debian's packages it is NOT TESTED, and says so.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import Connection

from gaq_listen.cli.main import main
from gaq_listen.dba.plan.planner import make_plan
from gaq_listen.dba.scripts import script
from tests.conftest import Server, where
from tests.database.test_golden import key
from tests.migration.mariadb import MariaDb, mariadb, pgloader
from tests.support import small_world
from tests.support.boundaries import CASES as MOVES
from tests.support.golden_cases import Scenario, scenarios
from tests.support.model import Instant
from tests.support.shapes import BOOKKEEPING, LINK
from tests.support.worker_harness import running_worker

pytestmark = pytest.mark.timeout(600)

SCHEMA = Path(__file__).with_name("bookkeeping.mariadb.sql")
# Runs 1 to len(MOVES) are for the rule of flags whose run moves.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def maria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    with mariadb(tmp_path_factory.mktemp("m")) as server:
        yield server


def written(instant: datetime | Instant | None) -> str:
    """An instant as SQL of MariaDB writes it."""
    if instant is None:
        return "NULL"
    found = instant if isinstance(instant, datetime) else EPOCH + timedelta(microseconds=instant)
    return f"'{found:%Y-%m-%d %H:%M:%S}.{found.microsecond // 1000:03}'"


def in_milliseconds(case: Scenario) -> bool:
    """Whether a datetime(3) of MariaDB can hold every instant of the case."""
    pair = case.pair
    instants = [pair.qc_time_start, pair.qc_time_end]
    instants += [each for flag in pair.flags for each in (flag.from_, flag.to, flag.created_at)]
    return all(each is None or (math.isfinite(each) and each % 1000 == 0 and each >= 0) for each in instants)


GOLDEN = {key(number): case for number, case in enumerate(scenarios()) if in_milliseconds(case)}


def golden_rows() -> Iterator[str]:
    """The golden cases, with what the original system had stored of each."""
    flag_id = 1000
    passes = sorted({data_pass for data_pass, _ in GOLDEN})
    detectors = sorted(
        {each for case in GOLDEN.values() for each in case.pair.gaq_detectors}
        | {flag.detector_id for case in GOLDEN.values() for flag in case.pair.flags}
    )
    yield "INSERT INTO detectors (id, name, type) VALUES " + ", ".join(f"({n}, 'D{n}', 'PHYSICAL')" for n in detectors)
    yield "INSERT INTO data_passes (id, name) VALUES " + ", ".join(f"({n}, 'LHC{n}')" for n in passes)
    for bad in (0, 1):
        for mcr in (0, 1):
            kind = 1 + bad + 2 * mcr
            yield (
                "INSERT INTO quality_control_flag_types"
                " (id, name, method, bad, monte_carlo_reproducible, created_by_id)"
                f" VALUES ({kind}, 'T{kind}', 'T{kind}', {bad}, {mcr}, 7)"
            )
    for run, pair in {run: case.pair for (_, run), case in GOLDEN.items()}.items():
        yield (
            "INSERT INTO runs (run_number, first_tf_timestamp, last_tf_timestamp, definition)"
            f" VALUES ({run}, {written(pair.qc_time_start)}, {written(pair.qc_time_end)}, 'PHYSICS')"
        )
    for (data_pass, run), case in GOLDEN.items():
        yield f"INSERT INTO data_passes_runs (data_pass_id, run_number) VALUES ({data_pass}, {run})"
        types = {each.id: each for each in case.pair.flag_types}
        for detector in set(case.pair.gaq_detectors):
            yield (
                "INSERT INTO global_aggregated_quality_detectors (data_pass_id, run_number, detector_id)"
                f" VALUES ({data_pass}, {run}, {detector})"
            )
        for flag in sorted(case.pair.flags, key=lambda each: each.id):
            flag_id += 1
            kind = 1 + types[flag.flag_type_id].bad + 2 * types[flag.flag_type_id].mc_reproducible
            yield (
                "INSERT INTO quality_control_flags (id, deleted, `from`, `to`, created_by_id, flag_type_id, run_number,"
                f" detector_id, created_at) VALUES ({flag_id}, {int(flag.deleted)}, {written(flag.from_)},"
                f" {written(flag.to)}, 7, {kind}, {run}, {flag.detector_id}, {written(flag.created_at)})"
            )
            yield f"INSERT INTO {LINK} (data_pass_id, quality_control_flag_id) VALUES ({data_pass}, {flag_id})"
            for _ in range(flag.verified):
                yield f"INSERT INTO quality_control_flag_verifications (flag_id, created_by_id) VALUES ({flag_id}, 7)"
        found = case.original or case.expected
        values = [found.bad, found.not_bad, found.mcr, found.missing_verifications, found.undefined_quality_periods]
        shown = ", ".join("NULL" if value is None else repr(value) for value in values)
        yield (
            "INSERT INTO gaq_summaries (data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,"
            " mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count, not_computable)"
            f" VALUES ({data_pass}, {run}, {shown}, {int(bool(found.not_computable))})"
        )


def hours(number: float | None) -> str:
    return written(None if number is None else MIDNIGHT + timedelta(hours=number))


def moving_rows() -> Iterator[str]:
    """A run of 10 hours for each case of the rule, with its flag, of no data pass."""
    for number, case in enumerate(MOVES, 1):
        yield (
            "INSERT INTO runs (run_number, time_o2_start, time_o2_end, definition)"
            f" VALUES ({number}, {hours(0)}, {hours(10)}, 'PHYSICS')"
        )
        yield (
            "INSERT INTO quality_control_flags (id, deleted, `from`, `to`, created_by_id, flag_type_id, run_number,"
            f" detector_id) SELECT {number}, {int(case.was_deleted)}, {hours(case.flag[0])}, {hours(case.flag[1])},"
            f" 7, 1, {number}, min(id) FROM detectors"
        )
        for start, end in case.periods:
            yield (
                "INSERT INTO quality_control_flag_effective_periods (flag_id, `from`, `to`)"
                f" VALUES ({number}, {hours(start)}, {hours(end)})"
            )


def windows() -> Iterator[str]:
    for number, case in enumerate(MOVES, 1):
        for start, end in case.windows:
            times = f"time_o2_start = {hours(start)}, time_o2_end = {hours(end)}"
            yield f"UPDATE runs SET {times} WHERE run_number = {number}"


def what_became(rows: list[Any]) -> dict[int, list[tuple[str, ...]]]:
    """By flag: its bounds, whether it is deleted, and the bounds of its effective periods."""
    found: dict[int, list[tuple[str, ...]]] = {}
    for number, *values in rows:
        found.setdefault(int(number), []).append(tuple("NULL" if each is None else str(each) for each in values))
    return found


BECAME = """
SELECT f.id, {hour} f.{q}from{q}), {hour} f.{q}to{q}), f.deleted{int}, {hour} p.{q}from{q}), {hour} p.{q}to{q})
FROM quality_control_flags f LEFT JOIN quality_control_flag_effective_periods p ON p.flag_id = f.id
WHERE f.run_number <= {most} ORDER BY f.id, p.id
"""


def test_mariadb_itself_does_what_the_cases_of_the_rule_say(maria: MariaDb) -> None:
    maria.run("DROP DATABASE IF EXISTS moving; CREATE DATABASE moving")
    maria.run(SCHEMA.read_text(), "moving")
    maria.run(";\n".join([*golden_rows(), *moving_rows(), *windows()]), "moving")
    came = what_became(maria.run(BECAME.format(hour="HOUR(", q="`", int="", most=len(MOVES)), "moving"))

    def said(bound: float | None) -> str:
        return "NULL" if bound is None else str(int(bound))

    expected = {
        number: [
            (*map(said, case.flag_after), str(int(case.deleted)), *map(said, period))
            for period in case.periods_after or ((None, None),)
        ]
        for number, case in enumerate(MOVES, 1)
    }
    assert came == expected


@pytest.fixture
def moved(maria: MariaDb, server: Server, tmp_path: Path) -> Iterator[Connection[Any]]:
    """The PostgreSQL database that pgloader has made with the load file that we print."""
    maria.run("DROP DATABASE IF EXISTS bookkeeping; CREATE DATABASE bookkeeping")
    maria.run(SCHEMA.read_text(), "bookkeeping")
    maria.run(";\n".join([*golden_rows(), *moving_rows()]), "bookkeeping")
    load = tmp_path / "bookkeeping.load"
    load.write_text(ask("sql", "bookkeeping.load").stdout)
    with small_world.database(server, f"moved_{server.port}_{tmp_path.name[-1]}") as connection:
        info = connection.info
        host = f"unix:{info.host}" if info.host.startswith("/") else info.host
        word = f":{info.password}" if info.password else ""
        said = pgloader(
            load,
            MARIADB=maria.url("bookkeeping"),
            MARIADB_DATABASE="bookkeeping",
            POSTGRESQL=f"postgresql://{info.user}{word}@{host}:{info.port}/{info.dbname}",
        )
        assert "ERROR" not in said, said
        yield BOOKKEEPING.speak(connection)


def ask(*words: str) -> Result:
    return CliRunner().invoke(main, words)


TYPES = """
SELECT table_name || '.' || column_name, data_type FROM information_schema.columns
WHERE table_schema = 'public' AND (table_name, column_name) IN (
    ('data_passes', 'name'), ('detectors', 'name'), ('runs', 'run_number'), ('quality_control_flags', 'from'),
    ('quality_control_flags', 'deleted'), ('gaq_summaries', 'run_number'), ('gaq_summaries', 'updated_at'))
"""
WRITES = (
    'UPDATE quality_control_flags SET "to" = "from" + interval \'1 min\' WHERE id = {flag}',
    "UPDATE quality_control_flags SET deleted = true, updated_at = now() WHERE id = {flag}",
    (
        "INSERT INTO quality_control_flags (run_number, detector_id, flag_type_id, created_by_id)"
        " SELECT {run}, detector_id, 2, 7 FROM quality_control_flags WHERE id = {flag}"
    ),
    (
        f"INSERT INTO {LINK} (data_pass_id, quality_control_flag_id)"
        " SELECT {data_pass}, max(id) FROM quality_control_flags"
    ),
    (
        "INSERT INTO quality_control_flag_verifications (flag_id, created_by_id)"
        " SELECT max(id), 7 FROM quality_control_flags"
    ),
    "UPDATE runs SET last_tf_timestamp = first_tf_timestamp + interval '30 min' WHERE run_number = {run}",
    "UPDATE quality_control_flag_types SET bad = NOT bad WHERE id = 1",
    "DELETE FROM global_aggregated_quality_detectors WHERE data_pass_id = {data_pass} AND run_number = {run}",
    "UPDATE gaq_summaries SET invalidated_at = now() WHERE data_pass_id = {data_pass}",
)


def test_the_whole_way(moved: Connection[Any]) -> None:
    """What docs/guides/adopting.md says, one command after the other; then an application that writes."""
    dsn = ["--dsn", where(moved)]
    types = dict(moved.execute(TYPES).fetchall())
    assert types == {
        "data_passes.name": "character varying",
        "detectors.name": "character varying",
        "runs.run_number": "integer",
        "quality_control_flags.from": "timestamp with time zone",
        "quality_control_flags.deleted": "boolean",
        "gaq_summaries.run_number": "integer",
        "gaq_summaries.updated_at": "timestamp with time zone",
    }
    planned = ask("install", "--plan", "--sources", "bookkeeping", *dsn)
    assert planned.exit_code == 0, planned.output
    assert planned.output.endswith("No obstacle is in the way of the installation.\n")
    with psycopg.connect(where(moved), autocommit=True) as dba:
        found = make_plan(dba, "public", "bookkeeping")
        indexes = [finding.fix for finding in found.advice if finding.what.startswith("no index")]
        assert indexes == [
            "CREATE INDEX CONCURRENTLY ON public.quality_control_flags (run_number, detector_id, id);",
            "CREATE INDEX CONCURRENTLY ON public.global_aggregated_quality_detectors (data_pass_id, run_number);",
        ]
        assert "trigger" in " ".join(warning.what for warning in found.advice)
        assert not [warning for warning in found.advice if "qc_time" in warning.what]
        for index in indexes:
            dba.execute(index.encode())
        dba.execute(script("bookkeeping_boundaries").encode())

    def well(*words: str) -> str:
        answer = ask(*words, *dsn)
        assert answer.exit_code == 0, answer.output
        return answer.output

    well("install", "--sources", "bookkeeping")
    compared = well("verify", "--original")
    assert f"{len(GOLDEN)} summaries that the application had stored, compared with ours:" in compared
    assert dict(moved.execute(TYPES).fetchall()) == types
    moved.execute("UPDATE gaq_summaries SET invalidated_at = now()")
    well("run", "--once")
    assert f"{len(GOLDEN)} of {len(GOLDEN)} pairs compared: none differs" in well("verify", "--all")
    assert well("verify", "--original") == compared
    assert well("doctor").strip()
    small_world.assert_fresh(moved)

    (flag, data_pass, run) = moved.execute(
        "SELECT id, data_pass_id, run_number FROM gaq.source_flags WHERE starts IS NOT NULL ORDER BY id LIMIT 1"
    ).fetchall()[0]
    statements = [statement.format(flag=flag, data_pass=data_pass, run=run) for statement in WRITES]
    asyncio.run(written_while_a_worker_runs(moved, statements))


async def written_while_a_worker_runs(moved: Connection[Any], statements: Sequence[str]) -> None:
    """Write as the application does, one by one and then all at once; the worker keeps every summary right."""
    async with running_worker(where(moved)) as work:
        for statement in statements:
            moved.execute(statement.encode())
            await work.until(lambda: small_world.marks(moved) == (0, 0))
            small_world.assert_fresh(moved)
        for statement in statements:
            moved.execute(statement.encode())
        await work.until(lambda: small_world.marks(moved) == (0, 0))
        small_world.assert_fresh(moved)


def test_flags_follow_their_runs_after_the_move_as_before(maria: MariaDb, moved: Connection[Any]) -> None:
    """The same changes of run times in both databases, and what became of the flags."""
    moved.execute(script("bookkeeping_boundaries").encode())
    moved.execute("SET timezone = 'UTC'")
    for statement in windows():
        maria.run(statement, "bookkeeping")
        moved.execute(statement.encode())
    before = maria.run(BECAME.format(hour="HOUR(", q="`", int="", most=len(MOVES)), "bookkeeping")
    after = moved.execute(
        BECAME.format(hour="extract(hour from", q='"', int="::int", most=len(MOVES)).encode()
    ).fetchall()
    assert what_became(after) == what_became(before)


def test_pgloader_by_itself_fails(maria: MariaDb, server: Server, tmp_path: Path) -> None:
    """The reason for a load file. When this test fails, a pgloader has come that needs less of it."""
    maria.run("DROP DATABASE IF EXISTS bare; CREATE DATABASE bare")
    maria.run(SCHEMA.read_text(), "bare")
    load = tmp_path / "bare.load"
    with small_world.database(server, f"bare_{server.port}_{tmp_path.name[-1]}") as connection:
        host = f"unix:{connection.info.host}" if connection.info.host.startswith("/") else connection.info.host
        target = f"postgresql://{connection.info.user}@{host}:{connection.info.port}/{connection.info.dbname}"
        load.write_text(f"LOAD DATABASE FROM {maria.url('bare')} INTO {target};")
        assert 'invalid input syntax for type timestamp with time zone: "current_timestamp(3)"' in pgloader(load)
