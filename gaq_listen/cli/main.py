"""List all commands of the program ``gaq-listen``, in the order of its help."""

import click

from gaq_listen import __version__
from gaq_listen.cli import dba_commands, operator_commands, report_commands
from gaq_listen.cli.changes_command import changes
from gaq_listen.cli.command_group import Commands
from gaq_listen.cli.demo_command import demo
from gaq_listen.cli.run_command import run
from gaq_listen.cli.show_command import show


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gaq-listen")
def main() -> None:
    """Keep stored Global Aggregated Quality (GAQ) summaries fresh.

    Triggers mark the summaries that a change of QC flags, GAQ detectors or run times makes stale. A worker refreshes
    them within milliseconds. To see that without a database of your own: gaq-listen demo

    Each command's --help has an example. The examples need GAQ_LISTEN_DSN, which says where the database is. The demo
    prints a value for it.
    """


for command in (
    run,
    demo,
    report_commands.status,
    show,
    report_commands.explain,
    changes,
    operator_commands.recalculate,
    operator_commands.verify,
    operator_commands.failures,
    operator_commands.pause,
    operator_commands.resume,
    dba_commands.install,
    dba_commands.detach,
    dba_commands.uninstall,
    dba_commands.doctor,
    dba_commands.sql,
):
    main.add_command(command)
