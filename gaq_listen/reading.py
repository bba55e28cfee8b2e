"""Ask a query that reads source tables, without ever waiting for their locks."""

from psycopg import AsyncClientCursor
from psycopg.abc import Params
from psycopg.rows import Row


async def ask(cursor: AsyncClientCursor[Row], query: str, values: Params | None = None) -> list[Row]:
    """Return the rows of a query that reads source tables. It never waits for one, so no migration dies of a deadlock.

    Raises:
        LockNotAvailable: another session has, or wants, a lock on a source table that excludes readers.
    """
    # One message, so one transaction.
    await cursor.execute(b"select gaq.lock_sources();" + query.encode(), values)
    cursor.nextset()
    return await cursor.fetchall()
