"""Run commands as processes, and check their output and exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection

from gaq_listen.cli.main import main
from tests.conftest import Connect
from tests.support.waiting import PATIENCE, until
from tests.support.worker_harness import asleep, stale

PROGRAM = str(Path(sys.executable).with_name("gaq-listen"))
BAD_FLAG = "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, 501, 1, 2)"

Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]


def environment(dsn: str) -> dict[str, str]:
    return {**os.environ, "GAQ_LISTEN_DSN": dsn, "COLUMNS": "80"}


@pytest.fixture
def run(dsn: str) -> Run:
    def run_program(*words: str, **options: Any) -> Result:
        return subprocess.run(
            [PROGRAM, *words],
            env=environment(dsn) | options,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_program


def shown_runs(answer: Result) -> list[int]:
    """Return the run numbers in the table that ``show`` has printed."""
    assert answer.returncode == 0, answer.stderr
    return [int(number) for number in re.findall(r"^(\d+)  ", answer.stdout, re.MULTILINE)]


def test_status_exits_with_1_while_a_pair_is_stale(run: Run, period: Connection[Any]) -> None:
    fresh = run("status")
    assert fresh.returncode == 0
    assert "FRESH" in fresh.stdout
    period.execute(BAD_FLAG.encode())
    stale = run("status", "--json", "--objective", "0s")
    assert stale.returncode == 1
    report = json.loads(stale.stdout)
    assert report["stale_pairs"] == 1
    assert report["good"] is False
    assert report["seconds_stale"] > 0
    assert run("status", "--objective", "1h").returncode == 0


def test_status_reports_a_disabled_trigger(run: Run, period: Connection[Any]) -> None:
    period.execute("alter table qc_flags disable trigger gaq_insert")
    answer = run("status")
    assert answer.returncode == 1
    assert "1 NOT" in answer.stdout


def test_show_prints_a_data_pass_by_name_or_id(run: Run, period: Connection[Any]) -> None:
    period.execute(BAD_FLAG.encode())
    by_name = run("show", "LHC22o_apass7")
    assert by_name.returncode == 0
    assert shown_runs(by_name) == [501, 502, 503, 504, 505]
    assert re.search(r"502 +─+ +100\.0 +0\.0 +0\.0 +2 +0 +fresh", by_name.stdout)
    assert re.search(r"501 .* stale \d\d-\d\d \d\d:\d\d:\d\d", by_name.stdout)
    assert run("show", "1").stdout == by_name.stdout
    assert shown_runs(run("show", "1", "502", "505")) == [502, 505]
    assert shown_runs(run("show", "1", "--stale")) == [501]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["show", "LHC22x"], 2, "no data pass has the name or id 'LHC22x'"),
        (["show", "1", "999"], 2, "not in this data pass: run 999"),
        (["show", "1", "many"], 2, "'many' is not a valid integer"),
        (["run", "--debounce", "soon"], 2, "not a duration"),
        (["run", "--debounce", "5s"], 2, "must not be shorter"),
        (["sql", "nothing"], 2, "20_sources"),
        (["status", "--dsn", "host=/nonexistent"], 3, "cannot connect"),
        (["run", "--dsn", "host=/nonexistent"], 3, "cannot connect"),
        (["status", "--dsn", "no=such password=s3cret"], 2, "not a PostgreSQL connection string"),
    ],
)
def test_a_wrong_option_or_server_ends_with_one_sentence(
    run: Run, period: Connection[Any], words: list[str], code: int, message: str
) -> None:
    answer = run(*words)
    assert answer.returncode == code
    assert message in " ".join(answer.stderr.split())
    assert not answer.stdout
    assert "Traceback" not in answer.stderr
    assert "s3cret" not in answer.stderr


@pytest.mark.parametrize("command", ["status", "run"])
def test_commands_without_a_dsn_say_so_if_no_server_answers(run: Run, tmp_path: Path, command: str) -> None:
    answer = run(command, GAQ_LISTEN_DSN="", PGHOST=str(tmp_path))
    assert answer.returncode == 3
    assert "neither --dsn nor GAQ_LISTEN_DSN names a server" in " ".join(answer.stderr.split())
    assert "names a server" not in run(command, GAQ_LISTEN_DSN=f"host={tmp_path}").stderr


def test_commands_without_an_installation_name_install(run: Run, bare_dsn: str) -> None:
    for words in (["status"], ["show", "1"], ["run", "--once"]):
        answer = run(*words, GAQ_LISTEN_DSN=bare_dsn)
        assert answer.returncode == 1
        assert "run: gaq-listen install" in answer.stderr


def test_sql_prints_only_sql(run: Run) -> None:
    names = run("sql").stdout.split()
    assert "20_sources" in names
    assert run("sql", "20_sources").stdout == CliRunner().invoke(main, ["sql", "20_sources"]).stdout
    for name in names:
        answer = CliRunner().invoke(main, ["sql", name])
        assert answer.exit_code == 0
        assert not answer.stderr
        assert answer.stdout.startswith("--")
        # Each is complete: psql applies it alone, and waits for no lock for long.
        assert name.endswith(".load") or answer.stdout.count("set lock_timeout = '3s'") == 1


def test_run_once_refreshes_everything_and_exits(run: Run, period: Connection[Any]) -> None:
    period.execute(BAD_FLAG.encode())
    answer = run("run", "--once")
    assert answer.returncode == 0
    assert "batch_refreshed pairs=1" in answer.stdout
    assert stale(period) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_the_worker_finish(period: Connection[Any], dsn: str, number: signal.Signals) -> None:
    with subprocess.Popen(
        [PROGRAM, "run"],
        env=environment(dsn),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: asleep(period))
        period.execute(BAD_FLAG.encode())
        until(lambda: stale(period) == 0)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert not err
    assert number.name in out
    assert "pairs=1" in out.splitlines()[-1]


def test_the_second_signal_ends_the_worker_at_once(period: Connection[Any], dsn: str, connect: Connect) -> None:
    other = connect()
    other.execute("lock table gaq.invalidations")
    with subprocess.Popen(
        [PROGRAM, "run"], env=environment(dsn), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        waiting = (
            "select count(*) from pg_locks join pg_stat_activity using (pid)"
            " where not granted and application_name = 'gaq-listen worker' and datname = current_database()"
        )
        until(lambda: period.execute(waiting).fetchone() != (0,))
        process.send_signal(signal.SIGINT)
        # The kernel merges a second signal with one that the process has not noticed yet.
        assert any(b" stopping " in line for line in process.stdout)
        time.sleep(0.2)
        assert process.poll() is None, "it waits for the batch in flight"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_install_and_uninstall_can_be_repeated(run: Run, bare_dsn: str, bare_db: Connection[Any]) -> None:
    bare_db.execute(
        "insert into data_passes (id, name) values (1, 'p'); insert into runs (run_number) values (7);"
        "insert into data_pass_runs values (1, 7)"
    )
    for _ in range(2):
        answer = run("install", GAQ_LISTEN_DSN=bare_dsn)
        assert answer.returncode == 0, answer.stderr
        assert not answer.stdout
        assert "applying 20_sources" in answer.stderr
    assert bare_db.execute("select data_pass_id, run_number from gaq_summaries").fetchall() == [(1, 7)]
    assert run("run", "--once", GAQ_LISTEN_DSN=bare_dsn).returncode == 0
    assert run("uninstall", GAQ_LISTEN_DSN=bare_dsn).returncode == 1, "it asks first"
    for _ in range(2):
        assert run("uninstall", "--yes", GAQ_LISTEN_DSN=bare_dsn).returncode == 0
    assert bare_db.execute("select to_regnamespace('gaq'), to_regclass('gaq_summaries')").fetchone() == (None, None)
    bare_db.execute("insert into data_passes (id, name) values (2, 'q')")
    bare_db.execute("insert into data_pass_runs values (2, 7)")


@pytest.mark.parametrize(("version", "advice"), [(1, "run: gaq-listen install"), (99, "upgrade the program")])
def test_another_sql_version_is_refused_with_advice(
    run: Run, period: Connection[Any], version: int, advice: str
) -> None:
    period.execute("update gaq.installation set version = %s", (version,))
    for words in (["status"], ["run", "--once"]):
        answer = run(*words)
        assert answer.returncode == 1
        assert advice in answer.stderr


def test_plan_changes_nothing_and_names_obstacles(run: Run, bare_dsn: str, bare_db: Connection[Any]) -> None:
    answer = run("install", "--plan", GAQ_LISTEN_DSN=bare_dsn)
    assert answer.returncode == 0, answer.stdout
    assert "SHARE ROW EXCLUSIVE" in answer.stdout
    assert max(map(len, answer.stdout.splitlines())) <= 80
    bare_db.execute("drop table gaq_detectors")
    answer = run("install", "--plan", GAQ_LISTEN_DSN=bare_dsn)
    assert answer.returncode == 1
    assert "gaq_detectors" in answer.stdout.partition("in the way")[2]
    assert bare_db.execute("select to_regnamespace('gaq')").fetchone() == (None,)


def test_doctor_reports_a_trigger_that_was_disabled(run: Run, period: Connection[Any]) -> None:
    healthy = run("doctor")
    assert healthy.returncode == 0, healthy.stdout
    assert json.loads(run("doctor", "--json").stdout) == []
    period.execute("alter table qc_flags disable trigger gaq_insert")
    answer = run("doctor")
    assert answer.returncode == 1
    assert "trigger gaq_insert on public.qc_flags is disabled" in answer.stdout
    (finding,) = json.loads(run("doctor", "--json").stdout)
    assert finding["fix"].startswith("gaq-listen install")
    assert run("install").returncode == 0
    assert run("doctor").returncode == 0


def test_install_reports_that_it_tries_a_lock_again(run: Run, bare_dsn: str, bare_db: Connection[Any]) -> None:
    with psycopg.connect(bare_dsn) as writer:
        writer.execute("insert into data_passes (id, name) values (1, 'p')")
        writer.execute("insert into runs (run_number) values (7)")
        with subprocess.Popen(
            [PROGRAM, "install"], env=environment(bare_dsn), stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            seen = []
            for line in process.stderr:
                seen.append(line)
                if "trying again" in line:
                    break
            writer.rollback()
            rest = process.stderr.read()
        assert process.returncode == 0, rest
    assert "trying again" in seen[-1]
    assert "installed" in rest


def test_install_into_another_schema_than_public(run: Run, bare_dsn: str, bare_db: Connection[Any]) -> None:
    bare_db.execute("alter schema public rename to bookkeeping")
    bare_db.execute("create schema public")
    missing = run("install", GAQ_LISTEN_DSN=bare_dsn)
    assert missing.returncode == 1
    assert "--source-schema" in missing.stderr
    answer = run("install", "--source-schema", "bookkeeping", GAQ_LISTEN_DSN=bare_dsn)
    assert answer.returncode == 0, answer.stderr
    bare_db.execute("set search_path = ''")
    bare_db.execute("insert into bookkeeping.data_passes (id, name) values (1, 'p')")
    bare_db.execute("insert into bookkeeping.runs (run_number) values (7)")
    bare_db.execute("insert into bookkeeping.data_pass_runs values (1, 7)")
    assert run("run", "--once", GAQ_LISTEN_DSN=bare_dsn).returncode == 0
    assert bare_db.execute(
        "select run_number, not_computable, invalidated_at from bookkeeping.gaq_summaries"
    ).fetchall() == [(7, True, None)]


def test_psql_applies_the_scripts_twice_in_order(bare_dsn: str, bare_db: Connection[Any]) -> None:
    """Apply each script in one transaction, as ``psql -1 -f session.sql -f FILE`` does, and all of them again."""
    directory = Path(__file__).parents[2] / "sql"
    for path in sorted(directory.glob("[0-9]*.sql")) * 2:
        with psycopg.connect(bare_dsn) as connection:
            connection.execute((directory / "session.sql").read_bytes())
            connection.execute(path.read_bytes())
            (timeout,) = connection.execute("show lock_timeout").fetchone() or ()
            assert timeout == "3s"
    assert bare_db.execute("select triggers_enabled, triggers_disabled from gaq.status").fetchone() == (
        24,
        0,
    )


def test_a_closed_stdout_stops_the_worker_without_an_error(period: Connection[Any], dsn: str) -> None:
    with subprocess.Popen(
        [PROGRAM, "run"], env=environment(dsn), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()

        def something_to_tell() -> bool:
            period.execute(BAD_FLAG.encode())
            return process.poll() is not None

        until(something_to_tell)
        assert process.stderr.read() == b""
    assert process.returncode == 0
