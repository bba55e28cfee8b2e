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

from gaq_listen.adoption import legacy_comparison
from gaq_listen.adoption.legacy_reasons import Reason
from gaq_listen.cli.options import connected, data_pass_argument, dsn_option, option, tell
from gaq_listen.db import source_bindings
from gaq_listen.dba.checks.finding import listed
from gaq_listen.errors import BadSetting
from gaq_listen.reports import failures as failures_
from gaq_listen.reports import progress, verification
from gaq_listen.reports import run_ranges as runs_
from gaq_listen.reports.data_pass_names import data_pass as find_data_pass
from gaq_listen.worker.auditor import Difference


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


@click.command(short_help="Stop all refreshing, until resume.")
@dsn_option
@option("--reason", default=None, help="Reason that workers, status and the console show.")
@option("--wait", is_flag=True, help="Return only after the last batch in flight has ended.")
def pause(dsn: str, reason: str | None, wait: bool) -> None:
    """Stop all refreshing in this database, by every worker, until "gaq-listen resume". A restart does not end a pause.

    Triggers go on marking changes, so nothing is lost.

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
            progress.until_no_batch(connection, tell)
        if changed:
            tell("paused: no worker begins a batch until: gaq-listen resume")


@click.command(short_help="End a pause.")
@dsn_option
def resume(dsn: str) -> None:
    """End a pause. Workers go on at once, with the oldest marks first.

    \b
    Example:
      gaq-listen resume
    """
    with connected(dsn) as connection:
        ((changed,),) = connection.execute("select gaq.resume()").fetchall()
        tell("resumed" if changed else "was not paused")


@click.command(short_help="Mark a data pass, or some of its runs, for recomputation.")
@dsn_option
@data_pass_argument
@option(
    "--runs",
    type=run_ranges,
    default=None,
    show_default="all",
    metavar="RUNS",
    help="Mark only these run numbers and ranges: 12,15-18.",
)
@option("--wait", is_flag=True, help="Show progress, and return when the marked runs are fresh.")
def recalculate(dsn: str, data_pass: str, runs: list[runs_.Range] | None, wait: bool) -> None:
    """Mark the runs of a data pass, given by name or id, so that a worker computes them again.

    Exits with 1 if --wait is given and some of the runs cannot be computed.

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
            progress.until_fresh(connection, pairs, tell)


@click.command(short_help="List pairs that cannot be computed.")
@dsn_option
@option("--retry", is_flag=True, help="Try all failing pairs again now instead of at their next time.")
@option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def failures(dsn: str, retry: bool, as_json: bool) -> None:
    """List the pairs whose computation fails. A failing pair keeps its value, stays stale, and is tried again.

    Exits with 0 if there are none, and with 1 if there are some.

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
    total = legacy_comparison.count(connection)
    never: list[str] = []

    def found(difference: Difference, why: Reason) -> None:
        if why is Reason.NEVER:
            never.append(verification.named(difference))
        else:
            click.echo(f"{verification.side_by_side(difference)}\n    because: {why.value}")

    with progress.progress() as bar:
        task = bar.add_task("compared", total=total)
        outcome = legacy_comparison.compare(connection, found, lambda pairs: bar.advance(task, pairs))
    if never:
        click.echo(f"never computed by the application: {listed(never)}")
    click.echo(outcome.summary())
    return outcome.good


@click.command(short_help="Recompute pairs and compare with what is stored.")
@dsn_option
@option("--sample", type=click.IntRange(min=1), default=1000, help="Compare this many pairs, chosen at random.")
@option("--all", "every", is_flag=True, help="Compare all pairs instead of a sample.")
@option("--repair", is_flag=True, help="Mark pairs that differ, so that a worker computes them again.")
@option("--original", is_flag=True, help="Compare with the values of the adopted table, and say why they differ.")
def verify(dsn: str, sample: int, every: bool, repair: bool, original: bool) -> None:
    """Recompute pairs that are not stale, and compare them with what is stored. Writes nothing, except with --repair.

    A difference comes from a change that no trigger saw: a trigger was disabled, a partition was attached, or rows
    came by replication. "gaq-listen doctor" looks for the reason. Exits with 1 if a pair differs, also with --repair,
    and if gaq-listen reads another table or column than it was installed for.

    With --original, compare what an application had stored in a table gaq_summaries, before the installation took its
    place, with what is computed here. Each difference is printed with its reason. Exits with 1 if one has no known
    reason.

    \b
    Example:
      gaq-listen verify --all --repair
    """
    with connected(dsn) as connection:
        connection.execute("set default_transaction_read_only = on")
        if original:
            sys.exit(0 if _verify_original(connection) else 1)
        total = verification.count(connection)
        with progress.progress() as bar:
            task = bar.add_task("compared", total=total if every else min(sample, total))
            outcome = verification.compare(
                connection,
                None if every else sample,
                lambda difference: click.echo(verification.side_by_side(difference)),
                lambda pairs: bar.advance(task, pairs),
            )
        click.echo(outcome.summary())
        if changes := [what for _, what in source_bindings.source_changes(connection)]:
            click.echo(f"ALARM: this compares with what gaq-listen reads, and {source_bindings.alarm(changes)}")
        if repair and outcome.differing:
            connection.execute("set default_transaction_read_only = off")
            verification.repair(connection, outcome.differing)
            tell(f"marked: {len(outcome.differing)}")
    sys.exit(1 if outcome.differing or changes else 0)
