"""A server for the session, and for each test a database that is its own.

The server is the one ``GAQ_LISTEN_TEST_DSN`` or libpq's PG* variables lead to (as a superuser), and
otherwise a private one. Databases are copies of two templates: one has only the reference tables,
the other has gaq-listen installed as well.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from pytest_postgresql import factories

from gaq_listen.dba.scripts import INSTALL_SCRIPTS, script
from gaq_listen.demo.private_postgres import PrivatePostgres
from tests.small_period import period as period

Connect: TypeAlias = Callable[..., Connection[Any]]


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is: what pytest-postgresql reads of a fixture it depends on."""

    host: str
    port: int
    user: str
    password: str | None
    options: str
    maintenance_dbname: str
    template_dbname: str | None = None

    def dsn(self, dbname: str) -> str:
        """The connection string of one of its databases."""
        return make_conninfo(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password or None,
            options=self.options or None,
            dbname=dbname,
        )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server all databases are created on."""
    with ExitStack() as stack:
        dsn = os.environ.get("GAQ_LISTEN_TEST_DSN", "")
        if not dsn and not {"PGHOST", "PGSERVICE", "PGDATABASE"} & os.environ.keys():
            dsn = stack.enter_context(PrivatePostgres()).dsn()
        with psycopg.connect(dsn) as connection:
            info = connection.info
            found = Server(info.host, info.port, info.user, info.password, info.options, info.dbname)
        yield found


def _apply(*names: str) -> Callable[..., None]:
    def load(**where: Any) -> None:
        with psycopg.connect(**where) as connection:
            for name in names:
                connection.execute(script(name).encode())
                connection.commit()

    return load


# A server of somebody else may have databases of other runs.
_NAME = f"gaq_listen_test_{os.getpid()}"

bare_template = factories.postgresql_noproc(
    dbname=f"{_NAME}_bare", depends_on="server", load=[_apply("reference_tables")]
)
installed_template = factories.postgresql_noproc(
    dbname=f"{_NAME}_installed", depends_on="bare_template", load=[_apply(*INSTALL_SCRIPTS)]
)
bare_database = factories.postgresql("bare_template")
installed_database = factories.postgresql("installed_template")


@pytest.fixture
def db(installed_database: Connection[Any]) -> Connection[Any]:
    """A connection in autocommit to a new database with gaq-listen installed."""
    installed_database.autocommit = True
    return installed_database


@pytest.fixture
def dsn(server: Server, db: Connection[Any]) -> str:
    """The connection string of the database of ``db``."""
    return server.dsn(db.info.dbname)


@pytest.fixture
def bare_db(bare_database: Connection[Any]) -> Connection[Any]:
    """A connection in autocommit to a new database with the reference tables and nothing else."""
    bare_database.autocommit = True
    return bare_database


@pytest.fixture
def bare_dsn(server: Server, bare_db: Connection[Any]) -> str:
    """The connection string of the database of ``bare_db``."""
    return server.dsn(bare_db.info.dbname)


@pytest.fixture
def connect(dsn: str) -> Iterator[Connect]:
    """Opens further connections to the database of ``db``, not in autocommit unless told so.

    Takes what ``psycopg.connect`` takes; the connections are closed after the test.
    """
    with ExitStack() as stack:

        def open_connection(**options: Any) -> Connection[Any]:
            connection = psycopg.connect(dsn, **options)
            stack.callback(connection.close)
            return connection

        yield open_connection
