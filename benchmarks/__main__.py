"""Measure (``python -m benchmarks run``), or put results into the documentation (``python -m benchmarks report``)."""

import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

import click
from rich.console import Console

from benchmarks import document
from benchmarks.disk import NotADisk, require_disk
from benchmarks.lab import Lab
from benchmarks.report import Results, circumstances, table
from benchmarks.scenarios import SCENARIOS


def _chosen(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    names = tuple(value.split(",")) if value else tuple(SCENARIOS)
    for name in names:
        if name not in SCENARIOS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(SCENARIOS)}")
    return names


def _on_disk(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    try:
        if value is not None:
            require_disk(value)
    except NotADisk as error:
        raise click.BadParameter(str(error)) from error
    return value and value.resolve()


@click.group()
def main() -> None:
    """Measure what gaq-listen costs and gains, beside lower bounds and other systems."""


@main.command()
@click.option(
    "--quick", is_flag=True, help="Measure less data for a shorter time: two minutes instead of half an hour."
)
@click.option(
    "--disk",
    type=click.Path(path_type=Path),
    callback=_on_disk,
    metavar="DIRECTORY",
    help="Keep the data in this directory on a disk, such as /var/tmp. By default, the data is in memory.",
)
@click.option(
    "--only",
    callback=_chosen,
    metavar="NAMES",
    help=f"Measure only these scenarios, separated by commas: {', '.join(SCENARIOS)}.",
)
def run(quick: bool, disk: Path | None, only: tuple[str, ...]) -> None:
    """Measure on a private PostgreSQL, print the table, and save the figures in benchmarks/results.

    Figures with the data on a disk and figures with the data in memory have files of their own.

    Stop other programs meanwhile. A scenario that is not measured, or that fails, keeps its earlier figures.
    """
    results = Results.of(quick=quick, on_disk=disk is not None)
    failed = [name for name in only if not _measure(name, results, quick, disk)]
    console = Console(width=None if sys.stdout.isatty() else 132)
    console.print(table([figure for name in _measured(results) for figure in results.figures(name)]))
    console.print(f"saved in {results.path}; docs/performance.md explains the figures", highlight=False)
    if not quick:
        document.write(*_full())
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}")


@main.command()
def report() -> None:
    """Put the figures of the last full runs into the documentation."""
    click.echo(f"written: {', '.join(document.write(*_full()))}")


def _measure(name: str, results: Results, quick: bool, disk: Path | None) -> bool:
    """Measure a scenario on a server of its own, and return whether this succeeded."""
    click.echo(name, err=True)
    try:
        with Lab(quick=quick, disk=disk) as lab:
            facts = circumstances(lab)
            results.keep(name, facts, SCENARIOS[name](lab))
    except Exception:  # noqa: BLE001 - the other scenarios run nevertheless
        traceback.print_exc()
        return False
    return True


def _full() -> tuple[Results, Results]:
    """Return the figures of the last full runs: in memory, and on a disk."""
    return Results.of(quick=False, on_disk=False), Results.of(quick=False, on_disk=True)


def _measured(results: Results) -> Iterable[str]:
    return (name for name in SCENARIOS if name in results.scenarios)


if __name__ == "__main__":
    main()
