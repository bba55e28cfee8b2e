"""Tests in several processes: those that must be alone are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ALONE, FAST, TESTS

_CONFTEST = """
import pytest

from tests.conftest import ALONE, FAST, TESTS
from tests.support.scheduling import AloneLast

def pytest_xdist_make_scheduler(config, log):
    return AloneLast(config, log, lambda file: file.startswith("test_z"))
"""
_TEST = """
import os, time
import pytest

from tests.conftest import ALONE, FAST, TESTS

@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    begins = time.monotonic()
    time.sleep(0.02)
    print(f"RAN {name} {{os.getpid()}} {{begins}} {{time.monotonic()}}")
"""


@pytest.mark.parametrize(("beside", "alone"), [((3, 1, 5), (4, 1)), ((2,), (1,)), ((), (1, 1))], ids=str)
def test_files_marked_alone_run_in_one_process_after_all_others(
    tmp_path: Path, beside: tuple[int, ...], alone: tuple[int, ...]
) -> None:
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]")
    for kind, files in (("a", beside), ("z", alone)):
        for number, tests in enumerate(files):
            (tmp_path / f"test_{kind}{number}.py").write_text(_TEST.format(tests=tests, name=kind))
    options = ("-n2", "-rP", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'temporary'}")
    command = [sys.executable, "-m", "pytest", "-p", "xdist", *options, str(tmp_path)]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = [line.split() for line in done.stdout.splitlines() if line.startswith("RAN ")]
    assert len(ran) == sum(beside) + sum(alone)
    begin_alone = min((float(begins) for _, kind, _, begins, _ in ran if kind == "z"), default=0.0)
    end_beside = max((float(ends) for _, kind, _, _, ends in ran if kind == "a"), default=0.0)
    assert begin_alone >= end_beside
    assert len({process for _, kind, process, _, _ in ran if kind == "z"}) <= 1
    assert len({process for _, kind, process, _, _ in ran if kind == "a"}) == min(len(beside), 2)


@pytest.mark.parametrize("path", [*FAST, *ALONE])
def test_files_that_are_marked_exist(path: str) -> None:
    assert (TESTS / path).exists()
