"""Provide a server, and databases for measurements, which are copies of templates."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, Self

import psycopg

from benchmarks import peers
from benchmarks.disk import require_disk
from gaq_listen.dba import indexes, installer, scripts
from gaq_listen.dba.sources import named
from gaq_listen.private_postgres.server import PrivatePostgres

SQL = Path(__file__).parent / "sql"

SETTINGS = {
    # Commits are durable, as on a real server, and nothing runs in the background.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "max_wal_size": "8GB",
    "shared_buffers": "1GB",
    # With this, commit_delay of a scenario delays each flush, also without concurrent commits.
    "commit_siblings": "0",
}

APPLICATION = "benchmark"
"""The ``application_name`` of the sessions of the benchmarks."""
BARE, THIS_WORKER, ROW, SMALLEST = "bare", "ours", "row", "smallest"
PGQUEUER, PROCRASTINATE = "pgqueuer", "procrastinate"
LEAST = "least"
Order = Literal["data passes", "none"]
"""The ids of flags: one data pass after another, or those of all data passes mixed."""
_TRIGGERS = {ROW: "row_trigger", SMALLEST: "smallest_trigger", LEAST: "least_listener"}


def text(name: str) -> bytes:
    """Return the text of a file in ``benchmarks/sql``."""
    return (SQL / f"{name}.sql").read_bytes()


class Lab:
    """A server with databases, for the duration of a ``with`` block."""

    def __init__(self, *, quick: bool, disk: Path | None = None) -> None:
        """Choose the size of the measurements. The server starts when the block is entered.

        ``disk`` is a directory for the data. None: the data is in memory, if there is room.
        """
        self.quick = quick
        if disk is not None:
            require_disk(disk)
        self.on_disk = disk is not None
        self.runs = 100 if quick else 400
        """The default number of runs in each of the 21 data passes."""
        self.server = PrivatePostgres(settings=SETTINGS, storage=disk)
        self._templates: set[str] = set()
        self._databases = 0

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.stop()

    def say(self, words: str) -> None:
        """Write progress to stderr, beside the results on stdout."""
        print(f"  {words}", file=sys.stderr, flush=True)

    def connect(self, dbname: str) -> psycopg.Connection:
        """Connect to a database in autocommit mode."""
        return psycopg.connect(self.server.dsn(dbname), autocommit=True, application_name=APPLICATION)

    @contextmanager
    def slow_flush(self, milliseconds: int) -> Iterator[None]:
        """Delay each flush of the server by ``milliseconds``, as a slow disk does, until the context ends."""
        self._set("commit_delay", 1000 * milliseconds)
        try:
            yield
        finally:
            self._set("commit_delay", 0)

    def _set(self, setting: str, value: int) -> None:
        with self.connect("postgres") as connection:
            connection.execute(f"alter system set {setting} = {value}")
            connection.execute("select pg_reload_conf()")

    @contextmanager
    def database(self, kind: str, settings: dict[str, str] | None = None) -> Iterator[str]:
        """Create a database of this kind, and yield its name."""
        template = self._template(kind, self._fill_kind(kind), of=None if kind == BARE else BARE)
        with self._copy(template, settings or {}) as name:
            yield name

    @contextmanager
    def sized(self, runs: int, flags: int) -> Iterator[str]:
        """Yield the name of a database with gaq-listen, ``runs`` runs a data pass and ``flags`` flags a detector."""

        def fill(connection: psycopg.Connection) -> None:
            _sources(connection, runs, flags)
            _install(connection)

        yield self._template(f"sized_{runs}_{flags}", fill, of=None)

    @contextmanager
    def shaped(
        self, sources: str, runs: int, passes: int, detectors: int, order: Order = "data passes"
    ) -> Iterator[str]:
        """Create a database with gaq-listen on source tables of a shape, refresh all pairs, and yield its name.

        ``detectors`` is the number of GAQ detectors, of the 12 detectors that have flags. ``order`` is of their ids.
        """

        def fill(connection: psycopg.Connection) -> None:
            _sources(connection, runs, 3, passes, detectors, sources, order)
            _install(connection, sources)
            connection.execute("call gaq.drain()")

        name = f"{sources}_{runs}_{passes}_{detectors}_{order.replace(' ', '_')}"
        template = self._template(name, fill, of=None)
        with self._copy(template, {}) as name:
            yield name

    def _fill_kind(self, kind: str) -> Callable[[psycopg.Connection], None]:
        def fill(connection: psycopg.Connection) -> None:
            if kind == BARE:
                _sources(connection, self.runs, 3)
            elif kind in _TRIGGERS:
                connection.execute(text(_TRIGGERS[kind]))
            else:
                _install(connection)
                connection.execute("call gaq.drain()")
            if kind in (PGQUEUER, PROCRASTINATE):
                connection.execute(peers.schema(kind).encode())
                connection.execute(text("refresh_pair"))
                connection.execute(text(f"{kind}_trigger"))

        return fill

    def _template(self, kind: str, fill: Callable[[psycopg.Connection], None], of: str | None) -> str:
        name = f"template_{kind}"
        if name not in self._templates:
            source = self._template(of, self._fill_kind(of), of=None) if of else "template1"
            self.say(f"filling {name}")
            with self.connect("postgres") as connection:
                connection.execute(f"create database {name} template {source}")
            with self.connect(name) as connection:
                fill(connection)
                connection.execute("vacuum analyze")
            self._templates.add(name)
        return name

    @contextmanager
    def _copy(self, template: str, settings: dict[str, str]) -> Iterator[str]:
        self._databases += 1
        name = f"measured_{self._databases}"
        with ExitStack() as stack:
            with self.connect("postgres") as connection:
                connection.execute(f"create database {name} template {template}")
                stack.callback(self._drop, name)
                for setting, value in settings.items():
                    connection.execute(f"alter database {name} set {setting} = {value}")
                connection.execute("checkpoint")
            yield name

    def _drop(self, name: str) -> None:
        if self.server.poll() is None:
            with self.connect("postgres") as connection:
                connection.execute(f"drop database {name} with (force)")


_FILLED_BY = {"reference": "alice", "bookkeeping": "bookkeeping"}
"""The file in ``benchmarks/sql`` that fills the tables of a shape."""


def _sources(
    connection: psycopg.Connection,
    runs: int,
    flags: int,
    passes: int = 21,
    detectors: int = 12,
    sources: str = "reference",
    order: Order = "data passes",
) -> None:
    connection.execute(scripts.script(f"{sources}_tables").encode())
    for name, value in {"runs": runs, "flags": flags, "passes": passes, "detectors": detectors}.items():
        connection.execute(f"set bench.{name} = {value}".encode())
    connection.execute(f"set bench.ids_by = '{order}'".encode())
    connection.execute(text(_FILLED_BY[sources]))
    connection.execute("analyze")


def _install(connection: psycopg.Connection, sources: str = "reference") -> None:
    """Install gaq-listen, with the indexes that the plan suggests."""
    for index in indexes.missing(connection, "public", named(sources)):
        connection.execute(index.fix.encode())
    installer.install(connection, sources=sources)
