"""Write the pages of ``docs/reference`` from the code and from an installed database.

Usage: python -m docs.generate
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import psycopg

from docs.generate_cli import cli, settings
from docs.generate_events import event_page, metrics
from docs.generate_modules import modules
from docs.generate_sql import sql
from gaq_listen.dba import installer
from gaq_listen.dba.scripts import script
from gaq_listen.private_postgres.server import PrivatePostgres

DIRECTORY = Path(__file__).parent / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "cli": cli,
    "settings": settings,
    "events": event_page,
    "metrics": metrics,
    "modules": modules,
}
"""The pages that need no database. The page ``sql`` needs one."""


def write() -> int:
    """Write all pages; return the exit code."""
    DIRECTORY.mkdir(exist_ok=True)
    with PrivatePostgres() as server, psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(script("reference_tables").encode())
        installer.install(connection)
        texts = {name: make() for name, make in PAGES.items()} | {"sql": sql(connection)}
    for name, text in texts.items():
        (DIRECTORY / f"{name}.md").write_text(text, encoding="utf-8")
        click.echo(f"written: docs/reference/{name}.md")
    return 0


if __name__ == "__main__":
    sys.exit(write())
