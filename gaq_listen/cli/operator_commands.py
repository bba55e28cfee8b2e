"""Define the commands of an operator: pause, resume, recalculate, failures, verify."""

import getpass
import json
import socket
import sys
from contextlib import suppress

import click
from click.core import ParameterSource
from psycopg import Connection
from psycopg.rows import TupleRow
from rich.console import Console

from gaq_listen.adoption import legacy_comparison
from gaq_listen.adoption.legacy_reasons import Reason
from gaq_listen.cli.options import (
    connected,
    data_pass_argument,
    dsn_option,
    option,
    print_note,
    refuse_together,
    value_type,
)
from gaq_listen.db import source_bindings
from gaq_listen.reports import failures as failures_
from gaq_listen.reports import progress, run_ranges, verification
from gaq_listen.reports.data_pass_names import find_data_pass
from gaq_listen.reports.pause import read as read_pause
from gaq_listen.wording import count, listed
from gaq_listen.worker.auditor import Difference

RUNS = value_type("run_ranges", run_ranges.parse)


def _user() -> str:
    """Return who runs this program: ``user@host``."""
    name = "somebody"
    with suppress(OSError, KeyError):
        name = getpass.getuser()
    return f"{name}@{socket.gethostname()}"


@click.command(short_help="Stop all refreshing, until resume.")
@dsn_option
@option("--reason", default=None, help="Reason for the pause. Workers, gaq-listen status and the console show it.")
@option("--wait", is_flag=True, help="Return only after workers have finished the batches that they had begun.")
def pause(dsn: str, reason: str | None, wait: bool) -> None:
    """Stop all refreshing in this database, by every worker, until "gaq-listen resume". A restart does not end a pause.

    Triggers go on marking changes, so nothing is lost.

    \b
    Example:
      gaq-listen pause --wait --reason "maintenance until 14:00"
    """
    with connected(dsn) as connection:
        ((paused_now,),) = connection.execute("select gaq.pause(%s, %s)", (reason, _user())).fetchall()
        if not paused_now and (earlier := read_pause(connection)):
            since = f"{earlier.paused_at:%Y-%m-%d %H:%M:%S} UTC"
            why = f": {earlier.reason}" if earlier.reason else ""
            print_note(f"was paused already, by {earlier.paused_by} since {since}{why}")
        if wait:
            progress.until_no_batch(connection, print_note)
        if paused_now:
            print_note("paused: no worker begins a batch until: gaq-listen resume")


@click.command(short_help="End a pause.")
@dsn_option
def resume(dsn: str) -> None:
    """End a pause. Workers go on at once, with the oldest marks first.

    \b
    Example:
      gaq-listen resume
    """
    with connected(dsn) as connection:
        ((resumed,),) = connection.execute("select gaq.resume()").fetchall()
        print_note("resumed" if resumed else "was not paused")


@click.command(short_help="Mark a data pass, or some of its runs, for recomputation.")
@dsn_option
@data_pass_argument
@option(
    "--runs",
    type=RUNS,
    default=None,
    show_default="all",
    metavar="RUNS",
    help="Mark only runs with these numbers, or in these ranges of numbers: 12,15-18.",
)
@option("--wait", is_flag=True, help="Return only after workers have refreshed the marked runs, and show progress.")
def recalculate(dsn: str, data_pass: str, runs: list[run_ranges.Range] | None, wait: bool) -> None:
    """Mark the runs of a data pass, given by name or id, so that a worker computes them again.

    Exits with 1 if --wait is given and some of the runs cannot be computed.

    \b
    Example:
      gaq-listen recalculate LHC22o_apass7 --runs 526525,526700-526750 --wait
    """
    with connected(dsn) as connection:
        data_pass_id, name = find_data_pass(connection, data_pass)
        numbers = run_ranges.existing_runs(connection, data_pass_id)
        if runs is not None:
            numbers = run_ranges.select(numbers, runs, name)
        connection.execute("select gaq.recalculate(%s, %s)", ([data_pass_id] * len(numbers), numbers))
        print_note(f"marked: {count(len(numbers), 'run')} of {name}")
        if wait:
            progress.until_fresh(connection, [(data_pass_id, number) for number in numbers], print_note)


@click.command(short_help="List pairs that cannot be computed.")
@dsn_option
@option("--retry", is_flag=True, help="Ask workers to try all failing pairs again now, instead of at their next time.")
@option("--json", "as_json", is_flag=True, help="Print the failing pairs as a JSON list.")
def failures(dsn: str, retry: bool, as_json: bool) -> None:
    """List the pairs whose computation fails.

    A failing pair keeps its value and stays stale, and workers try it again.

    Exits with 0 if there are none, and with 1 if there are some.

    \b
    Examples:
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
            print_note(f"{count(retried, 'pair')} will be tried now")
    sys.exit(1 if found else 0)


@click.command(short_help="Recompute pairs and compare with what is stored.")
@dsn_option
@option(
    "--sample",
    type=click.IntRange(min=1),
    default=1000,
    help="Number of pairs to compare, chosen at random. Raise it for more certainty; it costs time.",
)
@option("--all", "every", is_flag=True, help="Compare all pairs instead of a sample.")
@option("--repair", is_flag=True, help="Mark the pairs that differ, so that a worker computes them again.")
@option(
    "--original",
    is_flag=True,
    help="Compare what the application had stored in its own table gaq_summaries with what is computed here, and say "
    "why they differ. For a database whose table the installation has adopted.",
)
def verify(dsn: str, sample: int, every: bool, repair: bool, original: bool) -> None:
    """Recompute pairs that are not stale, and compare them with what is stored. Writes nothing, except with --repair.

    A difference comes from a change that no trigger saw: a trigger was disabled, a partition was attached, or rows
    came by replication. "gaq-listen doctor" looks for the reason. Exits with 1 if a pair differs, also with --repair,
    and if gaq-listen reads another table or column than it was installed for.

    With --original, compare what an application had stored in a table gaq_summaries, before the installation adopted
    the table, with what is computed here. The command prints each difference with its reason. Exits with 1 if one has
    no known reason.

    \b
    Example:
      gaq-listen verify --all --repair
    """
    sampled = click.get_current_context().get_parameter_source("sample") is ParameterSource.COMMANDLINE
    refuse_together(
        {"--all": every, "--sample": sampled},
        {"--original": original, "--all": every},
        {"--original": original, "--sample": sampled},
        {"--original": original, "--repair": repair},
    )
    with connected(dsn) as connection:
        connection.execute("set default_transaction_read_only = on")
        if original:
            sys.exit(0 if _compare_with_original(connection) else 1)
        total = verification.count_pairs(connection)
        with progress.progress_bar() as bar:
            task = bar.add_task("compared", total=total if every else min(sample, total))
            outcome = verification.verify(
                connection,
                None if every else sample,
                lambda difference: click.echo(verification.side_by_side(difference)),
                lambda pairs: bar.advance(task, pairs),
            )
        click.echo(outcome.sentence())
        if changes := [what for _, what in source_bindings.source_changes(connection)]:
            click.echo(f"ALARM: this compares with what gaq-listen reads, and {source_bindings.alarm(changes)}")
        if repair and outcome.differing:
            connection.execute("set default_transaction_read_only = off")
            verification.repair(connection, outcome.differing)
            print_note(f"marked: {count(len(outcome.differing), 'pair')}")
    sys.exit(1 if outcome.differing or changes else 0)


def _compare_with_original(connection: Connection[TupleRow]) -> bool:
    """Print how the summaries of the adopted table differ. Return whether each difference has a known reason."""
    total = legacy_comparison.count_summaries(connection)
    never: list[str] = []

    def report(difference: Difference, why: Reason) -> None:
        if why is Reason.NEVER:
            never.append(verification.pair_name(difference))
        else:
            click.echo(f"{verification.side_by_side(difference)}\n    because: {why.value}")

    with progress.progress_bar() as bar:
        task = bar.add_task("compared", total=total)
        outcome = legacy_comparison.compare(connection, report, lambda pairs: bar.advance(task, pairs))
    if never:
        click.echo(f"never computed by the application: {listed(never)}")
    click.echo(outcome.summary())
    return outcome.good
