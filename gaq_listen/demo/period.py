"""Fill the reference tables with realistic runs, data passes and QC flags."""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from psycopg import Connection, sql

from gaq_listen.demo import experiment
from gaq_listen.demo.experiment import DETECTORS, FLAG_TYPES, GAQ_DETECTORS, GOOD, LHC_PERIODS

Pair: TypeAlias = tuple[int, int]
"""The ``data_pass_id`` and the ``run_number`` of a pair."""

SPARE_RUNS = 2
"""Number of runs of each LHC period that are in no data pass yet."""
RUNNING = 2
"""Number of newest runs that have not ended."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run with its QC time. ``end`` is None while the run is recorded."""

    number: int
    start: datetime
    end: datetime | None
    detectors: tuple[int, ...]

    @property
    def flagged_until(self) -> datetime:
        """Return the end of the run, or an hour after its start if it has not ended. Flags lie before this time."""
        return self.end or self.start + timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SimulatedDataPass:
    """A data pass, its runs, and the runs of the same LHC period that are not in the data pass."""

    id: int
    name: str
    beam_type: str
    run_numbers: tuple[int, ...]
    spare_run_numbers: tuple[int, ...]

    @property
    def gaq_detectors(self) -> tuple[int, ...]:
        """Return the ids of the GAQ detectors of each run, before the shift changes them."""
        return GAQ_DETECTORS[self.beam_type]


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of a data pass."""

    id: int
    pair: Pair
    detector: int
    flag_type: int
    deleted: bool = False


@dataclass(slots=True)
class Period:
    """The rows that ``fill`` has inserted, as far as ``Activity`` needs them."""

    data_passes: list[SimulatedDataPass] = field(default_factory=list)
    runs: dict[int, Run] = field(default_factory=dict)
    flags: list[Flag] = field(default_factory=list)


# The tables are in an order that foreign keys allow.
_COLUMNS = {
    "runs": "run_number time_o2_start time_o2_end time_trg_start time_trg_end"
    " first_tf_timestamp last_tf_timestamp pdp_beam_type",
    "detectors": "name id",
    "run_detectors": "run_number detector_id",
    "data_passes": "id name",
    "data_pass_runs": "data_pass_id run_number",
    "qc_flag_types": "id name bad mc_reproducible",
    "qc_flags": "id data_pass_id run_number detector_id flag_type_id from to"
    " comment origin deleted created_by created_at updated_at",
    "qc_flag_verifications": "flag_id created_by created_at",
    "gaq_detectors": "data_pass_id run_number detector_id",
}


def fill(connection: Connection[Any], *, seed: int = 0, runs_per_pass: int = 40) -> Period:
    """Fill empty reference tables in one transaction. The same seed and size give the same rows.

    The rows describe six data passes of four LHC periods, three with pp and three with PbPb collisions.
    """
    generator = _RowGenerator(random.Random(seed))  # noqa: S311 - nothing secret depends on it
    generator.generate(runs_per_pass)
    rows = generator.rows()
    with connection.transaction():
        for table, columns in _COLUMNS.items():
            _copy(connection, table, columns.split(), rows[table])
        for table in ("detectors", "data_passes", "qc_flag_types", "qc_flags"):
            # COPY with ids does not advance the sequences.
            connection.execute(
                sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), max(id)) FROM {}").format(
                    table, sql.Identifier(table)
                )
            )
        # Sessions plan, and keep their plans, before autovacuum would analyze the tables.
        connection.execute(sql.SQL("ANALYZE {}").format(sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))))
    return generator.period


def _copy(
    connection: Connection[Any],
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


class _RowGenerator:
    """Generate the rows. All random choices come from ``chance``, so their order determines what a seed gives."""

    def __init__(self, chance: random.Random) -> None:
        self.period = Period()
        self._chance = chance
        self._runs: list[tuple[object, ...]] = []
        self._flags: list[tuple[object, ...]] = []
        self._verifications: list[tuple[object, ...]] = []

    def rows(self) -> dict[str, Iterable[Sequence[object]]]:
        """Return the rows of each table."""
        passes, runs = self.period.data_passes, self.period.runs.values()
        pairs = [(p, run) for p in passes for run in p.run_numbers]
        return {
            "runs": self._runs,
            "detectors": DETECTORS.items(),
            "run_detectors": [(run.number, d) for run in runs for d in run.detectors],
            "data_passes": [(p.id, p.name) for p in passes],
            "data_pass_runs": [(p.id, run) for p, run in pairs],
            "qc_flag_types": FLAG_TYPES,
            "qc_flags": self._flags,
            "qc_flag_verifications": self._verifications,
            "gaq_detectors": [(p.id, run, d) for p, run in pairs for d in p.gaq_detectors],
        }

    def generate(self, runs_per_pass: int) -> None:
        number, clock = 0, datetime.min.replace(tzinfo=UTC)
        for lhc_period in LHC_PERIODS:
            clock = max(clock, lhc_period.begins)
            numbers: list[int] = []
            count = SPARE_RUNS + runs_per_pass
            for left in reversed(range(count)):
                number = max(number + self._chance.randint(1, 14), lhc_period.first_run)
                running = lhc_period is LHC_PERIODS[-1] and left < min(RUNNING, runs_per_pass)
                clock = self._run(number, clock, lhc_period.beam_type, running)
                numbers.append(number)
            for name in lhc_period.data_passes:
                data_pass = SimulatedDataPass(
                    id=len(self.period.data_passes) + 1,
                    name=name,
                    beam_type=lhc_period.beam_type,
                    run_numbers=tuple(numbers[SPARE_RUNS:]),
                    spare_run_numbers=tuple(numbers[:SPARE_RUNS]),
                )
                self.period.data_passes.append(data_pass)
                for run_number in data_pass.run_numbers:
                    self._flags_of_pair(data_pass, self.period.runs[run_number])

    def _run(self, number: int, clock: datetime, beam_type: str, running: bool) -> datetime:
        """Add a run that begins after ``clock``, and return when it ends."""
        chance = self._chance
        minutes = min(600.0, max(3.0, chance.lognormvariate(math.log(80), 1.1)))
        o2_start = clock + _seconds(chance.uniform(300, 9000))
        trg_start = o2_start + _seconds(chance.uniform(20, 90))
        first_tf = trg_start + _seconds(chance.uniform(0.5, 5))
        last_tf = first_tf + _seconds(minutes * 60)
        trg_end = last_tf + _seconds(chance.uniform(0.5, 5))
        o2_end = trg_end + _seconds(chance.uniform(10, 60))

        # Some runs lack the times of their time frames. Some of these also lack the times of the trigger.
        known = chance.random()
        times: list[tuple[datetime, datetime | None]] = [(o2_start, o2_end)]
        times += [(trg_start, trg_end)] if known < 0.95 else []
        times += [(first_tf, last_tf)] if known < 0.88 else []
        if running:
            times = [(start, None) for start, _ in times]
        columns = [time for bounds in times for time in bounds]
        self._runs.append((number, *columns, *[None] * (6 - len(columns)), beam_type))

        detectors = tuple(
            id_ for name, id_ in DETECTORS.items() if name in experiment.ALWAYS_PRESENT or chance.random() < 0.93
        )
        start, end = times[-1]
        self.period.runs[number] = Run(number, start, end, detectors)
        return o2_end

    def _flags_of_pair(self, data_pass: SimulatedDataPass, run: Run) -> None:
        chance = self._chance
        reviewed_at = run.flagged_until + timedelta(days=chance.uniform(5, 30))
        for detector in run.detectors:
            moment = reviewed_at + timedelta(minutes=chance.uniform(0, 300))
            if chance.random() < 0.985:
                self._flag(data_pass, run, detector, GOOD, (None, None), moment)
            if chance.random() < 0.15:
                flag_type = experiment.problem(detector, chance)
                bounds = some_bounds(run, chance)
                self._flag(data_pass, run, detector, flag_type, bounds, moment + _seconds(900))
                if chance.random() < 0.3:  # an expert corrects the flag a day later
                    flag_type = chance.choice((GOOD, experiment.problem(detector, chance)))
                    again = moment + timedelta(days=1)
                    self._flag(data_pass, run, detector, flag_type, some_bounds(run, chance), again)
        if chance.random() < 0.1:
            detector = chance.choice(run.detectors)
            flag_type = experiment.problem(detector, chance)
            at = run.flagged_until
            self._flag(None, run, detector, flag_type, some_bounds(run, chance), at)

    def _flag(
        self,
        data_pass: SimulatedDataPass | None,
        run: Run,
        detector: int,
        flag_type: int,
        bounds: tuple[datetime | None, datetime | None],
        created_at: datetime,
    ) -> None:
        """Add a flag. If ``data_pass`` is None, add a synchronous flag, from the time of recording."""
        chance = self._chance
        id_ = len(self._flags) + 1
        deleted = chance.random() < (0.005 if flag_type == GOOD else 0.15)
        comment = None if flag_type == GOOD else chance.choice(experiment.COMMENTS)
        where = None if data_pass is None else data_pass.id
        origin = "sync" if data_pass is None else "async"
        author = f"{experiment.DETECTOR_NAMES[detector]} expert"
        row = (id_, where, run.number, detector, flag_type, *bounds, comment, origin, deleted)
        self._flags.append((*row, author, created_at, created_at))
        if where is not None:
            self.period.flags.append(Flag(id_, (where, run.number), detector, flag_type, deleted))
        if chance.random() < 1 / 3:
            self._verifications.append((id_, "QC coordinator", created_at + timedelta(days=2)))


def some_bounds(run: Run, chance: random.Random) -> tuple[datetime | None, datetime | None]:
    """Return a part of the run. One bound in ten is None, so the flag starts or ends with the run."""
    length = (run.flagged_until - run.start).total_seconds()
    first, last = sorted((chance.uniform(0, length), chance.uniform(0, length)))
    start, end = run.start + _seconds(first), run.start + _seconds(last) + _seconds(0.001)
    return (None if chance.random() < 0.1 else start, None if chance.random() < 0.1 else end)


def _seconds(seconds: float) -> timedelta:
    """Return a duration in whole milliseconds, because the times of runs and flags are."""
    return timedelta(milliseconds=round(seconds * 1000))
