"""``python -m benchmarks``: measures what the triggers cost writers."""

import sys

import click
import psycopg
from rich.console import Console
from rich.progress import Progress

from benchmarks import report
from benchmarks.designs import DESIGNS, SETTINGS, Designs
from benchmarks.writers import Effort, measure, scenarios
from gaq_listen.demo.private_postgres import PrivatePostgres

FULL = Effort(repeats=5, many_repeats=9, seconds=3)
QUICK = Effort(repeats=2, many_repeats=3, seconds=2)


@click.command()
@click.option("--quick", is_flag=True, help="Fewer and shorter repeats: about two minutes instead of eight.")
def main(quick: bool) -> None:
    """Measure what marking costs writers, on a private PostgreSQL, and compare with other designs.

    Other programs should be quiet meanwhile. The figures go into benchmarks/results/writers.json too.
    """
    effort = QUICK if quick else FULL
    console = Console(width=None if sys.stdout.isatty() else 120)
    with PrivatePostgres(settings=SETTINGS) as server:
        with psycopg.connect(server.dsn()) as connection:
            version = connection.info.parameter_status("server_version") or ""
            storage = str(connection.execute("show data_directory").fetchone())
        facts = report.circumstances(version, "/dev/shm" if "/dev/shm" in storage else "disk", effort)  # noqa: S108
        designs = Designs(server)
        todo = scenarios(effort)
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=len(DESIGNS) * sum(scenario.repeats for scenario in todo))
            for scenario in todo:
                for step in measure(designs, scenario):
                    progress.update(task, description=step)
                    if not progress.console.is_terminal:
                        click.echo(step, err=True)
                    progress.advance(task)
    figures = [figure for scenario in todo for figure in scenario.figures]
    console.print(report.table(figures))
    console.print(report.caption(facts), highlight=False)
    console.print(f"saved as {report.save(facts, figures)}", highlight=False)


if __name__ == "__main__":
    main()
