"""Share between all commands: options with their variables, a connection, and errors as one sentence."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
import psycopg
from click.shell_completion import CompletionItem
from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.cli.output_encoding import write_anywhere
from gaq_listen.db import missing_rights, sessions
from gaq_listen.errors import BadSetting, GaqListenError
from gaq_listen.reports import data_pass_names
from gaq_listen.settings import seconds


def duration(text: str) -> float:
    """Read the value of an option, such as ``250ms``, ``30s`` or ``5m``, as seconds."""
    try:
        return seconds(text)
    except BadSetting as error:
        raise click.BadParameter(str(error)) from error


def address(text: str) -> tuple[str, int]:
    """Read the value of an option as host and port: ``HOST:PORT``, ``[::1]:9187``, or ``:9187`` for all addresses."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isdecimal() or not int(port) < 65536:
        raise click.BadParameter(f"{text!r} is not HOST:PORT: write 127.0.0.1:9187")
    return host.removeprefix("[").removesuffix("]"), int(port)


def log_format_option(command: Any) -> Any:
    """Add ``--log-format``: how a worker shows what it does."""
    return shared_option(
        "--log-format",
        type=click.Choice(["auto", "rich", "plain", "json"]),
        default="auto",
        help="auto: a live console on a terminal, and plain lines elsewhere. rich, plain, json: always that one.",
    )(command)


def data_pass_argument(command: Any) -> Any:
    """Add the argument DATA_PASS, a name or an id, which the shell can complete."""
    return click.argument("data_pass", shell_complete=_data_passes)(command)


def optional_data_pass_argument(command: Any) -> Any:
    """Add the argument DATA_PASS, which may be left out."""
    return click.argument("data_pass", required=False, shell_complete=_data_passes)(command)


def _data_passes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of data passes that begin with ``incomplete``; none if the database does not answer."""
    dsn = ctx.params.get("dsn") or os.environ.get("GAQ_LISTEN_DSN", "")
    with suppress(psycopg.Error, GaqListenError), connected(dsn) as connection:
        return [CompletionItem(name) for name in data_pass_names.starting_with(connection, incomplete)]
    return []


def option(name: str, *names: str, **details: Any) -> Callable[[Any], Any]:
    """Add an option of one command. ``Commands`` names its environment variable after the command."""
    shown: dict[str, Any] = {"show_default": True}
    return click.option(name, *names, **(shown | details))


def shared_option(name: str, *names: str, **details: Any) -> Callable[[Any], Any]:
    """Add an option that means the same in several commands, so that they share one environment variable."""
    return option(name, *names, envvar=variable(name), show_envvar=True, **details)


def variable(name: str, command: str = "") -> str:
    """Return the name of an option's environment variable.

    >>> variable("--lock-timeout"), variable("--repair", "verify")
    ('GAQ_LISTEN_LOCK_TIMEOUT', 'GAQ_LISTEN_VERIFY_REPAIR')
    """
    words = ["gaq", "listen", command, name.partition("/")[0].strip("-")]
    return "_".join(word for word in words if word).replace("-", "_").upper()


dsn_option = shared_option(
    "--dsn",
    default="",
    show_default="libpq's PG* variables",
    help="Connection string or URL of the database.",
)
schema_option = shared_option(
    "--source-schema",
    default=None,
    show_default="the one it was installed with, else public",
    help="The schema that the source tables are in.",
)


objective_option = shared_option(
    "--objective",
    type=duration,
    default="1s",
    help="Longest time that a pair may be stale before the answer is bad.",
)

WORKER = "run"
"""The command whose options are the settings of the worker. Their variables do without its name."""


class Commands(click.Group):
    """Names the variables of options, and turns errors into one sentence and an exit code."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, and give each of its options an environment variable that no other command reads.

        A variable that is set and forgotten must not change what another command does: ``verify --repair`` writes.
        """
        super().add_command(cmd, name)
        scope = name or cmd.name or ""
        for parameter in cmd.params:
            if isinstance(parameter, click.Option) and parameter.envvar is None:
                parameter.envvar = variable(parameter.opts[0], "" if scope == WORKER else scope)
                parameter.show_envvar = True

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program."""
        write_anywhere()
        return super().main(*args, **kwargs)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of that name. Suggest names that are alike if there is none."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}{data_pass_names.suggestion(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. End the program with a sentence on stderr and an exit code if the command fails."""
        try:
            return super().invoke(ctx)
        except psycopg.Error as error:
            self._fail(sessions.explained_errors(error))
        except GaqListenError as error:
            self._fail(error)

    @staticmethod
    def _fail(error: GaqListenError) -> None:
        click.echo(f"gaq-listen: {error}", err=True)
        sys.exit(error.exit_code)


@contextmanager
def connected(dsn: str, installed: bool = True) -> Iterator[Connection[TupleRow]]:
    """Connect for a few queries, and say which right is missing if one is."""
    with sessions.connect_once(dsn, "gaq-listen") as connection:
        try:
            if installed:
                sessions.require_installed(connection)
            yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            missing_rights.add_advice(connection, error)
            raise


def tell(text: str) -> None:
    """Print progress on stderr, beside the data on stdout."""
    click.echo(text, err=True)
