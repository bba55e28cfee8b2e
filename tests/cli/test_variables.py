"""Check defaults, bounds, help and environment variables of settings and options."""

import os
from collections import defaultdict
from typing import Any

import click
import pytest
from click.testing import CliRunner
from psycopg import Connection

from gaq_listen.cli.main import main
from gaq_listen.cli.options import WORKER, variable
from gaq_listen.errors import BadSetting
from gaq_listen.settings import OutputSettings, Setting, WorkerSettings, from_options, settings_of
from tests.support.tables import stale

SHARED = {"DSN", "SOURCE_SCHEMA", "SOURCES", "LOCK_TIMEOUT", "OBJECTIVE", "LOG_FORMAT"}
"""Options that mean the same in each command that has them."""


KINDS: tuple[type[WorkerSettings] | type[OutputSettings], ...] = (WorkerSettings, OutputSettings)


def options(command: str) -> dict[str, click.Option]:
    """Return the options of a command by name."""
    return {p.opts[0]: p for p in main.commands[command].params if isinstance(p, click.Option)}


def test_a_variable_is_read_by_one_command_unless_shared() -> None:
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


def test_verify_ignores_a_variable_of_another_command(period: Connection[Any], dsn: str) -> None:
    period.execute("update gaq.summaries set bad_run_coverage = 0.5 where run_number = 501")
    for name, marked in (("GAQ_LISTEN_REPAIR", False), ("GAQ_LISTEN_VERIFY_REPAIR", True)):
        answer = CliRunner().invoke(main, ["verify", "--all"], env={"GAQ_LISTEN_DSN": dsn, name: "1"})
        assert answer.exit_code == 1
        assert bool(stale(period)) is marked


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of the program from the environment."""
    for name in list(os.environ):
        if name.startswith("GAQ_LISTEN_"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_variables")
def test_options_and_settings_have_the_same_defaults() -> None:
    values = main.commands[WORKER].make_context(WORKER, []).params
    assert set(values) == {setting.name for kind in KINDS for setting in settings_of(kind)}
    for kind in KINDS:
        assert from_options(kind, values) == kind()


@pytest.mark.parametrize("setting", [each for each in settings_of(WorkerSettings) if each.bounds], ids=str)
def test_settings_accept_a_bound_and_refuse_a_value_beyond(setting: Setting) -> None:
    widest: dict[str, Any] = {"debounce": 0, "min_batch": 1, "max_batch": 1_000}
    for bound, step in ((setting.low, -1), (setting.high, 1)):
        if bound is not None:
            WorkerSettings(**widest | {setting.name: bound})
            with pytest.raises(BadSetting, match=f"^{setting.option} must be {setting.bounds}"):
                WorkerSettings(**widest | {setting.name: bound + step})


@pytest.mark.parametrize("setting", [each for each in settings_of(WorkerSettings) if each.low], ids=str)
def test_run_refuses_a_value_beyond_a_bound(setting: Setting) -> None:
    assert setting.low is not None
    answer = CliRunner().invoke(main, ["run", setting.option, str(setting.low / 2 if setting.kind is float else 0)])
    assert answer.exit_code == 2
    assert setting.option in answer.output


@pytest.mark.parametrize("setting", [each for kind in KINDS for each in settings_of(kind)], ids=str)
def test_an_option_of_run_has_the_help_of_its_setting(setting: Setting) -> None:
    option = options(WORKER)[setting.option]
    assert (option.help, option.envvar) == (setting.help, variable(setting.option))
