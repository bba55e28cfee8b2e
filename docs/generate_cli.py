"""Write the pages of the command line and of the settings, from the commands and the settings classes."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from inspect import cleandoc

import click

from docs.markdown import page, table
from gaq_listen.cli.main import main
from gaq_listen.cli.options import WORKER
from gaq_listen.cli.options import variable as variable_of
from gaq_listen.private_postgres.binaries import VARIABLE
from gaq_listen.settings import OutputSettings, WorkerSettings, settings_of

SETTINGS = {variable_of(each.option): each for kind in (WorkerSettings, OutputSettings) for each in settings_of(kind)}
"""The settings by their variables."""


def options(command: click.Command) -> list[click.Option]:
    """Return the options of a command, without --help."""
    return [found for found in command.params if isinstance(found, click.Option)]


def kind(parameter: click.Parameter) -> str:
    """Return the placeholder for the value of a parameter. For a flag, return an empty text."""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return ""
    if isinstance(parameter.type, click.Choice):
        return "|".join(parameter.type.choices)
    return parameter.metavar or parameter.type.name.removesuffix(" range").upper()


def default(option: click.Option) -> str:
    """Return the default of an option: a value, or words in parentheses. Without a default, return an empty text."""
    if isinstance(option.show_default, str):
        return f"({option.show_default})"
    if option.is_flag:
        return f"`{option.opts[0]}`" if option.secondary_opts and option.default else ""
    return f"`{option.default}`" if isinstance(option.default, str | int | float) and option.default != "" else ""


def bounds(option: click.Option) -> str:
    """Return the bounds of a number in words. Without bounds, return an empty text."""
    if option.envvar in SETTINGS:
        return SETTINGS[str(option.envvar)].bounds
    limits = option.type
    if not isinstance(limits, click.IntRange | click.FloatRange):
        return ""
    low, high = limits.min, limits.max
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"{'above' if limits.min_open else 'at least'} {low}" if low is not None else f"at most {high}"


def variable(option: click.Option) -> str:
    """Return the environment variable of an option, as code."""
    return f"`{option.envvar}`" if option.envvar else ""


def explained(option: click.Option) -> str:
    """Return the help of an option, with its bounds."""
    return f"{option.help or ''}{f' Bounds: {bounds(option)}.' if bounds(option) else ''}"


def spelled(option: click.Option) -> str:
    """Return an option with the placeholder for its value, as code."""
    return f"`{' / '.join([*option.opts, *option.secondary_opts])}{f' {kind(option)}' if kind(option) else ''}`"


def help_text(command: click.Command) -> Iterator[str]:
    """Yield the help of a command: one sentence a line, and examples as code."""
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            title, _, rest = paragraph.removeprefix("\b\n").partition("\n")
            yield from (title, "", textwrap.indent(textwrap.dedent(rest), "    "), "")
        else:
            yield from (*re.split(r"(?<=\.) (?=[A-Z])", " ".join(paragraph.split())), "")


def command_part(name: str, command: click.Command) -> Iterator[str]:
    """Yield the section of a command."""
    arguments = [found for found in command.params if isinstance(found, click.Argument)]
    words = [found.metavar or (found.name or "").upper() for found in arguments]
    written = [
        word if found.required or word.startswith("[") else f"[{word}]"
        for word, found in zip(words, arguments, strict=True)
    ]
    yield from (f"## {name}", "", "    " + " ".join(["gaq-listen", name, "[OPTIONS]", *written]), "")
    yield from help_text(command)
    yield from table(
        ("option", "meaning", "default", "variable"),
        ((spelled(option), explained(option), default(option), variable(option)) for option in options(command)),
    )


def cli() -> str:
    """Return the page of the command line."""
    return page(
        "Commands and options",
        """
        `gaq-listen COMMAND --help` shows the same texts.
        Durations are written as `250ms`, `30s`, `5m`, `1h` or `7d`; a bare number is seconds.
        Exit codes: 0 good, 1 the answer is bad, 2 usage, 3 the database is unreachable.
        """,
        *(command_part(name, command) for name, command in sorted(main.commands.items())),
    )


FEW = 5
"""Largest number of commands that the page names for one variable."""

OF_SESSIONS = (
    (
        "`gaq.bell`",
        "a session that writes",
        "With `off`, the session rings no worker. Set it in a session that uses `PREPARE TRANSACTION`.",
    ),
    ("`gaq.source_schema`", "psql that applies the SQL", "Schema of the source tables. Default: `public`."),
    (
        "`gaq.drop_dependents`",
        "psql that applies `uninstall`",
        "With `on`, the script also drops objects that depend on `gaq_summaries`.",
    ),
)
OF_DATABASES = (
    (
        "`gaq.settings.keep_changes`",
        "90 days",
        "Time that `gaq.changes` keeps a change. `gaq-listen changes --keep` sets it.",
    ),
)
OTHERS = (
    (f"`{VARIABLE}`", "the demo and the tests", "Directory with `initdb` and `postgres` for a private server."),
    (
        "`GAQ_LISTEN_TEST_DSN`",
        "the tests",
        "Connection string of a server to test on, as a superuser, instead of a private server.",
    ),
    ("`PG*`", "every command", "Variables of libpq. Each supplies a connection parameter that the DSN does not have."),
)


def settings_part(title: str, intro: str, kind: type[WorkerSettings | OutputSettings]) -> Iterator[str]:
    """Yield the section of the settings of a kind."""
    by_variable = {option.envvar: option for option in options(main.commands[WORKER])}
    found = (by_variable[variable_of(setting.option)] for setting in settings_of(kind))
    yield from (f"## {title}", "", intro, "")
    yield from table(
        ("option", "variable", "default", "bounds", "meaning"),
        (
            (f"`{option.opts[0]}`", variable(option), default(option), bounds(option), option.help or "")
            for option in found
        ),
    )


def variables() -> Iterator[str]:
    """Yield the table of the variables that are no settings of a worker, or that several commands read."""
    commands: dict[str, list[str]] = {}
    meaning: dict[str, str] = {}
    for name, command in sorted(main.commands.items()):
        for option in options(command):
            commands.setdefault(variable(option), []).append(f"`{name} {option.opts[0]}`")
            meaning[variable(option)] = option.help or ""
    of_settings = {f"`{name}`" for name in SETTINGS}
    yield from ("## Variables of other options", "")
    yield from table(
        ("variable", "option", "meaning"),
        (
            (name, ", ".join(commands[name]) if len(commands[name]) <= FEW else "almost every command", meaning[name])
            for name in sorted(commands)
            if name not in of_settings or len(commands[name]) > 1
        ),
    )


def static(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield a section with a table."""
    yield from (f"## {title}", "")
    yield from table(head, rows)


def settings() -> str:
    """Return the page of the settings."""
    return page(
        "Settings and variables",
        """
        Every option has an environment variable. An option on the command line overrides its variable.
        A flag is on with `1`, `true`, `yes` or `on`.
        """,
        settings_part(
            "Settings of a worker",
            "`WorkerSettings` of the Python interface has fields with the same names. Durations are seconds there.",
            WorkerSettings,
        ),
        settings_part(
            "Settings of the output", "These settings change what a worker shows, and not what it does.", OutputSettings
        ),
        variables(),
        static("Other variables", ("variable", "who reads it", "meaning"), OTHERS),
        static("Settings of a database", ("setting", "default", "meaning"), OF_DATABASES),
        static("Settings of a session of PostgreSQL", ("setting", "session", "meaning"), OF_SESSIONS),
    )
