"""The commands of a DBA."""

import json
import sys
from dataclasses import asdict

import click

from gaq_listen.cli.options import connected, dsn_option, duration, option, schema_option, shared_option, tell
from gaq_listen.dba import doctor as doctor_
from gaq_listen.dba import findings_view, installer, scripts
from gaq_listen.dba import sources as sources_
from gaq_listen.dba.plan.plan_text import render_plan
from gaq_listen.dba.plan.planner import make_plan

lock_timeout_option = shared_option(
    "--lock-timeout", type=duration, default="3s", help="How long a step may hold up writers while it waits for a lock."
)
sources_option = shared_option(
    "--sources",
    default=None,
    show_default="those it was installed with, else reference",
    help="Whose tables they are: reference, bookkeeping, or the path of a sources file of your own.",
)


@click.command(short_help="Creates schema gaq, the view gaq_summaries and the triggers.")
@dsn_option
@schema_option
@sources_option
@lock_timeout_option
@option("--plan", "only_plan", is_flag=True, help="Change nothing: tell what would be done, and what is in its way.")
def install(dsn: str, source_schema: str | None, sources: str | None, lock_timeout: float, only_plan: bool) -> None:
    """Creates schema gaq, the view gaq_summaries, and the triggers on the source tables; or brings them up to date.

    Each step is a transaction that locks one table at the most, and gives up and tries again when it would hold up
    writers for longer than --lock-timeout. Whatever --plan calls an obstacle is refused before anything changes. Pairs
    that were never computed are marked. To apply the same by hand:
    gaq-listen sql install

    \b
    Example:
      gaq-listen install --plan
      gaq-listen install
    """
    with connected(dsn, installed=False) as connection:
        if only_plan:
            plan = make_plan(connection, source_schema, sources)
            click.echo(render_plan(plan))
            sys.exit(1 if plan.obstacles else 0)
        installer.install(connection, source_schema, lock_timeout, tell, sources)
        tell(f"installed in database {connection.info.dbname!r}; start a worker: gaq-listen run")


@click.command(short_help="Make way for a migration; install attaches again.")
@dsn_option
@lock_timeout_option
def detach(dsn: str, lock_timeout: float) -> None:
    """Take away the triggers and all else that depends on the source tables, so that any migration can run.

    Summaries, marks, roles, and gaq_summaries with its grants stay. Readers go on; every summary counts as stale,
    because no change is seen any more, and workers pause. "gaq-listen install" attaches again, and everything is
    computed anew.
    Renames need no detach; docs/guides/your-migrations.md says which migrations do.

    \b
    Example:
      gaq-listen detach
    """
    with connected(dsn) as connection:
        installer.detach(connection, lock_timeout, tell)
        tell("detached: every summary is stale, and workers wait; after the migration: gaq-listen install")


@click.command(short_help="Removes triggers, view and schema gaq.")
@dsn_option
@lock_timeout_option
@option(
    "--drop-dependents", is_flag=True, help="Also drop what others have built on gaq_summaries, such as their views."
)
@click.confirmation_option("--yes", prompt="Remove the triggers, gaq_summaries and all stored summaries?")
def uninstall(dsn: str, lock_timeout: float, drop_dependents: bool) -> None:
    """Removes the triggers, the view gaq_summaries, and schema gaq with all stored summaries. Source data stays.

    If others have built views, materialized views or functions on gaq_summaries, it lists them and removes nothing,
    unless --drop-dependents is given.

    \b
    Example:
      gaq-listen uninstall --yes
    """
    with connected(dsn, installed=False) as connection:
        installer.uninstall(connection, lock_timeout, tell, drop_dependents)
        tell(f"nothing of gaq-listen is left in database {connection.info.dbname!r}")


@click.command(short_help="Looks for what is missing, altered, blind or slow.")
@dsn_option
@option("--json", "as_json", is_flag=True, help="A JSON list of findings.")
def doctor(dsn: str, as_json: bool) -> None:
    """Compares what is installed with what should be, and looks for what makes marking blind or slow.

    Each finding says what, why it matters, and the command that fixes it; where no command can, what to do. Exits with
    0 when there is none, else 1.

    \b
    Example:
      gaq-listen doctor
    """
    with connected(dsn) as connection:
        findings = doctor_.examine(connection)
    as_data = [asdict(finding) for finding in findings]
    click.echo(json.dumps(as_data, indent=2) if as_json else findings_view.render(findings, list(doctor_.CHECKS)))
    sys.exit(1 if findings else 0)


@click.command(short_help="Prints a SQL script, for psql.")
@click.argument("name", required=False)
@schema_option
@sources_option
def sql(name: str | None, source_schema: str | None, sources: str | None) -> None:
    """Prints the SQL script NAME, or the names of all.

    NAME "install" is all that gaq-listen install applies; NAME "sources" is the one file that names source tables. Both
    go by --sources.

    \b
    Example:
      gaq-listen sql install | psql -f -
      gaq-listen sql sources --sources bookkeeping
      gaq-listen sql bookkeeping.load > bookkeeping.load
    """
    if name is None:
        click.echo("\n".join(["install", *scripts.names()]))
    elif name == "install":
        click.echo(
            sources_.installation(sources_.named(sources or sources_.REFERENCE), source_schema or sources_.SCHEMA),
            nl=False,
        )
    elif name in ("sources", "20_sources", "20_sources.sql"):
        click.echo(sources_.named(sources or sources_.REFERENCE).text, nl=False)
    else:
        click.echo(scripts.script(name), nl=False)
