"""Run the commands that read in this process, and check what they print, refuse and write."""

import asyncio
import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from psycopg import Connection

from gaq_listen import __version__
from gaq_listen.cli.main import main
from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.reports.status import read
from tests.database.test_rights import reader as reader
from tests.support.tables import drain
from tests.support.uncomputable_pairs import poison
from tests.support.worker_harness import running_worker

BAD_FLAG = """
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id, "from", "to", created_by)
values (1, 501, 1, 2, '2026-01-01 02:15Z', '2026-01-01 02:30Z', 'TPC expert')
"""


def ask(dsn: str, *words: str) -> Result:
    return CliRunner().invoke(main, words, env={"GAQ_LISTEN_DSN": dsn, "COLUMNS": "80"})


async def test_status_reports_workers_and_freshness(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, name="gaq-1") as work:
        period.execute(BAD_FLAG.encode())
        await work.until(lambda: period.execute("select stale_pairs from gaq.status").fetchone() == (0,))
        answer = ask(dsn, "status", "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert [(worker["name"], worker["alive"]) for worker in found["workers"]] == [("gaq-1", True)]
    assert found["refreshed"] == 10
    assert 0 < found["p50_seconds"] <= found["p99_seconds"]
    assert 0 < found["within_objective"] <= 1
    gone = ask(dsn, "status")
    assert "none is running: start one with gaq-listen run" in " ".join(gone.stdout.split())


def test_freshness_counts_refreshes_of_five_minutes(period: Connection[Any]) -> None:
    period.execute("update gaq.summaries set seconds_stale = run_number - 500.5")
    period.execute("update gaq.summaries set updated_at = now() - interval '6 min' where data_pass_id = 2")
    fresh = "select refreshed, p50_seconds, p99_seconds, within_objective from gaq.freshness('2 s')"
    assert period.execute(fresh.encode()).fetchone() == (5, 2.5, 4.5, pytest.approx(0.4))
    period.execute("update gaq.summaries set updated_at = now() - interval '6 min'")
    assert period.execute(fresh.encode()).fetchone() == (0, None, None, None)


def test_status_reports_a_pause_a_failure_and_a_lost_trigger(period: Connection[Any], dsn: str) -> None:
    period.execute(BAD_FLAG.encode())
    period.execute("select gaq.pause('upgrade', 'ops'), gaq.record_failure(1, 501, 'division by zero', '22012')")
    period.execute("drop trigger gaq_insert on qc_flags")
    answer = ask(dsn, "status")
    assert answer.exit_code == 1
    shown = " ".join(answer.stdout.split())
    assert "PAUSED by ops since" in shown
    assert "LHC22o_apass7/501, 1 time: division by zero" in shown
    assert "1 MISSING, 23 in order" in shown


def test_show_filters_sorts_and_exports(period: Connection[Any], dsn: str) -> None:
    period.execute(BAD_FLAG.encode())
    period.execute("update qc_flag_types set mc_reproducible = true where id = 2")
    drain(period)

    def runs(*words: str) -> list[int]:
        return [each["run_number"] for each in json.loads(ask(dsn, "show", "1", "--json", *words).stdout)["summaries"]]

    assert runs("--sort", "good") == [501, 502, 503, 504, 505]
    assert runs("--below", "0.9") == [501]
    assert runs("--below", "0.9", "--mc-as-not-bad") == []
    assert runs("--not-bad", "<=75%") == [501]
    assert runs("--not-bad", ">=0.95") == [502, 503, 504, 505]
    assert runs("--not-bad", ">=0.95", "--mc-as-not-bad", "--max-undefined", "0") == [501, 502, 503, 504, 505]
    rows = list(csv.DictReader(io.StringIO(ask(dsn, "show", "LHC22o_apass7", "--csv", "501").stdout)))
    assert [(row["data_pass"], row["run_number"], row["mc_reproducible_coverage"]) for row in rows] == [
        ("LHC22o_apass7", "501", "0.25")
    ]


def test_show_ends_with_totals(period: Connection[Any], dsn: str) -> None:
    period.execute(BAD_FLAG.encode())
    drain(period)
    last = " ".join(ask(dsn, "show", "1").stdout.split()).rpartition("together")[2]
    assert last.startswith(" 5 runs, 5.0 h: good 95.0 %, MC reproducible 0.0 %, bad 5.0 %, undecided 0.0 %;")
    found = json.loads(ask(dsn, "show", "1", "--json").stdout)["totals"]
    assert (found["runs"], found["hours"], found["bad_run_coverage"]) == (5, 5.0, pytest.approx(0.05))


def test_show_live_computes_stale_pairs_and_stores_nothing(period: Connection[Any], dsn: str) -> None:
    period.execute(BAD_FLAG.encode())
    poison(period, 1, 502)
    before = period.execute("select * from gaq_summaries order by 1, 2").fetchall()
    found = json.loads(ask(dsn, "show", "1", "--live", "--json").stdout)
    assert found["live"]
    assert [(each["run_number"], each["bad_run_coverage"]) for each in found["summaries"] if each["computed_now"]] == [
        (501, 0.25)
    ]
    assert [each["run_number"] for each in found["summaries"] if each["error"]] == [502]
    assert found["totals"]["stale"] == 1
    shown = ask(dsn, "show", "1", "--live").stdout
    assert re.search(r"501 .* 75\.0 .* computed now *$", shown, re.MULTILINE)
    assert re.search(r"502 .* stale ", shown)
    assert period.execute("select * from gaq_summaries order by 1, 2").fetchall() == before


def test_show_live_refuses_too_many_stale_pairs(period: Connection[Any], dsn: str) -> None:
    period.execute(
        "insert into runs (run_number) select 10000 + n from generate_series(1, 1001) n;"
        "insert into data_pass_runs select 1, 10000 + n from generate_series(1, 1001) n"
    )
    answer = ask(dsn, "show", "1", "--live")
    assert answer.exit_code == 1
    assert "1001 runs of this data pass are stale: at most 1000 are computed at once (name fewer runs" in answer.stderr
    assert ask(dsn, "show", "1", "501", "10007", "--live").exit_code == 0


def test_show_list_refuses_stale_runs(period: Connection[Any], dsn: str) -> None:
    criteria = ("--not-bad", ">=0.95", "--max-undefined", "0", "--list")
    assert ask(dsn, "show", "1", *criteria).stdout == "501,502,503,504,505\n"
    period.execute(BAD_FLAG.encode())
    refused = ask(dsn, "show", "1", *criteria)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "1 of 5 runs is stale (501), so a list could be wrong" in refused.stderr
    live = ask(dsn, "show", "1", *criteria, "--live", "--lines")
    assert (live.exit_code, live.stdout, live.stderr) == (0, "502\n503\n504\n505\n", "4 of 5 runs of LHC22o_apass7\n")
    found = json.loads(ask(dsn, "show", "1", *criteria, "--live", "--json").stdout)
    assert found["left_out"] == [{"run_number": 501, "reasons": ["not bad 0.75, not >=0.95"]}]
    assert (found["runs_considered"], found["runs_in"], found["runs_out"]) == (5, 4, 1)
    assert (found["version"], found["sql_version"], found["live"]) == (__version__, SQL_VERSION, True)


async def test_show_list_with_wait_waits_for_a_worker(period: Connection[Any], dsn: str) -> None:
    period.execute("select gaq.pause()")
    period.execute(BAD_FLAG.encode())
    asking = asyncio.create_task(asyncio.to_thread(ask, dsn, "show", "1", "--not-bad", ">0.9", "--list", "--wait"))
    async with running_worker(dsn):
        assert not asking.done()
        period.execute("select gaq.resume()")
        answer = await asking
    assert (answer.exit_code, answer.stdout) == (0, "502,503,504,505\n"), answer.output


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_show_save_draws_a_picture(period: Connection[Any], dsn: str, tmp_path: Path, suffix: str) -> None:
    period.execute(BAD_FLAG.encode())
    file = tmp_path / f"pass{suffix}"
    answer = ask(dsn, "show", "LHC22o_apass7", "501", "503", "--live", "--save", str(file))
    assert answer.exit_code == 0, answer.output
    assert (answer.stdout, answer.stderr) == ("", f"written: {file}\n")
    written = file.read_text()
    for said in (
        "LHC22o_apass7",
        "501 TPC: good 75.0 %, bad 25.0 %",
        "501 all: good 75.0 %, bad 25.0 %",
        "503 ITS: good",
    ):
        assert said in written
    assert "502" not in written
    refused = ask(dsn, "show", "LHC22o_apass7", "--save", str(tmp_path / "nowhere" / f"pass{suffix}"))
    assert (refused.exit_code, refused.stderr.partition(": ")[2][:12]) == (1, "cannot write")


def test_changes_lists_values_before_and_after_with_cause(period: Connection[Any], dsn: str) -> None:
    period.execute("delete from gaq.changes")
    assert ask(dsn, "changes").stdout == "no change in the last 1 d\n"
    period.execute(BAD_FLAG.encode())
    period.execute("select from gaq.refresh(worker => 'gaq-1')")
    answer = ask(dsn, "changes", "LHC22o_apass7", "501", "--since", "1h")
    assert answer.exit_code == 0, answer.output
    shown = " ".join(answer.stdout.split())
    assert "LHC22o_apass7 / 501 good 100.0 → 75.0 %, bad 0.0 → 25.0 %, missing verifications 2 → 3" in shown
    assert "because of: flag, by gaq-1" in shown
    (found,) = json.loads(ask(dsn, "changes", "--json").stdout)
    assert (found["data_pass"], found["run_number"], found["good_after"], found["cause"]) == (
        "LHC22o_apass7",
        501,
        0.75,
        "flag",
    )
    assert ask(dsn, "changes", "LHC23a_apass1").stdout.startswith("no change")
    explained = ask(dsn, "explain", "LHC22o_apass7", "501")
    assert "What changed last" in explained.stdout
    assert "good 100.0 → 75.0 %" in explained.stdout
    assert json.loads(ask(dsn, "explain", "1", "501", "--json").stdout)["changes"] == [found]


def test_changes_keep_sets_and_reports_the_retention(period: Connection[Any], dsn: str) -> None:
    answer = ask(dsn, "changes", "--keep", "2d")
    assert (answer.exit_code, answer.stdout, answer.stderr) == (0, "", "changes are kept for 2 d (before: 90 d)\n")
    assert "keeps changes for 2 d only: see --keep" in ask(dsn, "changes", "--since", "7d").stderr
    assert ask(dsn, "changes", "--since", "1d").stderr == ""
    assert "only the newest 3 are shown: see --limit" in ask(dsn, "changes", "--limit", "3").stderr
    ask(dsn, "changes", "--keep", "0")
    assert "no changes are kept: see --keep" in ask(dsn, "changes").stderr


def test_explain_draws_a_pair_and_why_it_is_stale(period: Connection[Any], dsn: str) -> None:
    period.execute(BAD_FLAG.encode())
    answer = ask(dsn, "explain", "LHC22o_apass7", "501")
    assert answer.exit_code == 0, answer.output
    assert re.search(r"^  TPC  ─+█+─+$", answer.stdout, re.MULTILINE)
    assert re.search(r"^  all  ─+█+─+$", answer.stdout, re.MULTILINE)
    assert re.search(r"^  bad +0:15:00 +25\.000 %", answer.stdout, re.MULTILINE)
    shown = " ".join(answer.stdout.split())
    assert "by TPC expert" in shown
    assert re.search(r"STALE since .* because of: flag: 1 change", shown)
    drain(period)
    again = " ".join(ask(dsn, "explain", "1", "501").stdout.split())
    assert re.search(r"Refreshed .* after it had become stale, for: flag, by \S+ Fresh: nothing has changed", again)


def test_explain_json_has_what_the_drawing_has(period: Connection[Any], dsn: str) -> None:
    period.execute(BAD_FLAG.encode())
    answer = ask(dsn, "explain", "LHC22o_apass7", "501", "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert [(each["from"][11:16], each["to"][11:16], each["quality"]) for each in found["periods"]] == [
        ("02:00", "02:15", "good"),
        ("02:15", "02:30", "bad"),
        ("02:30", "03:00", "good"),
    ]
    assert found["totals"]["qualities"]["bad"] == {"seconds": 900.0, "fraction": 0.25}
    assert found["computed"]["bad"] == 0.25
    assert found["stored"]["values"]["bad"] == 0.0
    assert [mark["cause"] for mark in found["marks"]] == ["flag"]


@pytest.mark.parametrize("suffix", [".svg", ".html", ".txt"])
def test_explain_save_writes_a_file_that_needs_no_other(
    period: Connection[Any], dsn: str, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"501{suffix}"
    answer = ask(dsn, "explain", "1", "501", "--save", str(file))
    assert answer.exit_code == 0, answer.output
    assert (answer.stdout, answer.stderr) == ("", f"written: {file}\n")
    written = file.read_text()
    if suffix == ".svg":
        ElementTree.fromstring(written)  # noqa: S314 - our own
    assert "http" not in re.sub(r'xmlns="[^"]*"|<!--.*?-->', "", written), "whoever opens it fetches nothing"
    assert "How" in written
    assert "\x1b" not in written


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "LHC22o_apas7"], "did you mean 'LHC22o_apass7'"),
        (["show", "lhc22o_apass7"], "did you mean 'LHC22o_apass7'"),
        (["explain", "LHC23a_apss1", "501"], "did you mean 'LHC23a_apass1'"),
        (["explain", "1", "510"], "run 510 is not in LHC22o_apass7; did you mean '50"),
        (["explain", "1", "501", "--save", "501.pdf"], "'--save': the name must end in .svg, .html or .txt"),
        (["show", "1", "--below", "90"], "'--below': 90.0 is not in the range 0<=x<=1"),
        (["show", "1", "--sort", "size"], "'--sort': 'size' is not one of"),
        (["show", "1", "--json", "--csv"], "--json and --csv exclude each other"),
        (["show", "1", "--live", "--wait"], "--live and --wait exclude each other"),
        (["show", "1", "--list", "--stale"], "--list and --stale exclude each other"),
        (["show", "1", "--save", "pass.pdf"], "'--save': the name must end in .svg or .html"),
        (["show", "1", "--save", "pass.svg", "--json"], "--save and --json exclude each other"),
        (["show", "1", "--lines"], "--lines says how to print --list: give both"),
        (["show", "1", "--not-bad", "0.95"], "'--not-bad': '0.95' is not a condition: write '>=0.95'"),
        (["show", "1", "--not-bad", ">95"], "'--not-bad': '>95' has a limit above 1: write '>0.95' or '>95%'"),
        (["explain", "1", "501", "--json", "--save", "501.svg"], "--json and --save exclude each other"),
        (["verify", "--all", "--sample", "9"], "--all and --sample exclude each other"),
        (["verify", "--original", "--all"], "--original and --all exclude each other"),
        (["verify", "--original", "--sample", "1000"], "--original and --sample exclude each other"),
        (["verify", "--original", "--repair"], "--original and --repair exclude each other"),
        (["status", "--objective", "-1s"], "'--objective': '-1s' is not a duration: write 250ms, 30s, 5m, 1h or 7d"),
        (["run", "--max-batch", "0"], "'--max-batch': 0 is not in the range"),
        (["run", "--metrics-listen", "9187"], "'--metrics-listen': '9187' is not HOST:PORT: write 127.0.0.1:9187"),
        (["run", "--metrics-listen", "localhost:99999"], "'--metrics-listen': 'localhost:99999' is not HOST:PORT"),
        (["run", "--log-format", "xml"], "'--log-format': 'xml' is not one of"),
        (["demo", "--rate", "0"], "'--rate': 0.0 is not in the range x>0"),
        (["changes", "LHC22o_apas7"], "did you mean 'LHC22o_apass7'"),
        (["changes", "--since", "yesterday"], "'--since': 'yesterday' is not a duration"),
        (["statsu"], "no command 'statsu'; did you mean 'status'?"),
        (["verfy"], "did you mean 'verify'?"),
    ],
)
def test_a_wrong_argument_is_refused_with_advice(
    period: Connection[Any], dsn: str, words: list[str], message: str
) -> None:
    answer = ask(dsn, *words)
    assert answer.exit_code == 2
    shown = re.sub(r" \(env var: '\w+'\)", "", " ".join(answer.stderr.split()))
    assert message in shown
    assert not answer.stdout


def test_the_shell_completes_data_pass_names(period: Connection[Any], dsn: str) -> None:
    def complete(words: str) -> list[str]:
        variables = {"_GAQ_LISTEN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "2"}
        answer = CliRunner().invoke(main, prog_name="gaq-listen", env={"GAQ_LISTEN_DSN": dsn} | variables)
        return [line.partition(",")[2] for line in answer.stdout.split()]

    assert complete("gaq-listen show LHC2") == ["LHC22o_apass7", "LHC23a_apass1"]
    assert complete("gaq-listen explain LHC23") == ["LHC23a_apass1"]
    assert complete("gaq-listen changes LHC23") == ["LHC23a_apass1"]
    assert complete("gaq-listen recalculate LHC23") == ["LHC23a_apass1"]
    dsn = "host=/nonexistent"
    assert complete("gaq-listen show LHC") == []


async def test_a_reader_sees_running_workers(period: Connection[Any], dsn: str, reader: Connection[Any]) -> None:
    async with running_worker(dsn, name="gaq-1"):
        found = read(reader, objective=1.0)
    assert [(worker.name, worker.alive) for worker in found.workers] == [("gaq-1", True)]
    assert found.good
