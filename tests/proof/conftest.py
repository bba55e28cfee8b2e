"""Provide the small world, with gates in its refresh."""

from typing import Any

import pytest
from psycopg import Connection

from tests.proof import gates
from tests.support import small_world


@pytest.fixture
def gated(db: Connection[Any]) -> Connection[Any]:
    """Return an autocommit connection to a database of its own, with the small world and the gates."""
    gates.install(db)
    small_world.build(db)
    return db
