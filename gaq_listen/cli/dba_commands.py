"""Define the commands of a DBA: install, detach, uninstall, doctor, sql."""

import json
import sys
from dataclasses import asdict

import click

from gaq_listen.cli.options import DURATION, Decorator, connected, dsn_option, option, print_note, shared_option
from gaq_listen.dba import doctor as doctor_
from gaq_listen.dba import findings_view, installer, scripts
from gaq_listen.dba import sources as sources_
from gaq_listen.dba.plan.plan_text import render_plan
from gaq_listen.dba.plan.planner import make_plan


def _schema_option(default: str) -> Decorator:
    """Add ``--source-schema``. ``default`` says in the help which schema the command uses without the option."""
    return shared_option(
        "--source-schema",
        default=None,
        show_default=default,
        help="Schema of the source tables. It also gets the view gaq_summaries.",
    )


def _sources_option(default: str) -> Decorator:
    """Add ``--sources``. ``default`` says in the help which file the command uses without the option."""
    return shared_option(
        "--sources",
        default=None,
        show_default=default,
        help="Sources file, which names the source tables and columns: reference, bookkeeping, or the path of your "
        "own.",
    )


lock_timeout_option = shared_option(
    "--lock-timeout",
    type=DURATION,
    default="3s",
    help="Longest time that a step waits for a lock on a table, and makes writers wait behind it. The step then gives "
    "up and tries again. Lower it on a busy database.",
)


@click.command(short_help="Create or update schema gaq, gaq_summaries and the triggers.")
@dsn_option
@_schema_option("the schema of the last installation, else public")
@_sources_option("the file of the last installation, else reference")
@lock_timeout_option
@option(
    "--plan", "only_plan", is_flag=True, help="Change nothing. Print the steps and their locks, and what prevents them."
)
def install(dsn: str, source_schema: str | None, sources: str | None, lock_timeout: float, only_plan: bool) -> None:
    """Create schema gaq, the view gaq_summaries and the triggers on the source tables, or bring them up to date.

    Each step is a transaction that locks at most one table. A step that has waited for a lock for --lock-timeout gives
    up and tries again, so that writers do not wait for longer. The command refuses to start if --plan reports an
    obstacle. It marks pairs that were never computed. To apply the same SQL by hand:
    gaq-listen sql install

    \b
    Examples:
      gaq-listen install --plan
      gaq-listen install
    """
    with connected(dsn, installed=False) as connection:
        if only_plan:
            plan = make_plan(connection, source_schema, sources)
            click.echo(render_plan(plan))
            sys.exit(1 if plan.obstacles else 0)
        installer.install(connection, source_schema, lock_timeout, print_note, sources)
        print_note(f"installed in database {connection.info.dbname!r}; start a worker: gaq-listen run")


@click.command(short_help="Remove the triggers before a migration, and keep the summaries.")
@dsn_option
@lock_timeout_option
def detach(dsn: str, lock_timeout: float) -> None:
    """Remove the triggers and everything else that depends on the source tables, so that any migration can run.

    Summaries, marks, roles, and the view gaq_summaries with its grants stay, and readers go on. Every summary counts
    as stale, because no trigger sees a change, and workers refresh nothing. After the migration, "gaq-listen install"
    attaches the triggers again, and workers compute every summary anew.

    A migration that only renames tables or columns needs no detach. docs/guides/your-migrations.md says which
    migrations do.

    \b
    Example:
      gaq-listen detach
    """
    with connected(dsn) as connection:
        installer.detach(connection, lock_timeout, print_note)
        print_note("detached: every summary is stale, and workers wait; after the migration: gaq-listen install")


@click.command(short_help="Remove the triggers, gaq_summaries and schema gaq.")
@dsn_option
@lock_timeout_option
@option(
    "--drop-dependents",
    is_flag=True,
    help="Also drop the views and functions that others have built on gaq_summaries. Without this option, the command "
    "lists them and removes nothing.",
)
@click.confirmation_option(
    "--yes",
    prompt="Remove the triggers, gaq_summaries and all stored summaries?",
    help="Do not ask for confirmation. For scripts.",
)
def uninstall(dsn: str, lock_timeout: float, drop_dependents: bool) -> None:
    """Remove the triggers, the view gaq_summaries, and schema gaq with all stored summaries. Source data stays.

    If others have built views, materialized views or functions on gaq_summaries, the command lists them and removes
    nothing, unless --drop-dependents is given. A table gaq_summaries that the installation has adopted gets its name
    back.

    \b
    Example:
      gaq-listen uninstall --yes
    """
    with connected(dsn, installed=False) as connection:
        installer.uninstall(connection, lock_timeout, print_note, drop_dependents)
        print_note(f"nothing of gaq-listen is left in database {connection.info.dbname!r}")


@click.command(short_help="Look for what is missing, altered, unseen or slow.")
@dsn_option
@option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
def doctor(dsn: str, as_json: bool) -> None:
    """Compare the database with what was installed, and look for changes that no trigger sees and for slow workers.

    Each finding says what is wrong, why it matters, and which command fixes it. If no command does, the finding says
    what to do instead. Exits with 0 if there is no finding, and with 1 if there is one.

    \b
    Example:
      gaq-listen doctor
    """
    with connected(dsn) as connection:
        findings = doctor_.examine(connection)
    as_data = [asdict(finding) for finding in findings]
    click.echo(json.dumps(as_data, indent=2) if as_json else findings_view.render(findings, list(doctor_.CHECKS)))
    sys.exit(1 if findings else 0)


@click.command(short_help="Print a SQL script for psql.")
@click.argument("name", required=False)
@_schema_option(sources_.SCHEMA)
@_sources_option(sources_.REFERENCE)
def sql(name: str | None, source_schema: str | None, sources: str | None) -> None:
    """Print the SQL script NAME, or without NAME the names of all scripts. Stdout has nothing but SQL.

    The script "install" is everything that gaq-listen install applies. The script "sources" is the file that names the
    source tables and columns. --sources chooses the file for both.

    \b
    Examples:
      gaq-listen sql install | psql -f -
      gaq-listen sql sources --sources bookkeeping
      gaq-listen sql bookkeeping.load > bookkeeping.load
    """
    if name is None:
        click.echo("\n".join(["install", *scripts.names()]))
    elif name == "install":
        chosen = sources_.named(sources or sources_.REFERENCE)
        click.echo(sources_.installation(chosen, source_schema or sources_.SCHEMA), nl=False)
    elif name in ("sources", "20_sources", "20_sources.sql"):
        click.echo(scripts.for_psql(sources_.named(sources or sources_.REFERENCE).text), nl=False)
    else:
        click.echo(scripts.printed(name), nl=False)
