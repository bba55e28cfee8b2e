"""What all commands have in common: options, a connection, errors as one sentence."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen import database
from gaq_listen.errors import BadSetting, GaqListenError
from gaq_listen.settings import seconds


def duration(text: str) -> float:
    """An option's type: ``250ms``, ``30s``, ``5m``, in seconds."""
    try:
        return seconds(text)
    except BadSetting as error:
        raise click.BadParameter(str(error)) from error


def option(name: str, *names: str, **details: Any) -> Callable[[Any], Any]:
    """An option with its environment variable: ``--max-wait`` is ``GAQ_LISTEN_MAX_WAIT``."""
    variable = "GAQ_LISTEN_" + name.partition("/")[0].strip("-").replace("-", "_").upper()
    shown: dict[str, Any] = {"envvar": variable, "show_envvar": True, "show_default": True}
    return click.option(name, *names, **(shown | details))


dsn_option = option(
    "--dsn",
    default="",
    show_default="libpq's PG* variables",
    help="Connection string or URL of the database.",
)
schema_option = option("--source-schema", default="public", help="The schema that the source tables are in.")


class Commands(click.Group):
    """Turns errors into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except psycopg.OperationalError as error:
            self._fail(database.unreachable(error))
        except psycopg.Error as error:
            self._fail(database.explained(error))
        except GaqListenError as error:
            self._fail(error)

    @staticmethod
    def _fail(error: GaqListenError) -> None:
        click.echo(f"gaq-listen: {error}", err=True)
        sys.exit(error.exit_code)


@contextmanager
def connected(dsn: str, installed: bool = True) -> Iterator[Connection[TupleRow]]:
    """A connection for a few questions."""
    with database.connect_now(dsn, "gaq-listen") as connection:
        if installed:
            database.require_installed(connection)
        yield connection


def tell(text: str) -> None:
    """Progress, beside the data on stdout."""
    click.echo(text, err=True)
