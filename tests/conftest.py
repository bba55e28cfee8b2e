"""Provide a server for the session, and a database of its own for each test. Mark the tests.

The variable ``GAQ_LISTEN_TEST_DSN`` or libpq's PG* variables name the server. The tests connect to it as a superuser.
Without these variables, the session starts a private server.
The databases are copies of templates. There are two for each shape of source tables: one has only the tables, and the
other has gaq-listen installed as well.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from pytest_postgresql import factories

from gaq_listen.dba.scripts import script
from gaq_listen.dba.sources import shipped
from gaq_listen.private_postgres.server import PrivatePostgres
from tests.support.shapes import BOOKKEEPING_EASED
from tests.support.small_period import period as period

Connect: TypeAlias = Callable[..., Connection[Any]]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Put temporary files into a directory of this run, and remove the directory at the end."""
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="gaq-listen-tests-")
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


TESTS = Path(__file__).parent
FAST = (
    "adoption",
    "db",
    "docs",
    "observers",
    "private_postgres/test_binaries.py",
    "private_postgres/test_cluster.py",
    "private_postgres/test_os_user.py",
    "reports",
    "unit",
    "worker/test_contention_rule.py",
    "worker/test_audit_schedule.py",
    "worker/test_batching.py",
    "worker/test_event_pairs.py",
    "worker/test_events.py",
    "worker/test_waiting.py",
    "database/test_marking.py",
    "database/test_refresh.py",
)
"""Directories and files whose tests are marked ``fast``. Together they take less than a minute."""
ALONE = (
    "faults/test_backlog.py",
    "faults/test_fault_storm.py",
    "faults/test_half_open.py",
    "faults/test_idle.py",
    "faults/test_network.py",
    "faults/test_notifications.py",
    "private_postgres/test_server.py",
    "worker/test_contention.py",
    "worker/test_storm.py",
)
"""Files whose tests are marked ``alone``: they measure times, or need both cores.

Most tests of faults are not among them, although they stop servers: each has a server of its own, and mostly waits.
"""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m fast``, skip the other files: importing them takes half as long as the fast tests."""
    is_test = collection_path.name.startswith("test_") and collection_path.is_relative_to(TESTS)
    if config.option.markexpr == "fast" and is_test:
        return not collection_path.relative_to(TESTS).as_posix().startswith(FAST) or None
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by where they are, and by whether they use a PostgreSQL server. Put those marked ``alone`` last."""
    for item in items:
        path = item.path.relative_to(TESTS).as_posix()
        if path.startswith(FAST):
            item.add_marker("fast")
        if path.startswith(ALONE):
            item.add_marker("alone")
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker("server")
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """With ``-n``, run files side by side, and the tests marked ``alone`` one by one at the end."""
    from tests.support.scheduling import AloneLast

    alone = tuple(f"{TESTS.name}/{path}" for path in ALONE)
    return AloneLast(config, log, lambda file: file.startswith(alone))


@dataclass(frozen=True, slots=True)
class Server:
    """How to connect to the server. pytest-postgresql reads these fields from the fixture ``server``."""

    host: str
    port: int
    user: str
    password: str | None
    options: str
    maintenance_dbname: str
    template_dbname: str | None = None

    def dsn(self, dbname: str) -> str:
        """Return the connection string of a database on the server."""
        return make_conninfo(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password or None,
            options=self.options or None,
            dbname=dbname,
        )


def where(connection: Connection[Any]) -> str:
    """Return a connection string for the database of a connection, for a program that connects by itself."""
    info = connection.info
    return make_conninfo(
        host=info.host, port=info.port, user=info.user, password=info.password or None, dbname=info.dbname
    )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Provide the server on which the tests create all databases."""
    with ExitStack() as stack:
        dsn = os.environ.get("GAQ_LISTEN_TEST_DSN", "")
        if not dsn and not {"PGHOST", "PGSERVICE", "PGDATABASE"} & os.environ.keys():
            dsn = stack.enter_context(PrivatePostgres()).dsn()
        with psycopg.connect(dsn) as connection:
            info = connection.info
            found = Server(info.host, info.port, info.user, info.password, info.options, info.dbname)
        yield found


def _apply(*texts: str) -> Callable[..., None]:
    def load(**where: Any) -> None:
        with psycopg.connect(**where) as connection:
            for text in texts:
                connection.execute(text.encode())
                connection.commit()

    return load


def _install(sources: str) -> Callable[..., None]:
    return _apply(*(step.text for step in shipped()[sources].steps()))


# A server that the variables name may have databases of other runs at the same time.
_NAME = f"gaq_listen_test_{os.getpid()}"

bare_template = factories.postgresql_noproc(
    dbname=f"{_NAME}_bare", depends_on="server", load=[_apply(script("reference_tables"))]
)
installed_template = factories.postgresql_noproc(
    dbname=f"{_NAME}_installed", depends_on="bare_template", load=[_install("reference")]
)
bookkeeping_bare_template = factories.postgresql_noproc(
    dbname=f"{_NAME}_bookkeeping_bare",
    depends_on="server",
    load=[_apply(script("bookkeeping_tables"), BOOKKEEPING_EASED)],
)
bookkeeping_template = factories.postgresql_noproc(
    dbname=f"{_NAME}_bookkeeping", depends_on="bookkeeping_bare_template", load=[_install("bookkeeping")]
)
bare_database = factories.postgresql("bare_template")
installed_database = factories.postgresql("installed_template")
bookkeeping_bare_database = factories.postgresql("bookkeeping_bare_template")
bookkeeping_database = factories.postgresql("bookkeeping_template")


@pytest.fixture
def db(installed_database: Connection[Any]) -> Connection[Any]:
    """Connect in autocommit to a new database with gaq-listen installed."""
    installed_database.autocommit = True
    return installed_database


@pytest.fixture
def dsn(server: Server, db: Connection[Any]) -> str:
    """Return the connection string of the database of ``db``."""
    return server.dsn(db.info.dbname)


@pytest.fixture
def bare_db(bare_database: Connection[Any]) -> Connection[Any]:
    """Connect in autocommit to a new database with the reference tables and nothing else."""
    bare_database.autocommit = True
    return bare_database


@pytest.fixture
def bare_dsn(server: Server, bare_db: Connection[Any]) -> str:
    """Return the connection string of the database of ``bare_db``."""
    return server.dsn(bare_db.info.dbname)


@pytest.fixture
def connect(dsn: str) -> Iterator[Connect]:
    """Return a function that opens further connections to the database of ``db``, by default not in autocommit.

    The function takes the options of ``psycopg.connect``. The fixture closes the connections after the test.
    """
    with ExitStack() as stack:

        def open_connection(**options: Any) -> Connection[Any]:
            connection = psycopg.connect(dsn, **options)
            stack.callback(connection.close)
            return connection

        yield open_connection
