"""Define the command ``show``, which shows summaries of a data pass as a table, data, a picture or a run list."""

from pathlib import Path

import click
from psycopg import Connection
from psycopg.rows import TupleRow
from rich.console import Console

from gaq_listen.cli.options import (
    connected,
    data_pass_argument,
    dsn_option,
    option,
    print_note,
    refuse_together,
    save_option,
    value_type,
)
from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.reports import picture, progress, run_list, show_view
from gaq_listen.reports import show as show_
from gaq_listen.reports.data_pass_names import find_data_pass
from gaq_listen.reports.filters import Condition, parse_condition
from gaq_listen.reports.saving import write
from gaq_listen.wording import count, sanitize

PICTURES = {".svg": picture.as_svg, ".html": picture.as_html}
"""The function that draws a data pass, by the ending of the file."""
CONDITION = value_type("condition", parse_condition)


@click.command(short_help="Show the summaries of a data pass.")
@dsn_option
@option(
    "--live",
    is_flag=True,
    help="Compute stale summaries now, so that every value is up to date, and do not store them.",
)
@option("--wait", is_flag=True, help="Wait until workers have refreshed all stale summaries, and show progress.")
@option("--stale", is_flag=True, help="Show only stale summaries.")
@option(
    "--below", type=click.FloatRange(0, 1), default=None, help="Show only runs whose good fraction is below this: 0.9."
)
@option(
    "--good",
    type=CONDITION,
    multiple=True,
    help="Show only runs whose good fraction, the time that flags say is good, meets this condition: '>=0.5', or with "
    "<, <=, = or >. Repeat the option to give several conditions.",
)
@option(
    "--not-bad",
    type=CONDITION,
    multiple=True,
    help="Show only runs whose not-bad fraction, which is 1 minus the bad fraction, meets this condition: '>=0.95', or "
    "with <, <=, = or >. Time without a flag counts as not bad. Repeat the option to give several conditions.",
)
@option(
    "--max-unverified",
    type=click.IntRange(min=0),
    default=None,
    help="Show only runs with at most this many flags without a verification.",
)
@option(
    "--max-undefined",
    type=click.IntRange(min=0),
    default=None,
    help="Show only runs with at most this many periods in which a detector has no flag.",
)
@option(
    "--mc-as-not-bad",
    is_flag=True,
    help="Count MC reproducible time as not bad in conditions, sorting, the table, --json and --csv. By default it "
    "counts as bad.",
)
@option(
    "--sort",
    type=click.Choice(list(show_.SORTS)),
    default="run",
    help="Sort by run number, or by a value with the worst run first.",
)
@option(
    "--list",
    "as_list",
    is_flag=True,
    help="Print only the numbers of the runs that meet all conditions, separated by commas. Exit with an error if one "
    "of the runs is stale.",
)
@option("--lines", is_flag=True, help="Print the numbers of --list one a line.")
@option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the summaries as one JSON object. With --list, print the run numbers with their conditions and origin.",
)
@option("--csv", "as_csv", is_flag=True, help="Print the summaries as CSV, with a line of column names.")
@save_option(
    tuple(PICTURES), "Draw runs, detectors and totals into a file instead of on stdout. The name ends in .svg or .html."
)
@data_pass_argument
@click.argument("runs", nargs=-1, type=int, metavar="[RUN]...")
def show(
    dsn: str,
    data_pass: str,
    runs: tuple[int, ...],
    live: bool,
    wait: bool,
    stale: bool,
    below: float | None,
    good: tuple[Condition, ...],
    not_bad: tuple[Condition, ...],
    max_unverified: int | None,
    max_undefined: int | None,
    mc_as_not_bad: bool,
    sort: str,
    as_list: bool,
    lines: bool,
    as_json: bool,
    as_csv: bool,
    save_to: Path | None,
) -> None:
    """Show the summaries of a data pass, given by name or id: of all runs, or of the RUNs given. Totals come last.

    With --list, print the numbers of the runs that meet the conditions. A list could be wrong while a run is stale, so
    the command then exits with 1, unless --live or --wait is given.

    \b
    Examples:
      gaq-listen show LHC22o_apass7
      gaq-listen show LHC22o_apass7 526525 526726
      gaq-listen show LHC22o_apass7 --below 0.9 --mc-as-not-bad --sort good
      gaq-listen show LHC22o_apass7 --live --csv > LHC22o_apass7.csv
      gaq-listen show LHC22o_apass7 --live --save LHC22o_apass7.svg
      gaq-listen show LHC22o_apass7 --not-bad '>=0.95' --max-unverified 0 --max-undefined 0 --list --live
    """
    others = {"--list": as_list, "--json": as_json, "--csv": as_csv}
    refuse_together(
        {"--json": as_json, "--csv": as_csv},
        {"--live": live, "--wait": wait},
        {"--list": as_list, "--csv": as_csv},
        {"--list": as_list, "--stale": stale},
        *({"--save": save_to is not None, name: given} for name, given in others.items()),
    )
    if lines and not as_list:
        raise click.UsageError("--lines says how to print --list: give both")
    selection = show_.Selection(
        runs,
        stale,
        below,
        mc_as_not_bad,
        sort,
        good,
        not_bad,
        max_unverified=max_unverified,
        max_undefined=max_undefined,
    )
    with connected(dsn) as connection:
        data_pass_id, name = find_data_pass(connection, data_pass)
        found = _read(connection, data_pass_id, name, runs, live, wait, detectors=save_to is not None)
    if as_list:
        listed = run_list.make(found, selection)
        click.echo(listed.as_json(SQL_VERSION) if as_json else listed.as_text(lines))
        print_note(f"{len(listed.runs)} of {count(len(found.summaries), 'run')} of {sanitize(name)}")
        return
    shown = found.selected(selection)
    if save_to is not None:
        write(save_to, PICTURES[save_to.suffix](shown))
        print_note(f"written: {save_to}")
    elif as_json:
        click.echo(show_view.as_json(shown, mc_as_not_bad))
    elif as_csv:
        click.echo(show_view.as_csv(shown, mc_as_not_bad), nl=False)
    else:
        console = Console()
        console.print(show_view.render(shown, selection, console.width))


def _read(
    connection: Connection[TupleRow],
    data_pass_id: int,
    name: str,
    runs: tuple[int, ...],
    live: bool,
    wait: bool,
    detectors: bool,
) -> show_.DataPassSummaries:
    """Read the summaries. With ``wait``, read them again until none of them is stale."""
    while True:
        found = show_.read(connection, data_pass_id, name, runs, live, detectors)
        if not (wait and found.stale):
            return found
        progress.until_fresh(connection, [(data_pass_id, run) for run in found.stale], print_note)
