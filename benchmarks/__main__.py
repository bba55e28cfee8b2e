"""``python -m benchmarks run`` measures, ``python -m benchmarks report`` puts the results into the documentation."""

import sys
import traceback
from collections.abc import Iterable

import click
from rich.console import Console

from benchmarks import document
from benchmarks.lab import Lab
from benchmarks.report import Results, circumstances, table
from benchmarks.scenarios import SCENARIOS


def _chosen(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    names = tuple(value.split(",")) if value else tuple(SCENARIOS)
    for name in names:
        if name not in SCENARIOS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(SCENARIOS)}")
    return names


@click.group()
def main() -> None:
    """What gaq-listen costs and gains, measured beside floors and peers."""


@main.command()
@click.option("--quick", is_flag=True, help="Smaller and shorter: about two minutes instead of half an hour.")
@click.option("--only", callback=_chosen, metavar="NAMES", help=f"Some of: {', '.join(SCENARIOS)}.")
def run(quick: bool, only: tuple[str, ...]) -> None:
    """Measure on a private PostgreSQL, print the table, and keep the figures in benchmarks/results.

    Other programs should be quiet meanwhile. Scenarios that are not measured keep their figures of last time; one
    that dies does not lose those of the others.
    """
    results = Results.of(quick=quick)
    died = [name for name in only if not _measure(name, results, quick)]
    console = Console(width=None if sys.stdout.isatty() else 132)
    console.print(table([figure for name in _measured(results) for figure in results.figures(name)]))
    console.print(f"saved in {results.path}; what was measured how: docs/performance.md", highlight=False)
    if not quick:
        document.write(results)
    if died:
        raise click.ClickException(f"died: {', '.join(died)}")


@main.command()
def report() -> None:
    """Put the figures of the last full run into the documentation."""
    click.echo(f"written: {', '.join(document.write(Results.of(quick=False)))}")


def _measure(name: str, results: Results, quick: bool) -> bool:
    """Each on a server of its own, so that none suffers from another."""
    click.echo(name, err=True)
    try:
        with Lab(quick=quick) as lab:
            facts = circumstances(lab)
            results.keep(name, facts, SCENARIOS[name](lab))
    except Exception:  # noqa: BLE001 - whatever it is, the others go on
        traceback.print_exc()
        return False
    return True


def _measured(results: Results) -> Iterable[str]:
    return (name for name in SCENARIOS if name in results.scenarios)


if __name__ == "__main__":
    main()
