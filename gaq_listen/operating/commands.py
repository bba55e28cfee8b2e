"""The commands of an operator."""

import getpass
import json
import socket
import sys
from contextlib import suppress

import click
from psycopg import Connection
from psycopg.rows import TupleRow
from rich.console import Console

from gaq_listen import bindings
from gaq_listen.audit import Difference
from gaq_listen.dba.doctor.finding import listed
from gaq_listen.errors import BadSetting
from gaq_listen.operating import failures as failures_
from gaq_listen.operating import originals, verifying, waiting
from gaq_listen.operating import runs as runs_
from gaq_listen.operating.reasons import Reason
from gaq_listen.options import connected, dsn_option, option, tell
from gaq_listen.reports.names import data_pass as find_data_pass


def run_ranges(text: str) -> list[runs_.Range]:
    """An option's type: run numbers and ranges, ``12,15-18``."""
    try:
        return runs_.ranges(text)
    except BadSetting as error:
        raise click.BadParameter(str(error)) from error


def _who() -> str:
    name = "somebody"
    with suppress(OSError, KeyError):
        name = getpass.getuser()
    return f"{name}@{socket.gethostname()}"


@click.command(short_help="Stops all refreshing, until resume.")
@dsn_option
@option("--reason", default=None, help="What workers, status and the console say of it.")
@option("--wait", is_flag=True, help="Return only when no batch is in flight any more.")
def pause(dsn: str, reason: str | None, wait: bool) -> None:
    """Stops all refreshing in this database, by every worker; it holds until "gaq-listen resume", whatever restarts.

    Changes go on being marked, so nothing is lost.

    \b
    Example:
      gaq-listen pause --wait --reason "maintenance until 14:00"
    """
    with connected(dsn) as connection:
        ((changed,),) = connection.execute("select gaq.pause(%s, %s)", (reason, _who())).fetchall()
        if not changed:
            ((by, since, why),) = connection.execute(
                "select paused_by, to_char(paused_at, 'YYYY-MM-DD HH24:MI:SS'), reason from gaq.paused"
            ).fetchall()
            tell(f"was paused already, by {by} since {since} UTC" + (f": {why}" if why else ""))
        if wait:
            waiting.until_no_batch(connection, tell)
        if changed:
            tell("paused: no worker begins a batch until: gaq-listen resume")


@click.command(short_help="Ends a pause.")
@dsn_option
def resume(dsn: str) -> None:
    """Ends a pause: workers go on at once, the oldest marks first.

    \b
    Example:
      gaq-listen resume
    """
    with connected(dsn) as connection:
        ((changed,),) = connection.execute("select gaq.resume()").fetchall()
        tell("resumed" if changed else "was not paused")


@click.command(short_help="Marks a data pass, or some of its runs, to be computed again.")
@dsn_option
@click.argument("data_pass")
@option(
    "--runs", type=run_ranges, default=None, show_default="all", metavar="RUNS", help="Run numbers and ranges: 12,15-18"
)
@option("--wait", is_flag=True, help="Show progress, and return when they are fresh.")
def recalculate(dsn: str, data_pass: str, runs: list[runs_.Range] | None, wait: bool) -> None:
    """Marks the runs of a data pass, given by name or id, to be computed again by whoever works.

    Exits with 1 when --wait is given and some of them cannot be computed.

    \b
    Example:
      gaq-listen recalculate LHC22o_apass7 --runs 526525,526700-526750 --wait
    """
    with connected(dsn) as connection:
        data_pass_id, name = find_data_pass(connection, data_pass)
        numbers = runs_.existing(connection, data_pass_id)
        if runs is not None:
            numbers = runs_.chosen(numbers, runs, name)
        pairs = [(data_pass_id, number) for number in numbers]
        connection.execute("select gaq.recalculate(%s, %s)", ([data_pass_id] * len(numbers), numbers))
        tell(f"marked: {len(pairs)} runs of {name}")
        if wait:
            waiting.until_fresh(connection, pairs, tell)


@click.command(short_help="Pairs that cannot be computed.")
@dsn_option
@option("--retry", is_flag=True, help="Try them all now, rather than when they are due.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
def failures(dsn: str, retry: bool, as_json: bool) -> None:
    """Lists the pairs whose computation fails: they keep their value, stay stale, and are tried again and again.

    Exits with 0 when there are none, else 1.

    \b
    Example:
      gaq-listen failures
      gaq-listen failures --retry
    """
    with connected(dsn) as connection:
        found = failures_.read(connection)
        if as_json:
            click.echo(json.dumps([failure.as_json() for failure in found], indent=2))
        elif found:
            Console().print(failures_.render(found))
        else:
            click.echo("every pair can be computed")
        if retry and found:
            ((retried,),) = connection.execute("select gaq.retry_failures()").fetchall()
            tell(f"{retried} are tried now")
    sys.exit(1 if found else 0)


def _verify_original(connection: Connection[TupleRow]) -> bool:
    total = originals.count(connection)
    never: list[str] = []

    def found(difference: Difference, why: Reason) -> None:
        if why is Reason.NEVER:
            never.append(verifying.named(difference))
        else:
            click.echo(f"{verifying.side_by_side(difference)}\n    because: {why.value}")

    with waiting.progress() as bar:
        task = bar.add_task("compared", total=total)
        outcome = originals.compare(connection, found, lambda pairs: bar.advance(task, pairs))
    if never:
        click.echo(f"never computed by the application: {listed(never)}")
    click.echo(outcome.summary())
    return outcome.good


@click.command(short_help="Recomputes, and compares with what is stored.")
@dsn_option
@option("--sample", type=click.IntRange(min=1), default=1000, help="How many pairs, chosen at random.")
@option("--all", "every", is_flag=True, help="All pairs.")
@option("--repair", is_flag=True, help="Mark those that differ, to be computed again.")
@option(
    "--original", is_flag=True, help="Compare with what the table held that was taken over, and say why they differ."
)
def verify(dsn: str, sample: int, every: bool, repair: bool, original: bool) -> None:
    """Recomputes pairs that are not stale, and compares with what is stored. It reads, and writes nothing.

    A difference is a change that no trigger saw (a trigger was disabled, a partition was attached, rows came by
    replication): "gaq-listen doctor" looks for the reason. Exits with 1 when there is one, also after --repair; and
    when gaq-listen reads another table or column than it was installed for.

    With --original, all that an application had stored itself before it was taken over is compared with what is
    computed here. That differs for known reasons, which are told; it exits with 1 only when for some none is known.

    \b
    Example:
      gaq-listen verify --all --repair
    """
    with connected(dsn) as connection:
        connection.execute("set default_transaction_read_only = on")
        if original:
            sys.exit(0 if _verify_original(connection) else 1)
        total = verifying.count(connection)
        with waiting.progress() as bar:
            task = bar.add_task("compared", total=total if every else min(sample, total))
            outcome = verifying.compare(
                connection,
                None if every else sample,
                lambda difference: click.echo(verifying.side_by_side(difference)),
                lambda pairs: bar.advance(task, pairs),
            )
        click.echo(outcome.summary())
        if changes := [what for _, what in bindings.read(connection)]:
            click.echo(f"ALARM: this compares with what gaq-listen reads, and {bindings.alarm(changes)}")
        if repair and outcome.differing:
            connection.execute("set default_transaction_read_only = off")
            verifying.repair(connection, outcome.differing)
            tell(f"marked: {len(outcome.differing)}")
    sys.exit(1 if outcome.differing or changes else 0)
