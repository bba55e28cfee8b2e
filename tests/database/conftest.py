"""The small world of ``world.py``: shared by tests that are rolled back, or a test's own."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection
from pytest_postgresql.executors import NoopExecutor

from tests.conftest import Server
from tests.database import world


@pytest.fixture(scope="session")
def shared_world(server: Server, installed_template: NoopExecutor) -> Iterator[Connection[Any]]:
    """A connection to a database with the world in it. Use ``rolled_back``."""
    name = f"{installed_template.dbname}_world"
    with world.database(server, name, installed_template.template_dbname) as connection:
        world.build(connection)
        yield connection


@pytest.fixture
def rolled_back(shared_world: Connection[Any]) -> Iterator[Connection[Any]]:
    """The world, in a transaction that is rolled back after the test."""
    with shared_world.transaction(force_rollback=True):
        yield shared_world


@pytest.fixture
def committed(db: Connection[Any]) -> Connection[Any]:
    """The world in a database of the test's own; the connection is in autocommit.

    In this database, and so in those connections opened later, who waits for a lock waits in vain.
    """
    db.execute("SET lock_timeout = '20 s'")
    db.execute(f"ALTER DATABASE {db.info.dbname} SET lock_timeout = '20 s'")
    world.build(db)
    return db
