"""``python -m benchmarks run`` measures, ``python -m benchmarks report`` puts the results into the documentation."""

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
    """What gaq-listen costs and gains, measured beside floors and peers."""


@main.command()
@click.option("--quick", is_flag=True, help="Smaller and shorter: about two minutes instead of half an hour.")
@click.option(
    "--disk",
    type=click.Path(path_type=Path),
    callback=_on_disk,
    metavar="DIRECTORY",
    help="Keep the data in a directory on a disk, such as /var/tmp. By default it is in memory.",
)
@click.option("--only", callback=_chosen, metavar="NAMES", help=f"Some of: {', '.join(SCENARIOS)}.")
def run(quick: bool, disk: Path | None, only: tuple[str, ...]) -> None:
    """Measure on a private PostgreSQL, print the table, and keep the figures in benchmarks/results.

    Figures with the data on a disk and in memory are kept apart.

    Other programs should be quiet meanwhile. Scenarios that are not measured keep their figures of last time; one
    that dies does not lose those of the others.
    """
    results = Results.of(quick=quick, on_disk=disk is not None)
    died = [name for name in only if not _measure(name, results, quick, disk)]
    console = Console(width=None if sys.stdout.isatty() else 132)
    console.print(table([figure for name in _measured(results) for figure in results.figures(name)]))
    console.print(f"saved in {results.path}; what was measured how: docs/performance.md", highlight=False)
    if not quick:
        document.write(*_full())
    if died:
        raise click.ClickException(f"died: {', '.join(died)}")


@main.command()
def report() -> None:
    """Put the figures of the last full runs into the documentation."""
    click.echo(f"written: {', '.join(document.write(*_full()))}")


def _measure(name: str, results: Results, quick: bool, disk: Path | None) -> bool:
    """Each on a server of its own, so that none suffers from another."""
    click.echo(name, err=True)
    try:
        with Lab(quick=quick, disk=disk) as lab:
            facts = circumstances(lab)
            results.keep(name, facts, SCENARIOS[name](lab))
    except Exception:  # noqa: BLE001 - whatever it is, the others go on
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
