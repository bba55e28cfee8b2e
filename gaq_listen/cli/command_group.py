"""Name the variables of options after their commands, and turn errors into one sentence and an exit code."""

import sys
from typing import Any

import click
import psycopg

from gaq_listen.cli.options import WORKER, variable
from gaq_listen.cli.output_encoding import write_anywhere
from gaq_listen.db import sessions
from gaq_listen.errors import GaqListenError
from gaq_listen.reports.data_pass_names import suggestion


class Commands(click.Group):
    """Hold the commands of the program."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, and give each of its options an environment variable that no other command reads.

        A variable that an operator has set and forgotten must not change what another command does, because some
        options make a command write: ``verify --repair``.
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
        """Return the command of that name. Suggest similar names if there is none."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}{suggestion(args[0], self.list_commands(ctx))}")
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
