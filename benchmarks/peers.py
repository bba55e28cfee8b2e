"""Install and run the job queues for the comparison: ``python -m benchmarks.peers NAME DSN`` runs a worker.

Each is configured as its documentation recommends for many jobs. PgQueuer uses asyncpg, a pool for the jobs, and
batches of 100. procrastinate runs ten jobs at a time, and deletes finished jobs.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

CONCURRENT = 10
BATCH = 100
_REFRESH = "select refresh_pair({}, {})"


def schema(peer: str) -> str:
    """Return the SQL that installs a job queue, from its own installer."""
    if peer == "pgqueuer":
        command = [str(Path(sys.executable).with_name("pgq")), "sql", "install"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    from procrastinate.schema import SchemaManager

    return str(SchemaManager.get_schema())


async def run_pgqueuer(dsn: str) -> None:
    """Run a worker of PgQueuer until the process is ended."""
    import asyncpg
    from pgqueuer import PgQueuer
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.models import Job
    from psycopg.conninfo import conninfo_to_dict

    where = conninfo_to_dict(dsn)
    there = {"host": where["host"], "port": str(where["port"]), "user": where["user"], "database": where["dbname"]}
    connection = await asyncpg.connect(**there)
    async with asyncpg.create_pool(min_size=CONCURRENT, max_size=CONCURRENT, **there) as pool:
        queuer = PgQueuer(AsyncpgDriver(connection))

        @queuer.entrypoint("refresh")
        async def refresh(job: Job) -> None:
            await pool.execute(_REFRESH.format("$1", "$2"), *json.loads(job.payload or b""))

        await queuer.run(batch_size=BATCH)


async def run_procrastinate(dsn: str) -> None:
    """Run a worker of procrastinate until the process is ended."""
    from procrastinate import App, PsycopgConnector
    from psycopg_pool import AsyncConnectionPool

    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=CONCURRENT, max_size=CONCURRENT + 5))
    settings = {"autocommit": True}
    async with AsyncConnectionPool(dsn, min_size=CONCURRENT, max_size=CONCURRENT, kwargs=settings) as pool:

        @app.task(name="refresh")
        async def refresh(data_pass_id: int, run_number: int) -> None:
            async with pool.connection() as connection:
                await connection.execute(_REFRESH.format("%s", "%s"), (data_pass_id, run_number))

        async with app.open_async():
            await app.run_worker_async(concurrency=CONCURRENT, delete_jobs="successful")


if __name__ == "__main__":
    _, chosen, where = sys.argv
    asyncio.run(run_pgqueuer(where) if chosen == "pgqueuer" else run_procrastinate(where))
