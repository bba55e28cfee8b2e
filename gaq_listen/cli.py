"""The commands: they parse, call, and end with an exit code; what they do is elsewhere."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import click
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from rich.console import Console
from rich.live import Live

from gaq_listen import __version__, database
from gaq_listen.dba import installer, scripts
from gaq_listen.errors import BadSetting, GaqListenError
from gaq_listen.reports import show as show_report
from gaq_listen.reports import status as status_report
from gaq_listen.running import LogFormat, run_worker
from gaq_listen.settings import WorkerSettings, seconds


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


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gaq-listen")
def main() -> None:
    """Keeps stored Global Aggregated Quality (GAQ) summaries fresh.

    Triggers mark what a change of QC flags, GAQ detectors or run times has made stale; a worker refreshes it within
    milliseconds. To see it all without a database of your own: gaq-listen demo
    """


@contextmanager
def connected(dsn: str, installed: bool = True) -> Iterator[Connection[TupleRow]]:
    """A connection for a few questions."""
    with database.connect_now(dsn, "gaq-listen") as connection:
        if installed:
            database.require_installed(connection.execute(database.INSTALLED).fetchone())
        yield connection


def tell(text: str) -> None:
    """Progress, beside the data on stdout."""
    click.echo(text, err=True)


@main.command(short_help="The worker: refreshes what is stale, until stopped.")
@dsn_option
@option("--once", is_flag=True, help="Refresh everything that is stale, then exit.")
@option(
    "--debounce",
    type=duration,
    default="100ms",
    help="A pair that was just refreshed waits until it has been quiet for so long.",
)
@option(
    "--max-wait",
    type=duration,
    default="1s",
    help="But not longer than this after its first mark.",
)
@option("--min-batch", type=int, default=20, help="Smallest number of pairs to ask for at a time.")
@option("--max-batch", type=int, default=400, help="Largest number of pairs in a batch.")
@option(
    "--sweep",
    type=duration,
    default="30s",
    help="How often to look for marks that no wake-up announced.",
)
@option(
    "--announce/--no-announce",
    default=True,
    help="Notify channel gaq_refreshed of the pairs of each batch.",
)
@option(
    "--log-format",
    type=click.Choice(["auto", "rich", "plain"]),
    default="auto",
    help="auto: a live console on a terminal, else one line an event.",
)
def run(log_format: LogFormat, **given: Any) -> None:
    """The worker: refreshes what is stale within milliseconds, until it is stopped.

    Ctrl-C (or SIGTERM) finishes the batch in flight; a second one leaves at once. Either way nothing is lost.

    \b
    Example:
      gaq-listen run --dsn postgresql://gaq@db.example/bookkeeping
    """
    settings = WorkerSettings(**{f.name: given[f.name] for f in fields(WorkerSettings)})
    sys.exit(run_worker(settings, log_format))


@main.command(short_help="How fresh everything is.")
@dsn_option
@option("--watch", is_flag=True, help="Go on, every two seconds, until Ctrl-C.")
@option("--json", "as_json", is_flag=True, help="One JSON object (with --watch: one a line).")
@option("--objective", type=duration, default="1s", help="How long a pair may be stale at the most.")
def status(dsn: str, watch: bool, as_json: bool, objective: float) -> None:
    """How fresh everything is; read from the database, whether or not a worker runs.

    Exits with 0 when no pair has been stale for longer than the objective, 1 when one has, 3 when the database
    cannot be reached.

    \b
    Example:
      gaq-listen status --json --objective 5s
    """
    console = Console()
    with connected(dsn) as connection:
        report = status_report.read(connection)
        if not watch:
            _print_status(console, report, as_json, objective)
            sys.exit(0 if report.is_good(objective) else 1)
        try:
            with Live(console=console, auto_refresh=False) as live:
                while True:
                    if as_json or not console.is_terminal:
                        _print_status(console, report, as_json, objective)
                    else:
                        live.update(status_report.render(report, objective), refresh=True)
                    time.sleep(2)
                    report = status_report.read(connection)
        except KeyboardInterrupt:
            sys.exit(0 if report.is_good(objective) else 1)


def _print_status(console: Console, report: status_report.Status, as_json: bool, objective: float) -> None:
    if as_json:
        click.echo(json.dumps(report.as_json() | {"good": report.is_good(objective)}))
    else:
        console.print(status_report.render(report, objective), soft_wrap=True)


@main.command(short_help="The summaries of a data pass.")
@dsn_option
@click.argument("data_pass")
@click.argument("runs", nargs=-1, type=int, metavar="[RUN]...")
def show(dsn: str, data_pass: str, runs: tuple[int, ...]) -> None:
    """The summaries of a data pass, given by name or id: all runs, or the runs named.

    \b
    Example:
      gaq-listen show LHC22o_apass7 526641 526647
    """
    with connected(dsn) as connection:
        data_pass_id, name = show_report.data_pass(connection, data_pass)
        summaries = show_report.read(connection, data_pass_id, runs)
    Console().print(show_report.render(name, summaries))


@main.command(short_help="Creates schema gaq, the view gaq_summaries and the triggers.")
@dsn_option
@schema_option
def install(dsn: str, source_schema: str) -> None:
    """Creates schema gaq, the view gaq_summaries, and the triggers on the source tables; or brings them up to date.

    Each script is one transaction that gives up, and tries again, when it would hold up writers for more than 3 s.
    Pairs that were never computed are marked. To apply by hand what this applies: gaq-listen sql NAME

    \b
    Example:
      gaq-listen install --dsn postgresql://dba@db.example/bookkeeping
    """
    with connected(dsn, installed=False) as connection:
        installer.install(connection, source_schema, tell)
        tell(f"installed in database {connection.info.dbname!r}; start a worker: gaq-listen run")


@main.command(short_help="Removes triggers, view and schema gaq.")
@dsn_option
@click.confirmation_option("--yes", prompt="Remove the triggers, gaq_summaries and all stored summaries?")
def uninstall(dsn: str) -> None:
    """Removes the triggers, the view gaq_summaries, and schema gaq with all stored summaries. Source data stays.

    \b
    Example:
      gaq-listen uninstall --yes
    """
    with connected(dsn, installed=False) as connection:
        installer.uninstall(connection, tell)
        tell(f"nothing of gaq-listen is left in database {connection.info.dbname!r}")


@main.command(short_help="Prints a SQL script, for psql.")
@click.argument("name", required=False)
def sql(name: str | None) -> None:
    """Prints the SQL script NAME, or the names of all.

    \b
    Example:
      gaq-listen sql 20_sources > 20_sources.sql
      psql -1 -f 20_sources.sql
    """
    click.echo("\n".join(scripts.names()) if name is None else scripts.script(name), nl=name is None)


@main.command(short_help="Everything at work, on a private throw-away PostgreSQL.")
@option(
    "--seconds",
    "length",
    type=duration,
    default=None,
    help="End after so long; else with Ctrl-C.",
)
@option("--rate", type=float, default=20.0, help="Changes a second that the shift makes.")
@option("--seed", type=int, default=0, help="Another seed, another shift.")
@option(
    "--log-format",
    type=click.Choice(["auto", "rich", "plain"]),
    default="auto",
    help="auto: a live console on a terminal, else one line an event.",
)
def demo(length: float | None, rate: float, seed: int, log_format: LogFormat) -> None:
    """Everything at work: a private PostgreSQL, an LHC period, a simulated shift, the worker and its console.

    Nothing is left behind. Needs the extra gaq-listen[demo], or a PostgreSQL that is installed.

    \b
    Example:
      gaq-listen demo --seconds 20
    """
    from gaq_listen.demo.play import play

    sys.exit(play(length, rate, seed, log_format))
