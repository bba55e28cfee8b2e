"""Check that each command has an example in its help, and run the examples."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from psycopg import Connection

from gaq_listen.cli.main import main
from gaq_listen.demo.period import fill
from gaq_listen.demo.play import HINTS

ENDLESS = ("run", "demo", "status --watch")
LAST = ("detach", "install", "uninstall", "doctor")


def examples(name: str) -> list[str]:
    """Return the command lines in the help of a command."""
    text = main.commands[name].help or ""
    _, _, shown = text.partition("Example")
    return re.findall(r"^ *(gaq-listen .*)$", shown, re.MULTILINE)


def everything() -> Iterator[str]:
    """Yield all examples, and the hints of the demo, in an order in which they can run on one database."""
    for name in sorted(main.commands, key=lambda name: (name in LAST, name)):
        yield from examples(name)
        if name == "detach":
            yield "gaq-listen install"
        if name == "show":
            yield from (hint.format(name="LHC22o_apass7") for hint in HINTS)


@pytest.mark.parametrize("name", main.commands)
def test_each_command_has_an_example_and_help_of_options(name: str) -> None:
    assert examples(name)
    assert all(example.startswith(f"gaq-listen {name}") for example in examples(name))
    for parameter in main.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.help[0].isupper()
            assert parameter.help.endswith(".")


def test_the_examples_of_the_help_work(
    db: Connection[Any], dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db, seed=0)
    db.execute("call gaq.drain()")
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    tried = 0
    for example in everything():
        line, _, _ = example.partition(" | psql")
        line, _, file = line.partition(" > ")
        _, name, *words = shlex.split(line)
        if line.removeprefix("gaq-listen ").startswith(ENDLESS) and "--once" not in words:
            # A command that does not end by itself is only parsed.
            main.commands[name].make_context(name, words)
            continue
        # No worker is running, so waiting would never end.
        words = [word for word in words if word != "--wait"] if name == "recalculate" else words
        answer = runner.invoke(main, [name, *words], env={"GAQ_LISTEN_DSN": dsn, "COLUMNS": "80"})
        assert answer.exit_code == 0, f"{example}: {answer.output}"
        assert not file or answer.stdout
        tried += 1
    assert tried > 15
    assert (tmp_path / "526525.svg").exists()
    assert (tmp_path / "LHC22o_apass7.svg").exists()
