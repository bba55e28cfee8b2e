"""Run the commands of an operator as processes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from tests.conftest import Connect
from tests.support.tables import drain
from tests.support.uncomputable_pairs import ERROR, heal, poison
from tests.support.worker_harness import stale

PROGRAM = str(Path(sys.executable).with_name("gaq-listen"))
BAD_FLAG = "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, 501, 1, 2)"

Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]


@pytest.fixture
def environment(dsn: str) -> dict[str, str]:
    return {**os.environ, "GAQ_LISTEN_DSN": dsn, "COLUMNS": "80"}


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def run_program(*words: str) -> Result:
        return subprocess.run(
            [PROGRAM, *words], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run_program


@contextmanager
def running(environment: dict[str, str], *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command in the background."""
    with subprocess.Popen([PROGRAM, *words], env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_pause_and_resume_report_what_they_changed(run: Run, period: Connection[Any]) -> None:
    assert "no worker begins a batch" in run("pause", "--reason", "maintenance").stderr
    again = run("pause")
    assert again.returncode == 0
    assert "was paused already, by " in again.stderr
    assert again.stderr.rstrip().endswith("UTC: maintenance")
    assert run("resume").stderr == "resumed\n"
    assert run("resume").stderr == "was not paused\n"


def test_pause_waits_for_the_batch_in_flight(
    environment: dict[str, str], period: Connection[Any], connect: Connect
) -> None:
    period.execute(BAD_FLAG.encode())
    worker = connect()
    worker.execute("select from gaq.refresh()")
    with running(environment, "pause", "--wait") as pausing:
        assert pausing.stderr is not None
        assert pausing.stderr.readline() == "waiting for 1 batch in flight\n"
        assert pausing.poll() is None
        worker.commit()
        assert pausing.stderr.readline().startswith("paused")
        assert pausing.wait(20) == 0


def test_recalculate_marks_the_runs_of_its_ranges(run: Run, period: Connection[Any]) -> None:
    answer = run("recalculate", "LHC22o_apass7", "--runs", "501,503-504")
    assert answer.returncode == 0
    assert answer.stderr == "marked: 3 runs of LHC22o_apass7\n"
    marked = period.execute("select data_pass_id, run_number, cause from gaq.invalidations order by 2").fetchall()
    assert marked == [(1, run_number, "by hand") for run_number in (501, 503, 504)]
    assert run("recalculate", "2").returncode == 0
    assert stale(period) == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["LHC22o_apass7", "--runs", "500-501,507,600-700"], "no such run in data pass LHC22o_apass7: 507, 600-700"),
        (["LHC22o_apass7", "--runs", "501-"], "'501-' is no run and no range of runs: write 12,15-18"),
        (["LHC22o_apass7", "--runs", "505-501"], "the range '505-501' ends before it begins"),
        (["LHC99", "--wait"], "no data pass has the name or id 'LHC99'"),
    ],
)
def test_recalculate_refuses_unknown_runs(run: Run, period: Connection[Any], words: list[str], said: str) -> None:
    answer = run("recalculate", *words)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert stale(period) == 0


def test_recalculate_with_wait_returns_when_runs_are_fresh(
    environment: dict[str, str], period: Connection[Any]
) -> None:
    with running(environment, "recalculate", "LHC22o_apass7", "--wait") as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == "marked: 5 runs of LHC22o_apass7\n"
        assert "no worker is running" in waiting.stderr.readline()
        drain(period)
        assert waiting.wait(20) == 0
        assert "5/5" in waiting.stderr.read()


def test_recalculate_with_wait_ends_if_runs_cannot_be_computed(run: Run, period: Connection[Any]) -> None:
    poison(period, 1, 501)
    period.execute("call gaq.drain()")
    period.execute("update gaq.failures set next_try_at = 'infinity'")
    answer = run("recalculate", "LHC22o_apass7", "--runs", "501", "--wait")
    assert answer.returncode == 1
    assert ERROR in answer.stderr


def test_failures_lists_failing_pairs_and_retries_them(run: Run, period: Connection[Any]) -> None:
    none = run("failures")
    assert (none.returncode, none.stdout) == (0, "every pair can be computed\n")
    poison(period, 1, 501)
    period.execute("call gaq.drain()")
    period.execute("update gaq.failures set next_try_at = clock_timestamp() + interval '1 h'")
    listed = run("failures")
    assert listed.returncode == 1
    assert "LHC22o_apass7  501" in listed.stdout
    (failure,) = json.loads(run("failures", "--json").stdout)
    assert (failure["run_number"], failure["attempts"], failure["sqlstate"]) == (501, 1, "P0001")
    heal(period)
    period.execute(
        "delete from gaq.invalidations where invalidated_at > (select min(invalidated_at) from gaq.invalidations)"
    )
    assert run("run", "--once").returncode == 1
    assert "1 pair will be tried now" in run("failures", "--retry").stderr
    assert run("run", "--once").returncode == 0
    assert run("failures").returncode == 0


def test_failures_shows_a_next_try_at_infinity_as_unknown(run: Run, period: Connection[Any]) -> None:
    poison(period, 1, 501)
    period.execute("call gaq.drain()")
    period.execute("update gaq.failures set next_try_at = 'infinity'")
    listed = run("failures")
    assert listed.returncode == 1
    assert re.search(r"LHC22o_apass7  501 .* unknown ", listed.stdout)
    (failure,) = json.loads(run("failures", "--json").stdout)
    assert (failure["next_try_at"], failure["next_try"]) == (None, None)


def test_verify_finds_and_repairs_an_unseen_change(run: Run, period: Connection[Any]) -> None:
    clean = run("verify", "--all")
    assert (clean.returncode, clean.stdout) == (0, "10 of 10 pairs compared: none differs\n")

    period.execute(
        "update gaq.summaries set missing_verifications_count = 77 where (data_pass_id, run_number) = (1, 501)"
    )
    period.execute("alter table data_pass_runs disable trigger all")
    period.execute("delete from data_pass_runs where (data_pass_id, run_number) = (1, 502)")
    period.execute("insert into runs (run_number) values (506); insert into data_pass_runs values (2, 506)")
    period.execute("alter table data_pass_runs enable always trigger gaq_delete")
    period.execute(BAD_FLAG.replace("501", "503").encode())
    found = run("verify", "--all")
    assert found.returncode == 1
    assert [" ".join(line.split()) for line in found.stdout.splitlines()] == [
        "LHC22o_apass7/501",
        "stored recomputed",
        "missing_verifications_count 77 2",
        "LHC22o_apass7/502: it has a summary and is in no data pass any more",
        "LHC23a_apass1/506: it should have a summary and has none",
        "10 of 11 pairs compared: 3 differ; 1 more are stale, so they were not compared",
        (
            "ALARM: this compares with what gaq-listen reads, and triggers that mark are missing or disabled on"
            " public.data_pass_runs, so changes are not seen; run: gaq-listen install"
        ),
    ]
    assert stale(period) == 1

    assert run("verify", "--all", "--repair").returncode == 1
    assert stale(period) == 4
    drain(period)
    for trigger in ("gaq_insert", "gaq_update", "gaq_truncate"):
        period.execute(f"alter table data_pass_runs enable always trigger {trigger}".encode())
    assert run("verify", "--all").returncode == 0


def test_verify_without_all_compares_a_sample(run: Run, period: Connection[Any]) -> None:
    assert run("verify", "--sample", "3").stdout == "3 of 10 pairs compared: none differs\n"
    period.execute("update gaq.summaries set bad_run_coverage = 0.25")
    assert "3 of 10 pairs compared: 3 differ" in run("verify", "--sample", "3").stdout


def test_verify_compares_in_one_snapshot(period: Connection[Any], connect: Connect) -> None:
    """A change during the comparison shows in value and mark, or in neither, so it is no difference."""
    writer = connect()
    writer.execute(BAD_FLAG.encode())
    differing = "select from gaq.differences(array[1], array[501])"
    assert period.execute(differing).fetchall() == []
    writer.commit()
    assert period.execute(differing).fetchall() == []
    drain(period)
    assert period.execute(differing).fetchall() == []
