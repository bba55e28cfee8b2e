"""Run each command under unusual settings of the session, and expect the same answer and exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import Connection, errors, sql

from gaq_listen.cli.main import main
from gaq_listen.db import sessions
from gaq_listen.dba.scripts import script
from gaq_listen.dba.sources import shipped
from tests.conftest import Connect, Server
from tests.support.small_period import BAD_FLAG, PERIOD

PROGRAM = str(Path(sys.executable).with_name("gaq-listen"))

COMMANDS: list[tuple[str, int]] = [
    ("recalculate 1 --runs 501", 0),
    ("status --objective 0s", 1),
    ("status --json --objective 1h", 0),
    ("explain 1 501", 0),
    ("run --once --log-format plain", 0),
    ("status", 0),
    ("show 1", 0),
    ("show LHC22o_apass7 --json", 0),
    ("explain LHC22o_apass7 502", 0),
    ("show 1 --csv", 0),
    ("verify --all", 0),
    ("failures", 0),
    ("pause --wait", 0),
    ("status", 0),
    ("resume", 0),
    ("show LHC22o_apass7 --live", 0),
    ("show LHC22o_apass7 --list --live", 0),
    ("changes LHC22o_apass7", 0),
    ("explain LHC22o_apass7 501 --json", 0),
    ("install --plan", 0),
    ("install", 0),
    ("doctor", 0),
]
"""The commands in the order in which they run, each with its exit code."""
SHOWN = "show LHC22o_apass7 --json"

SETTINGS: list[tuple[str, str]] = [
    ("DateStyle", "German, DMY"),
    ("DateStyle", "SQL, MDY"),
    ("DateStyle", "Postgres, YMD"),
    ("IntervalStyle", "sql_standard"),
    ("TimeZone", "Asia/Kolkata"),
    ("extra_float_digits", "-15"),
    ("client_encoding", "LATIN1"),
    ("standard_conforming_strings", "off"),
    ("quote_all_identifiers", "on"),
    ("search_path", "nowhere"),
    ("row_security", "off"),
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_read_only", "on"),
    ("statement_timeout", "200ms"),
    ("lock_timeout", "1ms"),
    ("transaction_timeout", "200ms"),
    ("idle_in_transaction_session_timeout", "50ms"),
    ("idle_session_timeout", "50ms"),
    ("track_activities", "off"),
    ("bytea_output", "escape"),
    ("xmloption", "document"),
]
ENVIRONMENT: list[tuple[str, str]] = [
    ("PGAPPNAME", "our worker"),
    ("PGCLIENTENCODING", "LATIN1"),
    ("PGDATESTYLE", "German"),
    ("PGTZ", "America/New_York"),
    ("PGOPTIONS", "-c intervalstyle=iso_8601 -c extra_float_digits=0"),
]


def call(dsn: str, command: str, **environment: str) -> Result:
    runner = CliRunner(env={"GAQ_LISTEN_DSN": dsn, "COLUMNS": "80", **environment})
    return runner.invoke(main, command.split())


def check_all(dsn: str, **environment: str) -> dict[str, str]:
    """Run each command. Return what each has printed."""
    said = {}
    for command, code in COMMANDS:
        answer = call(dsn, command, **environment)
        assert answer.exception is None or isinstance(answer.exception, SystemExit), (command, answer.exception)
        assert answer.exit_code == code, (command, answer.output)
        said[command] = answer.stdout
    return said


@contextmanager
def configured(db: Connection[Any], name: str, value: str) -> Iterator[None]:
    """Set a setting of the database, for sessions that begin within the context."""
    target = sql.Identifier(db.info.dbname)
    try:
        db.execute(sql.SQL("alter database {} set {} = {}").format(target, sql.SQL(name), sql.Literal(value)))
    except errors.UndefinedObject:
        pytest.skip(f"PostgreSQL {db.info.server_version // 10000} has no setting {name}")
    yield
    db.execute(sql.SQL("alter database {} reset {}").format(target, sql.SQL(name)))


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_settings_of_the_database_change_no_command(period: Connection[Any], dsn: str, name: str, value: str) -> None:
    # A third, which no short number is.
    period.execute("""update qc_flags set "to" = '2026-01-01 04:20Z' where run_number = 502 and detector_id = 1""")
    period.execute("call gaq.drain()")
    usual = values(call(dsn, SHOWN).stdout)
    exactly = "select explicitly_not_bad_run_coverage from gaq_summaries where (data_pass_id, run_number) = (1, 502)"
    assert period.execute(exactly.encode()).fetchall() == [(usual[0]["explicitly_not_bad_run_coverage"],)] == [(1 / 3,)]
    period.execute("set default_transaction_read_only = off")
    with configured(period, name, value):
        assert values(check_all(dsn)[SHOWN]) == usual


def values(shown: str) -> list[Any]:
    """Return what is shown of the runs that no command has changed."""
    return [row for row in json.loads(shown)["summaries"] if row["run_number"] != 501]


@pytest.mark.parametrize(("name", "value"), ENVIRONMENT)
def test_libpq_variables_change_no_command(period: Connection[Any], dsn: str, name: str, value: str) -> None:
    check_all(dsn, **{name: value})


@pytest.mark.parametrize("space", ["\n", "\r\n", "  \n", "\t"])
def test_whitespace_around_the_dsn_is_ignored(period: Connection[Any], dsn: str, space: str) -> None:
    url = f"postgresql:///{period.info.dbname}?host={period.info.host}&port={period.info.port}&user={period.info.user}"
    for given in (url, dsn):
        assert call(space + given + space, "status").exit_code == 0


@pytest.fixture
def sql_ascii(server: Server) -> Iterator[str]:
    """Create a database without an encoding, with a byte that is not UTF-8 in a data pass and in a comment."""
    name = f"gaq_listen_test_{os.getpid()}_ascii"
    with psycopg.connect(server.dsn(server.maintenance_dbname), autocommit=True) as admin:
        admin.execute(f"create database {name} encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0")
        try:
            with psycopg.connect(server.dsn(name), autocommit=True, client_encoding="UTF8") as db:
                db.execute(script("reference_tables").encode())
                for step in shipped()["reference"].steps():
                    db.execute(step.text.encode())
                db.execute(PERIOD.encode())
                db.execute(rb"update data_passes set name = E'LHC22o_\351' where id = 2")
                db.execute(rb"update qc_flags set comment = E'caf\351', created_by = E'Andr\351'")
            yield server.dsn(name)
        finally:
            admin.execute(f"drop database {name} with (force)")


def test_commands_work_on_a_database_without_encoding(sql_ascii: str) -> None:
    check_all(sql_ascii)
    assert "LHC22o_\N{REPLACEMENT CHARACTER}" in call(sql_ascii, "show 2").stdout
    assert "caf\N{REPLACEMENT CHARACTER}" in call(sql_ascii, "explain 2 502").stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("words", ["show 1", "explain 1 501", "status", "doctor", "--help", "run --once"])
def test_output_in_another_encoding_has_stand_ins(period: Connection[Any], dsn: str, encoding: str, words: str) -> None:
    period.execute("update data_passes set name = 'LHC22o_\u03bb' where id = 1")
    period.execute("call gaq.drain()")
    answer = subprocess.run(
        [PROGRAM, *words.split()],
        env={**os.environ, "GAQ_LISTEN_DSN": dsn, "COLUMNS": "80", "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    text = answer.stdout.decode(encoding)
    if words.startswith(("show", "explain")):
        assert "LHC22o_\\u03bb" in text
    assert b"Traceback" not in answer.stderr


def test_json_in_ascii_keeps_names(period: Connection[Any], dsn: str) -> None:
    period.execute("update data_passes set name = 'LHC22o_\u03bb' where id = 1")
    period.execute(BAD_FLAG, (1, 501))
    answer = subprocess.run(
        [PROGRAM, "run", "--once", "--log-format", "json"],
        env={**os.environ, "GAQ_LISTEN_DSN": dsn, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [line["pairs"][0]["data_pass"] for line in lines if line["event"] == "batch_refreshed"] == ["LHC22o_\u03bb"]


def test_a_lock_timeout_does_not_count_as_lost_connection(
    period: Connection[Any], dsn: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_FIX_SETTINGS", sessions._FIX_SETTINGS.replace("'10s'", "'100ms'"))
    other = connect()
    other.execute("lock table gaq.summaries in access exclusive mode")
    answer = call(dsn, "status")
    assert answer.exit_code == 1
    assert "the database refused: canceling statement due to lock timeout (another session holds" in answer.stderr


Grant = Callable[[str], list[str]]


@pytest.mark.parametrize(
    ("attributes", "grants", "words", "said"),
    [
        ("", [], "status", "GRANT gaq_worker TO {role}; for one who only reads: GRANT gaq_reader TO {role}"),
        ("noinherit", ["grant gaq_worker to {role}"], "status", "was given gaq_worker, but does not inherit"),
        (
            "noinherit",
            ["grant gaq_worker to {role}"],
            "run --once",
            "was given gaq_worker, but does not inherit",
        ),
        ("", ["grant gaq_reader to {role}"], "run --once", "may only read; for a worker or an operator: GRANT"),
        ("", ["grant gaq_reader to {role}"], "recalculate 1", "may only read; for a worker or an operator: GRANT"),
    ],
)
def test_the_error_names_the_right_that_a_role_lacks(
    period: Connection[Any], dsn: str, attributes: str, grants: list[str], words: str, said: str
) -> None:
    role = f"somebody_{period.info.dbname}"
    period.execute(f"create role {role} login {attributes}".encode())
    try:
        for grant in grants:
            period.execute(grant.format(role=role).encode())
        answer = call(f"{dsn} options='-c role={role}'", words)
        assert answer.exit_code == 1
        assert said.format(role=role) in answer.stderr
        # The hint is a command that works.
        hint = answer.stderr.rsplit(": ", 1)[1].rstrip(")\n")
        period.execute(hint.replace("gaq_reader", "gaq_worker").encode())
        assert call(f"{dsn} options='-c role={role}'", words).exit_code == 0
    finally:
        period.execute(f"drop role {role}".encode())


def test_the_error_names_row_level_security(period: Connection[Any], dsn: str) -> None:
    period.execute("alter table data_pass_runs enable row level security")
    period.execute("update runs set time_trg_end = time_o2_end - interval '5 min' where run_number = 503")
    answer = call(dsn, "run --once")
    assert answer.exit_code == 1
    assert "ALTER ROLE gaq_owner BYPASSRLS" in answer.stderr


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_drain_chooses_its_isolation(period: Connection[Any], connect: Connect, level: str) -> None:
    period.execute(BAD_FLAG, (1, 501))
    session = connect(autocommit=True)
    session.execute(f"set default_transaction_isolation = '{level}'".encode())
    session.execute("call gaq.drain()")
    assert period.execute("select count(*) from gaq.pending").fetchone() == (0,)
