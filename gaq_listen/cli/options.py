"""Define options, arguments and their types for all commands, and connect a command to the database."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args

import click
import psycopg
from click.shell_completion import CompletionItem
from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.db import missing_rights, sessions
from gaq_listen.errors import BadSetting, GaqListenError
from gaq_listen.reports import data_pass_names
from gaq_listen.settings import OutputSettings, Setting, WorkerSettings, parse_address, parse_duration, settings_of

Decorator = Callable[[Any], Any]

WORKER = "run"
"""The command whose options are the settings of the worker. Their variables do without its name."""


def variable(name: str, command: str = "") -> str:
    """Return the name of an option's environment variable.

    >>> variable("--lock-timeout"), variable("--repair", "verify")
    ('GAQ_LISTEN_LOCK_TIMEOUT', 'GAQ_LISTEN_VERIFY_REPAIR')
    """
    words = ["gaq", "listen", command, name.partition("/")[0].strip("-")]
    return "_".join(word for word in words if word).replace("-", "_").upper()


def option(name: str, *names: str, **details: Any) -> Decorator:
    """Add an option of one command. ``Commands`` names its environment variable after the command."""
    shown: dict[str, Any] = {"show_default": True}
    return click.option(name, *names, **(shown | details))


def shared_option(name: str, *names: str, **details: Any) -> Decorator:
    """Add an option that means the same in several commands, so that they share one environment variable."""
    return option(name, *names, envvar=variable(name), show_envvar=True, **details)


def refuse_together(*together: dict[str, bool]) -> None:
    """Raise a usage error for the first group of options that are all given."""
    for options in together:
        if all(options.values()):
            raise click.UsageError(f"{' and '.join(options)} exclude each other")


# Types of values ------------------------------------------------------------------------------------------------------


def value_type(name: str, parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a type of option values from a function that raises ``BadSetting``, which becomes a usage error.

    The help shows ``name`` in capital letters as the value.
    """

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except BadSetting as error:
            raise click.BadParameter(str(error)) from error

    convert.__name__ = name
    return convert


DURATION = value_type("duration", parse_duration)
ADDRESS = value_type("address", parse_address)


def save_option(suffixes: Sequence[str], help: str) -> Decorator:  # noqa: A002
    """Add ``--save FILE``. The name of the file must have one of these endings."""

    def check(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
        if path is not None and path.suffix not in suffixes:
            endings = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
            raise click.BadParameter(f"the name must end in {endings}, which decides what is written")
        return path

    file = click.Path(dir_okay=False, writable=True, path_type=Path)
    return option("--save", "save_to", type=file, default=None, callback=check, metavar="FILE", help=help)


# Options that are settings --------------------------------------------------------------------------------------------


def settings_options(kind: type[Any]) -> Decorator:
    """Add an option for each field of ``WorkerSettings`` or ``OutputSettings``, in their order."""

    def add(command: Any) -> Any:
        for setting in reversed(list(settings_of(kind))):
            command = _setting_option(setting)(command)
        return command

    return add


def _setting_option(setting: Setting) -> Decorator:
    names = f"{setting.option}/--no-{setting.option[2:]}" if setting.default is True else setting.option
    return shared_option(
        names,
        **_value_of(setting),
        show_default=setting.default_text or True,
        metavar=setting.metavar,
        help=setting.help,
    )


def _value_of(setting: Setting) -> dict[str, Any]:
    """Return the arguments of ``click.option`` that say how the value of a setting is read."""
    if setting.kind is bool:
        return {"is_flag": True, "default": setting.default}
    if setting.kind is float:
        return {"type": DURATION, "default": setting.text(setting.default)}
    if setting.kind is int:
        low, high = (None if bound is None else int(bound) for bound in (setting.low, setting.high))
        return {"type": click.IntRange(low, high), "default": setting.default}
    if setting.kind is str:
        return {"type": str, "default": setting.default}
    if choices := [choice for choice in get_args(setting.kind) if isinstance(choice, str)]:
        return {"type": click.Choice(choices), "default": setting.default}
    return {"type": ADDRESS, "default": setting.default}


def _option_of(kind: type[Any], name: str) -> Decorator:
    return next(_setting_option(setting) for setting in settings_of(kind) if setting.name == name)


dsn_option = _option_of(WorkerSettings, "dsn")
objective_option = _option_of(OutputSettings, "objective")
log_format_option = _option_of(OutputSettings, "log_format")

# Arguments ------------------------------------------------------------------------------------------------------------


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


# What commands do ----------------------------------------------------------------------------------------------------


@contextmanager
def connected(dsn: str, installed: bool = True) -> Iterator[Connection[TupleRow]]:
    """Connect for a few queries. Name the missing right in the error of a query that lacks one.

    ``installed``: refuse a database without the SQL of this version.
    """
    with sessions.connect_once(dsn, "gaq-listen") as connection:
        try:
            if installed:
                sessions.require_installed(connection)
            yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            missing_rights.add_advice(connection, error)
            raise


def print_note(text: str) -> None:
    """Print a line on stderr, which leaves stdout to the data."""
    click.echo(text, err=True)
