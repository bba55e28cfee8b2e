"""A real MariaDB and a real pgloader, of Debian's packages, unpacked as PgBouncer is for other tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import debian_packages

PLACE = Path(sys.prefix) / "debian-migration"
PACKAGES = (
    "mariadb-server-core",
    "mariadb-client-core",
    "pgloader",
    # what these need, and what not every machine has
    "libaio1",
    "libct4",
    "libedit2",
    "libnuma1",
    "libpcre2-8-0",
    "libsybdb5",
    "libsystemd0",
    "liburing2",
    "freetds-dev",
)
PATIENCE = 60.0
"""Seconds that MariaDB may take to start."""


@dataclass(frozen=True, slots=True)
class MariaDb:
    """A server that listens on the loopback interface, with a user gaq."""

    root: Path
    socket: Path
    port: int

    def run(self, statements: str, database: str = "") -> list[list[str]]:
        """Execute statements and return the rows of their answers."""
        client = [
            str(self.root / "usr/bin/mariadb"),
            "--no-defaults",
            "-N",
            "-B",
            f"--socket={self.socket}",
            "-u",
            "root",
        ]
        done = subprocess.run(
            [*client, *([database] if database else [])],
            input=statements,
            capture_output=True,
            text=True,
            env=debian_packages.environment(self.root),
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{statements[:500]}\n{done.stderr}"
        return [line.split("\t") for line in done.stdout.splitlines()]

    def url(self, database: str) -> str:
        """Return how pgloader connects to a database of the server."""
        return f"mysql://gaq:gaq@127.0.0.1:{self.port}/{database}"


def root() -> Path:
    """Return where the packages are.

    Raises:
        pytest.skip.Exception: they cannot be had, or do not run here; the message says why.
    """
    place = debian_packages.root(PLACE, PACKAGES)
    for program in ("usr/sbin/mariadbd", "usr/bin/mariadb", "usr/bin/pgloader"):
        tried = subprocess.run(
            [place / program, "--version"],
            env=debian_packages.environment(place),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if tried.returncode != 0:
            pytest.skip(f"NOT TESTED: {program} of Debian does not run here: {tried.stderr.strip()}")
    return place


@contextmanager
def mariadb(directory: Path) -> Iterator[MariaDb]:
    """A server with its data in the directory, for as long as the context lasts."""
    place = root()
    data, shared = directory / "data", place / "usr/share/mysql"
    (data / "mysql").mkdir(parents=True)
    command = [
        str(place / "usr/sbin/mariadbd"),
        "--no-defaults",
        f"--datadir={data}",
        f"--lc-messages-dir={shared}",
        f"--plugin-dir={place / 'usr/lib/mysql/plugin'}",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=64M",
        "--innodb-use-native-aio=0",
        *(["--user=root"] if os.getuid() == 0 else []),
    ]
    tables = "".join((shared / f"mysql_system_tables{part}.sql").read_text() for part in ("", "_data"))
    subprocess.run(
        [*command, "--bootstrap"],
        input=f"use mysql;\n{tables}",
        env=debian_packages.environment(place),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = MariaDb(place, directory / "socket", port)
    log = directory / "log"
    with log.open("w") as written:
        # Where Linux can, the server ends together with the tests, however these end.
        with_us = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        process = subprocess.Popen(
            [*with_us, *command, f"--socket={server.socket}", f"--port={port}", "--bind-address=127.0.0.1"],
            env=debian_packages.environment(place),
            stdout=written,
            stderr=written,
        )
    try:
        since = time.monotonic()
        while "ready for connections" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() - since < PATIENCE, log.read_text()
            time.sleep(0.05)
        server.run("CREATE USER gaq@'%' IDENTIFIED BY 'gaq'; GRANT ALL ON *.* TO gaq@'%'")
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def pgloader(load: Path, **variables: str) -> str:
    """Run the load file with these variables in its environment, and return what pgloader said."""
    place = root()
    done = subprocess.run(
        [place / "usr/bin/pgloader", "--root-dir", load.parent / "pgloader", load],
        env=debian_packages.environment(place) | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
