"""Run the tests on several versions of PostgreSQL: ``python -m tests.versions DIRECTORY… [-- OPTIONS OF PYTEST]``.

The name of each directory is a major version. The directory holds ``bin``, ``lib`` and ``share`` of that version, as
``make versions`` installs them. These programs need libraries and time zones of the machine (libxml2, OpenSSL 3,
Kerberos, lz4, zstd, tzdata). With ``--where-possible``, a version that cannot run here is not a failure.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import click
import psycopg

from gaq_listen.errors import PrivateServerError
from gaq_listen.private_postgres.binaries import VARIABLE
from gaq_listen.private_postgres.cluster import make_home, remove_directory, temp_base
from gaq_listen.private_postgres.os_user import server_user
from gaq_listen.private_postgres.server import PrivatePostgres


class Unusable(Exception):
    """A server of the requested version cannot run here."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of the tests on one version. ``words`` is for people, and ``good`` means no failure."""

    version: str
    words: str
    passed: int = 0
    failed: int = 0
    good: bool = False


def main() -> int:
    """Run the tests on each version, print a summary, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions", allow_abbrev=False)
    parser.add_argument("directories", nargs="+", type=Path)
    parser.add_argument("--where-possible", action="store_true")
    ours, options = list(sys.argv[1:]), list[str]()
    if "--" in ours:
        where = ours.index("--")
        ours, options = ours[:where], ours[where + 1 :]
    chosen = parser.parse_args(ours)
    # sys.exit raises, so the contexts stop pytest and the servers.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    outcomes = [outcome(directory.absolute(), options, chosen.where_possible) for directory in chosen.directories]
    click.echo("\n" + "\n".join(f"PostgreSQL {found.version}: {found.words}" for found in outcomes))
    click.echo(f"{sum(found.passed for found in outcomes)} passed, {sum(found.failed for found in outcomes)} failed")
    return 0 if all(found.good for found in outcomes) else 1


def outcome(directory: Path, options: list[str], where_possible: bool) -> Outcome:
    """Run the tests with the programs in this directory."""
    try:
        with within_reach(directory) as programs:
            version = server_version(programs, directory.name)
            click.echo(f"\n== tests on PostgreSQL {version}, from {directory}")
            return run_tests(version, options)
    except Unusable as error:
        return Outcome(directory.name, f"NOT TESTED: {error}", good=where_possible)


@contextmanager
def within_reach(directory: Path) -> Iterator[Path]:
    """Yield the directory, or a copy if the OS user of servers cannot enter it, for example below root's home."""
    account = server_user()
    if account.reaches(directory):
        yield directory
        return
    home = make_home(temp_base(account))
    try:
        yield shutil.copytree(directory, home / directory.name, symlinks=True)
    finally:
        remove_directory(home)


def server_version(programs: Path, major: str) -> str:
    """Return the version of a server that runs from this directory. All later private servers run from there, too.

    Raises:
        Unusable: no server runs from the directory, or the server has another major version.
    """
    asked = subprocess.run([programs / "bin" / "postgres", "--version"], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        raise Unusable(asked.stderr.strip())
    for name in list(os.environ):
        if name.startswith(("PG", "GAQ_LISTEN_")):  # these variables would lead the tests to another server
            del os.environ[name]
    os.environ[VARIABLE] = str(programs / "bin")
    try:
        with PrivatePostgres() as server, psycopg.connect(server.dsn()) as connection:
            version = connection.info.parameter_status("server_version") or ""
    except PrivateServerError as error:
        raise Unusable(str(error)) from error
    if version.partition(".")[0] != major:
        raise Unusable(f"the server in {programs} says that it is {version}")
    return version


def run_tests(version: str, options: list[str]) -> Outcome:
    """Run pytest in a process of its own, and count its tests."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "report.xml")
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *options]
        code = subprocess.run(command, check=False).returncode
        suite = ElementTree.parse(report).find("testsuite") if report.exists() else None  # noqa: S314 - our own
    if suite is None:
        return Outcome(version, f"NO RESULT: pytest ended with exit code {code}")
    tests, skipped, failures, errors = (int(suite.get(name, 0)) for name in ("tests", "skipped", "failures", "errors"))
    failed = failures + errors
    passed = tests - skipped - failed
    words = f"{passed} passed, {failed} failed, {skipped} skipped in {float(suite.get('time', 0)):.0f} s"
    return Outcome(version, words, passed, failed, good=code == 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
