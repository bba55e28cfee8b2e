"""Readers get the same answers from a standby as from the primary, although no session can write there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gaq_listen.cli.main import main
from gaq_listen.dba.scripts import script
from gaq_listen.dba.sources import shipped
from tests.database.test_live import CHANGES
from tests.database.test_periods import added_up, periods
from tests.faults.conftest import NewServer
from tests.faults.replication import caught_up, follow
from tests.faults.server import Server
from tests.support import small_world
from tests.support.shapes import BOOKKEEPING_EASED, SHAPES, Shape
from tests.support.small_period import BAD_FLAG
from tests.support.tables import computed, drain
from tests.support.uncomputable_pairs import ERROR, poison

READER = "gaq_standby_reader"
VALUES = "bad_run_coverage, explicitly_not_bad_run_coverage, missing_verifications_count, computed_now, error"


@pytest.fixture
def standby(new_server: NewServer) -> Server:
    """Start a standby of a primary with one stale run, one run that cannot be computed, and no worker."""
    primary, other = new_server(), new_server()
    primary.start()
    follow(primary, other)
    with primary.connect() as connection:
        connection.execute(f"create role {READER} login; grant gaq_reader to {READER}".encode())
        connection.execute(BAD_FLAG, (1, 503))
        drain(connection)
        connection.execute(BAD_FLAG, (1, 501))
        poison(connection, 1, 502)
    caught_up(primary, other)
    return other


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_live_summaries_are_right_on_a_standby(new_server: NewServer, shape: Shape) -> None:
    """Stored summaries on the standby are wrong. Live ones agree with the model of the standby's rows."""
    primary, other = new_server(), new_server()
    primary.start()
    follow(primary, other)
    primary.ask("create database another")
    with primary.connect(dbname="another") as connection:
        eased = BOOKKEEPING_EASED if shape.name == "bookkeeping" else ""
        for text in (script(shape.tables), eased, *(step.text for step in shipped()[shape.name].steps())):
            connection.execute(text.encode())
        connection.execute("reset all; reset role")
        small_world.build(shape.speak(connection))
        for change in CHANGES[:4]:
            connection.execute(change.encode())
    caught_up(primary, other)
    with other.connect(dbname="another") as reading:
        wrong, stale, live_wrong = small_world.judge(shape.speak(reading))
        assert {small_world.A, small_world.B} <= wrong <= stale
        assert live_wrong == set()
        found = {key: added_up(periods(reading, key)) for key in small_world.pairs(reading)}
        assert found == computed(reading, list(found))
        qualities = reading.execute("select count(*) from gaq.detector_qualities(1, array[101, 102])").fetchone()
        assert qualities == (3,), "one detector of run 102 is no GAQ detector any more"


def ask(standby: Server, *words: str) -> Result:
    return CliRunner().invoke(main, words, env={"GAQ_LISTEN_DSN": standby.dsn(user=READER), "COLUMNS": "100"})


def test_a_standby_answers_all_queries_of_readers(standby: Server) -> None:
    with standby.connect(user=READER) as reader:
        assert reader.execute("select pg_is_in_recovery()").fetchone() == (True,)
        periods = reader.execute("select quality from gaq.periods(1, 501)").fetchall()
        assert periods == [("bad",)]
        rows = reader.execute(f"select run_number, {VALUES} from gaq.live_summaries(1) order by 1".encode()).fetchall()
        assert rows[0] == (501, 1.0, 0.0, 2, True, None)
        assert rows[1][:5] == (502, 0.0, 1.0, 2, False)
        assert ERROR in rows[1][5]
        assert [row[1:] for row in rows[2:]] == [(1.0, 0.0, 2, False, None)] + [(0.0, 1.0, 2, False, None)] * 2
        assert reader.execute("select runs, stale from gaq.data_pass_summaries order by data_pass_id").fetchall() == [
            (5, 2),
            (5, 0),
        ]


def test_the_commands_of_readers_work_on_a_standby(standby: Server, tmp_path: Path) -> None:
    shown = ask(standby, "show", "LHC22o_apass7", "--live", "--json")
    assert shown.exit_code == 0, shown.output
    assert [each["computed_now"] for each in json.loads(shown.stdout)["summaries"]] == [
        True,
        False,
        False,
        False,
        False,
    ]
    listed = ask(standby, "show", "LHC22o_apass7", "501", "504", "--not-bad", ">=0.5", "--list", "--live")
    assert (listed.exit_code, listed.stdout) == (0, "504\n"), listed.output
    refused = ask(standby, "show", "LHC22o_apass7", "--list", "--live")
    assert refused.exit_code == 1
    assert "1 of 5 runs is stale (502) and cannot be computed now" in refused.stderr
    changed = ask(standby, "changes", "LHC22o_apass7", "503", "--json")
    assert changed.exit_code == 0, changed.output
    assert [(each["good_before"], each["good_after"]) for each in json.loads(changed.stdout)][-1] == (1.0, 0.0)
    drawn = ask(standby, "show", "LHC22o_apass7", "--live", "--save", str(tmp_path / "pass.svg"))
    assert drawn.exit_code == 0, drawn.output
    assert "501 all: bad 100.0 %" in (tmp_path / "pass.svg").read_text()
    explained = ask(standby, "explain", "LHC22o_apass7", "501", "--json")
    assert explained.exit_code == 0, explained.output
    assert [period["quality"] for period in json.loads(explained.stdout)["periods"]] == ["bad"]
