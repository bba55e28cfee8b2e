"""Settings of a worker and options of commands: bounds, defaults, and environment variables."""

import os
from collections import defaultdict
from dataclasses import fields
from typing import Any

import click
import pytest
from click.testing import CliRunner
from psycopg import Connection

from gaq_listen.cli.main import main
from gaq_listen.cli.options import WORKER
from gaq_listen.errors import BadSetting
from gaq_listen.settings import BATCH, WorkerSettings
from tests.support.tables import stale

SHARED = {"DSN", "SOURCE_SCHEMA", "SOURCES", "LOCK_TIMEOUT", "OBJECTIVE", "LOG_FORMAT"}
"""Options that mean the same in each command that has them."""


def options(command: str) -> dict[str, click.Option]:
    """The options of a command, by name."""
    return {p.opts[0]: p for p in main.commands[command].params if isinstance(p, click.Option)}


def test_each_variable_is_read_by_one_command_unless_the_option_is_shared() -> None:
    readers: dict[str, list[str]] = defaultdict(list)
    for command in main.commands:
        for name, option in options(command).items():
            own = name.strip("-").replace("-", "_").upper()
            scope = "" if command == WORKER or own in SHARED else f"{command.upper()}_"
            assert option.envvar == f"GAQ_LISTEN_{scope}{own}"
            assert option.show_envvar
            readers[option.envvar].append(command)
    several = {variable.removeprefix("GAQ_LISTEN_") for variable, commands in readers.items() if len(commands) > 1}
    assert several == SHARED


def test_a_forgotten_variable_of_another_command_does_not_make_verify_write(period: Connection[Any], dsn: str) -> None:
    period.execute("update gaq.summaries set bad_run_coverage = 0.5 where run_number = 501")
    for variable, marked in (("GAQ_LISTEN_REPAIR", False), ("GAQ_LISTEN_VERIFY_REPAIR", True)):
        answer = CliRunner().invoke(main, ["verify", "--all"], env={"GAQ_LISTEN_DSN": dsn, variable: "1"})
        assert answer.exit_code == 1
        assert bool(stale(period)) is marked


def test_options_and_settings_have_the_same_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith("GAQ_LISTEN_"):
            monkeypatch.delenv(variable)
    given = main.commands[WORKER].make_context(WORKER, []).params
    defaults = {field.name: field.default for field in fields(WorkerSettings)}
    assert {name: given[name] for name in defaults} == defaults


@pytest.mark.parametrize("name", ["min_batch", "max_batch", "audit_rate"])
def test_an_option_and_its_setting_have_the_same_bounds(name: str) -> None:
    bounds = options(WORKER)[f"--{name.replace('_', '-')}"].type
    assert isinstance(bounds, click.IntRange)
    assert bounds.min is not None
    assert bounds.max is not None
    widest: dict[str, Any] = {"min_batch": BATCH[0], "max_batch": BATCH[1]}
    for value in (bounds.min, bounds.max):
        WorkerSettings(**widest | {name: value})
    for value in (bounds.min - 1, bounds.max + 1):
        with pytest.raises(BadSetting, match=f"--{name.replace('_', '-')}"):
            WorkerSettings(**widest | {name: value})
