"""The command ``show``: the summaries of a data pass as a table, data, or a list of runs."""

from pathlib import Path
from typing import Any

import click
from psycopg import Connection
from psycopg.rows import TupleRow
from rich.console import Console

from gaq_listen.cli.options import connected, data_pass_argument, dsn_option, option, tell
from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.errors import BadSetting
from gaq_listen.reports import data_pass_names, picture, progress, run_list, show_view
from gaq_listen.reports import show as showing
from gaq_listen.reports.filters import Comparison, comparison
from gaq_listen.reports.saving import write
from gaq_listen.wording import count, sanitize

PICTURES = {".svg": picture.as_svg, ".html": picture.as_html}
"""What draws a data pass, by the ending of the file."""


def _picture_file(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix not in PICTURES:
        raise click.BadParameter(f"the name must end in {' or '.join(PICTURES)}: that decides what is written")
    return path


def condition(text: str) -> Comparison:
    """Read an option's value as a condition on a fraction."""
    try:
        return comparison(text)
    except BadSetting as error:
        raise click.BadParameter(str(error)) from error


def good_option(command: Any) -> Any:
    """Add ``--good``: conditions on the good fraction."""
    return option(
        "--good",
        type=condition,
        multiple=True,
        metavar="CONDITION",
        help="Show only runs whose good fraction meets this condition: '>=0.5', or with <, <=, =, >. Repeatable.",
    )(command)


def not_bad_option(command: Any) -> Any:
    """Add ``--not-bad``: conditions on 1 minus the bad fraction."""
    return option(
        "--not-bad",
        type=condition,
        multiple=True,
        metavar="CONDITION",
        help="Show only runs whose not-bad fraction meets this condition. Time without a flag counts as not bad.",
    )(command)


@click.command(short_help="Show the summaries of a data pass.")
@dsn_option
@option("--live", is_flag=True, help="Compute stale summaries now, so that no value is out of date. Stores nothing.")
@option("--wait", is_flag=True, help="Wait until a worker has refreshed all stale summaries.")
@option("--stale", is_flag=True, help="Show only stale summaries.")
@option(
    "--below", type=click.FloatRange(0, 1), default=None, help="Show only runs whose good fraction is below this: 0.9."
)
@good_option
@not_bad_option
@option(
    "--max-unverified",
    type=click.IntRange(min=0),
    default=None,
    help="Show only runs with at most this many unverified flags.",
)
@option(
    "--max-undefined",
    type=click.IntRange(min=0),
    default=None,
    help="Show only runs with at most this many periods in which a detector has no flag.",
)
@option("--mc-as-not-bad", is_flag=True, help="Count MC reproducible as not bad, also in --json and --csv.")
@option("--sort", type=click.Choice(list(showing.SORTS)), default="run", help="Sort by this. The worst comes first.")
@option(
    "--list",
    "as_list",
    is_flag=True,
    help="Print only run numbers, separated by commas. Exit with an error if one of the runs is stale.",
)
@option("--lines", is_flag=True, help="Print one run number a line. Needs --list.")
@option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object. With --list, it also says where the list comes from.",
)
@option("--csv", "as_csv", is_flag=True, help="Print CSV, with a line of column names.")
@option(
    "--save",
    "save_to",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default=None,
    callback=_picture_file,
    metavar="FILE",
    help="Draw runs, detectors and totals into a file: .svg or .html.",
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
    good: tuple[Comparison, ...],
    not_bad: tuple[Comparison, ...],
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

    With --list, print the runs that meet the conditions. While one of the runs is stale, that ends with exit code 1,
    unless --live or --wait is given.

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
    _refuse(
        {"--json": as_json, "--csv": as_csv},
        {"--live": live, "--wait": wait},
        {"--list": as_list, "--csv": as_csv},
        {"--list": as_list, "--stale": stale},
        *({"--save": save_to is not None, name: given} for name, given in others.items()),
    )
    if lines and not as_list:
        raise click.UsageError("--lines says how --list is written: give both")
    chosen = showing.Selection(
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
        data_pass_id, name = data_pass_names.data_pass(connection, data_pass)
        found = _read(connection, data_pass_id, name, runs, live, wait, detectors=save_to is not None)
    if as_list:
        made = run_list.make(found, chosen)
        click.echo(made.as_json(SQL_VERSION) if as_json else made.as_text(lines))
        tell(f"{len(made.runs)} of {count(len(found.summaries), 'run')} of {sanitize(name)}")
        return
    shown = found.chosen(chosen)
    if save_to is not None:
        write(save_to, PICTURES[save_to.suffix](shown))
        tell(f"written: {save_to}")
    elif as_json:
        click.echo(show_view.as_json(shown, mc_as_not_bad))
    elif as_csv:
        click.echo(show_view.as_csv(shown, mc_as_not_bad), nl=False)
    else:
        console = Console()
        console.print(show_view.render(shown, chosen, console.width))


def _refuse(*together: dict[str, bool]) -> None:
    for options in together:
        if all(options.values()):
            raise click.UsageError(f"{' and '.join(options)} exclude each other")


def _read(
    connection: Connection[TupleRow],
    data_pass_id: int,
    name: str,
    runs: tuple[int, ...],
    live: bool,
    wait: bool,
    detectors: bool,
) -> showing.DataPass:
    """Read the summaries; with ``wait``, again and again until none of them is stale."""
    while True:
        found = showing.read(connection, data_pass_id, name, runs, live, detectors)
        if not (wait and found.stale):
            return found
        progress.until_fresh(connection, [(data_pass_id, run) for run in found.stale], tell)
