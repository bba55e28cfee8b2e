"""The small world, with gates in its refresh."""

from typing import Any

import pytest
from psycopg import Connection

from tests.proof import gates
from tests.support import small_world


@pytest.fixture
def gated(db: Connection[Any]) -> Connection[Any]:
    """A connection in autocommit to a database of the test's own, with the world and the gates."""
    gates.install(db)
    small_world.build(db)
    return db
