"""The small world of ``world.py``: shared by tests that are rolled back, or a test's own; and the shape that it has."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from psycopg import Connection

from tests.conftest import Connect, Server
from tests.support import small_world
from tests.support.shapes import REFERENCE, Shape


@pytest.fixture
def shape(request: pytest.FixtureRequest) -> Shape:
    """The shape of the source tables, for tests that are parametrised with it; else that of the reference."""
    found: Shape = getattr(request, "param", REFERENCE)
    return found


@pytest.fixture
def db(request: pytest.FixtureRequest, shape: Shape) -> Connection[Any]:
    """A connection in autocommit to a new database with gaq-listen installed."""
    connection: Connection[Any] = request.getfixturevalue(shape.database)
    connection.autocommit = True
    return shape.speak(connection)


@pytest.fixture
def bare_db(request: pytest.FixtureRequest, shape: Shape) -> Connection[Any]:
    """A connection in autocommit to a new database with the source tables and nothing else."""
    connection: Connection[Any] = request.getfixturevalue(shape.bare)
    connection.autocommit = True
    return shape.speak(connection)


@pytest.fixture
def connect(connect: Connect, shape: Shape) -> Connect:
    """Opens further connections to the database of ``db``, not in autocommit unless told so."""
    return lambda **options: shape.speak(connect(**options))


@pytest.fixture(scope="session")
def shared_worlds(server: Server, request: pytest.FixtureRequest) -> Iterator[Callable[[Shape], Connection[Any]]]:
    """Connections to databases with the world in it, one for each shape. Use ``rolled_back``."""
    with ExitStack() as stack:
        found: dict[Shape, Connection[Any]] = {}

        def of(shape: Shape) -> Connection[Any]:
            if shape not in found:
                template = request.getfixturevalue(shape.template)
                name = f"{template.dbname}_world"
                connection = stack.enter_context(small_world.database(server, name, template.template_dbname))
                small_world.build(shape.speak(connection))
                found[shape] = connection
            return found[shape]

        yield of


@pytest.fixture
def rolled_back(shared_worlds: Callable[[Shape], Connection[Any]], shape: Shape) -> Iterator[Connection[Any]]:
    """The world, in a transaction that is rolled back after the test."""
    connection = shared_worlds(shape)
    with connection.transaction(force_rollback=True):
        yield connection


@pytest.fixture
def committed(db: Connection[Any]) -> Connection[Any]:
    """The world in a database of the test's own; the connection is in autocommit.

    In this database, and so in those connections opened later, who waits for a lock waits in vain.
    """
    db.execute("SET lock_timeout = '20 s'")
    db.execute(f"ALTER DATABASE {db.info.dbname} SET lock_timeout = '20 s'")
    small_world.build(db)
    return db
