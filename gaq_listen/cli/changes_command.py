"""Define the command ``changes``, which lists the values that refreshes have changed, and why."""

import click
from rich.console import Console

from gaq_listen.cli.options import (
    DURATION,
    connected,
    dsn_option,
    option,
    optional_data_pass_argument,
    print_note,
)
from gaq_listen.reports import changes as changes_
from gaq_listen.reports.data_pass_names import find_data_pass
from gaq_listen.wording import duration as in_words


@click.command(short_help="Show which values changed, when, and why.")
@dsn_option
@option(
    "--since", type=DURATION, default="1d", help="Show only changes that are at most this old, such as 30m, 12h or 7d."
)
@option(
    "--limit",
    type=click.IntRange(min=1),
    default=1000,
    help="Most changes to show. The command leaves out the oldest if there are more.",
)
@option("--json", "as_json", is_flag=True, help="Print the changes as a JSON list.")
@option(
    "--keep",
    type=DURATION,
    default=None,
    help="Set how long this database keeps changes, such as 30d. 0 keeps none. Needs the role gaq_worker.",
)
@optional_data_pass_argument
@click.argument("run_number", type=int, required=False, metavar="[RUN]")
def changes(
    dsn: str,
    since: float,
    limit: int,
    as_json: bool,
    keep: float | None,
    data_pass: str | None,
    run_number: int | None,
) -> None:
    """Show which values changed, when, and why: of all data passes, of one, or of a RUN in it. The newest comes last.

    A refresh that leaves the values as they were is no change. The database keeps changes for 90 days, unless --keep
    sets another time.

    \b
    Examples:
      gaq-listen changes
      gaq-listen changes LHC22o_apass7 --since 12h
      gaq-listen changes LHC22o_apass7 526525 --since 7d --json
    """
    with connected(dsn) as connection:
        if keep is not None:
            before = changes_.set_retention(connection, keep)
            print_note(f"changes are kept for {_days(keep)} (before: {_days(before)})")
            if data_pass is None:
                return
        data_pass_id = None if data_pass is None else find_data_pass(connection, data_pass)[0]
        found = changes_.read(connection, data_pass_id, run_number, since, limit)
        retention = changes_.retention(connection)
    if as_json:
        click.echo(changes_.as_json(found))
    elif found:
        Console().print(changes_.render(found), soft_wrap=False)
    else:
        click.echo(f"no change in the last {_days(since)}")
    if len(found) == limit:
        print_note(f"only the newest {limit} are shown: see --limit")
    if not retention:
        print_note("no changes are kept: see --keep")
    elif retention < since:
        print_note(f"this database keeps changes for {_days(retention)} only: see --keep")


def _days(seconds: float) -> str:
    days, rest = divmod(seconds, 86400)
    return f"{days:.0f} d" if days and not rest else in_words(seconds)
