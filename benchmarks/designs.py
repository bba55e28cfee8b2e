"""The designs that are compared, each in databases that are new for every measurement."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from gaq_listen.dba import installer, scripts
from gaq_listen.demo.private_postgres import PrivatePostgres

SQL = Path(__file__).parent / "sql"
WORKER = Path(sys.executable).with_name("gaq-listen")

NONE, OURS, WORKING, ROW = "no trigger", "gaq-listen", "gaq-listen + worker", "row trigger"
DESIGNS = (NONE, OURS, WORKING, ROW)
"""In the order in which they are measured; the first is what the others are compared with."""
_TEMPLATES = {NONE: "template_none", OURS: "template_ours", WORKING: "template_ours", ROW: "template_row"}
_DATABASE = "writers"

SETTINGS = {
    # Durability as writers of a real server have it, and nothing going on in the background.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
    "shared_buffers": "512MB",
}


class Designs:
    """The templates on a server, and databases made of them."""

    def __init__(self, server: PrivatePostgres) -> None:
        """Fill the templates."""
        self._server = server
        with self._connect("postgres") as connection:
            connection.execute("create database template_none")
        with self._connect("template_none") as connection:
            connection.execute(scripts.script("reference_tables").encode())
            connection.execute(text("data"))
            connection.execute("vacuum analyze")
        for name in ("template_ours", "template_row"):
            with self._connect("postgres") as connection:
                connection.execute(f"create database {name} template template_none")
        with self._connect("template_ours") as connection:
            installer.install(connection)
            connection.execute("call gaq.drain()")
            connection.execute("vacuum analyze")
        with self._connect("template_row") as connection:
            connection.execute(text("row_trigger"))
            connection.execute("vacuum analyze")

    @contextmanager
    def database(self, design: str, settings: dict[str, str]) -> Iterator[str]:
        """The connection string of a new database of this design, with its worker at work if it has one."""
        with ExitStack() as stack:
            with self._connect("postgres") as connection:
                connection.execute(f"create database {_DATABASE} template {_TEMPLATES[design]}")
                stack.callback(self._drop)
                for name, value in settings.items():
                    connection.execute(f"alter database {_DATABASE} set {name} = {value}")
            dsn = self._server.dsn(_DATABASE)
            if design == WORKING:
                stack.enter_context(working(dsn))
            with self._connect("postgres") as connection:
                connection.execute("checkpoint")
            yield dsn

    def _connect(self, dbname: str) -> psycopg.Connection:
        return psycopg.connect(self._server.dsn(dbname), autocommit=True)

    def _drop(self) -> None:
        if self._server.poll() is None:
            with self._connect("postgres") as connection:
                connection.execute(f"drop database {_DATABASE} with (force)")


def text(name: str) -> bytes:
    """What a file of ours in ``sql/`` says."""
    return (SQL / f"{name}.sql").read_bytes()


@contextmanager
def working(dsn: str) -> Iterator[None]:
    """A worker that has gone to sleep once, so it is ready."""
    command = [str(WORKER), "run", "--dsn", dsn, "--log-format", "plain"]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while connection.execute("select somebody_listens from gaq.status").fetchone() != (True,):
                if worker.poll() is not None:
                    raise RuntimeError(f"the worker ended with exit code {worker.returncode}")
                time.sleep(0.05)
        yield
        if worker.poll() is not None:
            raise RuntimeError(f"the worker ended with exit code {worker.returncode}, while it was measured")
    finally:
        worker.terminate()
        worker.wait()
