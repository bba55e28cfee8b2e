"""``python -m benchmarks.storm``: writers who meet in the same pairs, with and without us, and with workers."""

import math
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.designs import NONE, OURS, ROW, SETTINGS, SQL, Designs, working
from gaq_listen.demo.binaries import find_binaries
from gaq_listen.demo.private_postgres import PrivatePostgres

CLIENTS = 16
SHAPES = ((NONE, 0), (OURS, 0), (OURS, 1), (OURS, 4), (ROW, 0))
_WRONG = """
select count(*) from (select array_agg(data_pass_id) as passes, array_agg(run_number) as runs from gaq.known_pairs) p
cross join lateral gaq.differences(p.passes, p.runs)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one storm: transactions a second, the 99th percentile of their ms, how many failed, as by a deadlock; and,
    once drained, pairs whose stored summary is wrong."""

    design: str
    workers: int
    rate: float
    p99: float
    errors: int
    wrong: int | None


def storm(designs: Designs, design: str, workers: int, seconds: int) -> Outcome:
    """Lets 16 writers write for so long, on a new database."""
    with ExitStack() as stack:
        dsn = stack.enter_context(designs.database(design, {}))
        for _ in range(workers):
            stack.enter_context(working(dsn))
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        command = [str(find_binaries().directory / "pgbench"), "--no-vacuum", "--protocol=prepared", "--jobs=2"]
        amount = [f"--client={CLIENTS}", f"--time={seconds}", f"--file={SQL / 'storm.sql'}"]
        logging = ["--log", f"--log-prefix={logs / 'log'}"]
        run = subprocess.run([*command, *amount, *logging, dsn], capture_output=True, text=True, check=False)
        rate = re.search(r"^tps = ([\d.]+)", run.stdout, re.MULTILINE)
        failed = re.search(r"^number of failed transactions: (\d+)", run.stdout, re.MULTILINE)
        errors = int(failed[1]) if failed else len(re.findall("aborted", run.stderr))
        wrong = None
        if design == OURS:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("call gaq.drain()")
                ((wrong,),) = connection.execute(_WRONG).fetchall()
        return Outcome(design, workers, float(rate[1]) if rate else 0.0, _p99(logs), errors, wrong)


def _p99(logs: Path) -> float:
    logged = (line.split()[2] for log in logs.iterdir() for line in log.read_text().splitlines())
    times = sorted(int(time) for time in logged if time.isdecimal())  # else it says how the transaction failed
    return times[math.ceil(len(times) * 0.99) - 1] / 1000 if times else math.nan


@click.command()
@click.option("--seconds", type=click.IntRange(min=1), default=60, help="How long each storm lasts.")
def main(seconds: int) -> None:
    """Storms of 16 writers, three random pairs out of 50 in each transaction, on a private PostgreSQL."""
    table = Table(title=f"{CLIENTS} writers, three random pairs out of 50 a transaction, {seconds} s each")
    for heading in ("design", "workers", "tx/s", "to no trigger", "p99 ms", "failed", "wrong pairs"):
        table.add_column(heading, justify="left" if heading == "design" else "right")
    with PrivatePostgres(settings=SETTINGS) as server:
        designs = Designs(server)
        base = 0.0
        for design, workers in SHAPES:
            click.echo(f"{design}, {workers} workers", err=True)
            found = storm(designs, design, workers, seconds)
            base = base or found.rate
            ratio = f"{found.rate / base:.2f}"
            wrong = "" if found.wrong is None else str(found.wrong)
            table.add_row(
                design, str(workers), f"{found.rate:,.0f}", ratio, f"{found.p99:.1f}", str(found.errors), wrong
            )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    main()
