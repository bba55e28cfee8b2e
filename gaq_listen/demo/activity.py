"""Change the source tables as detector experts and coordinators do. Each kind of change is one method."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import LiteralString, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from gaq_listen.demo.experiment import COMMENTS, DETECTOR_NAMES, DISPUTED, FLAG_TYPES, GOOD, problem
from gaq_listen.demo.period import Flag, Pair, Period, some_bounds

StalePairs: TypeAlias = frozenset[Pair] | None
"""The pairs that a change has made stale. None: the method found nothing to change, and changed nothing."""

MAX_REMOVED = 10
"""Pairs that may be outside their data pass at the same time, so that the data passes do not run empty."""


class Activity:
    """Make changes, each in one transaction, to a period that ``fill`` has created.

    The object remembers the rows of the period and its own changes. ``chance`` selects the rows of each change.
    Other sessions may change the same tables. A change of a row that another session has deleted makes no pair stale.
    """

    def __init__(self, connection: AsyncConnection[TupleRow], period: Period, chance: random.Random) -> None:
        self._connection = connection
        self._chance = chance
        self._runs = dict(period.runs)
        self._pairs = [(p.id, run) for p in period.data_passes for run in p.run_numbers]
        self._removed = [(p.id, run) for p in period.data_passes for run in p.spare_run_numbers]
        defaults = {p.id: p.gaq_detectors for p in period.data_passes}
        pairs = self._pairs + self._removed
        self._gaq_detectors = {pair: set(defaults[pair[0]]) for pair in pairs}
        self._bad = {number: bad for number, _, bad, _ in FLAG_TYPES}
        self._flags: dict[Pair, list[Flag]] = {pair: [] for pair in pairs}
        self._deleted: list[Flag] = []
        for flag in period.flags:
            (self._deleted if flag.deleted else self._flags[flag.pair]).append(flag)

    async def add_flag(self) -> StalePairs:
        """Insert one flag, as an expert does."""
        pair = self._some_pair()
        await self._add_flag(pair)
        return frozenset({pair})

    async def add_flags(self) -> StalePairs:
        """Insert flags of several detectors in several runs of a data pass, as a script does."""
        data_pass_id, _ = self._some_pair()
        pairs = [pair for pair in self._pairs if pair[0] == data_pass_id]
        pairs = self._chance.sample(pairs, min(len(pairs), self._chance.randint(2, 5)))
        async with self._connection.transaction():
            for pair in pairs:
                for _ in range(self._chance.randint(1, 3)):
                    await self._add_flag(pair)
        return frozenset(pairs)

    async def add_synchronous_flag(self) -> StalePairs:
        """Insert a flag without a data pass, as people do while a run is recorded. No summary counts the flag."""
        _, run_number = self._some_pair()
        detector = self._chance.choice(self._runs[run_number].detectors)
        await self._insert_flag(None, run_number, detector, problem(detector, self._chance))
        return frozenset()

    async def verify_flag(self) -> StalePairs:
        """Verify a flag, as a coordinator does. The pair becomes stale if the detector is a GAQ detector."""
        if (flag := self._some_flag()) is None:
            return None
        return await self._change(
            [flag.pair] if self._is_on_gaq_detector(flag) else [],
            "insert into qc_flag_verifications (flag_id, created_by)"
            " select id, 'QC coordinator' from qc_flags where id = %s",
            flag.id,
        )

    async def move_flag(self) -> StalePairs:
        """Change the bounds of a flag."""
        if (flag := self._some_flag()) is None:
            return None
        bounds = some_bounds(self._runs[flag.pair[1]], self._chance)
        return await self._change(
            [flag.pair],
            'update qc_flags set "from" = %s, "to" = %s, updated_at = now()'
            ' where id = %s and ("from", "to") is distinct from (%s, %s)',
            *(*bounds, flag.id, *bounds),
        )

    async def comment_flag(self) -> StalePairs:
        """Change the comment of a flag, which changes no summary."""
        if (flag := self._some_flag()) is None:
            return None
        return await self._change(
            [],
            "update qc_flags set comment = %s, updated_at = now() where id = %s",
            *(self._chance.choice(COMMENTS), flag.id),
        )

    async def delete_flag(self) -> StalePairs:
        """Set a flag to deleted."""
        if (flag := self._some_flag()) is None:
            return None
        self._flags[flag.pair].remove(flag)
        self._deleted.append(flag)
        return await self._set_deleted(flag, True)

    async def restore_flag(self) -> StalePairs:
        """Set a deleted flag to not deleted."""
        if not self._deleted:
            return None
        flag = self._deleted.pop(self._chance.randrange(len(self._deleted)))
        self._flags[flag.pair].append(flag)
        return await self._set_deleted(flag, False)

    async def change_gaq_detectors(self) -> StalePairs:
        """Add a GAQ detector to a pair, or remove one."""
        pair = self._some_pair()
        listed = self._gaq_detectors[pair]
        others = [d for d in self._runs[pair[1]].detectors if d not in listed]
        if others and (len(listed) < 3 or self._chance.random() < 0.5):
            detector = self._chance.choice(others)
            listed.add(detector)
            return await self._list_detectors(pair, [detector])
        detector = self._chance.choice(sorted(listed))
        listed.remove(detector)
        return await self._change(
            [pair],
            "delete from gaq_detectors where data_pass_id = %s and run_number = %s and detector_id = %s",
            *(*pair, detector),
        )

    async def correct_run(self) -> StalePairs:
        """Move the last time frame of a run by some seconds."""
        run = self._runs[self._some_pair()[1]]
        if run.end is None:
            return None
        long = run.end - run.start > timedelta(minutes=5)
        sign = self._chance.choice((-1, 1)) if long else 1
        end = run.end + sign * timedelta(seconds=self._chance.randint(1, 90))
        return await self._end_run_at(run.number, end, "update runs set last_tf_timestamp = %s where run_number = %s")

    async def end_run(self) -> StalePairs:
        """Set the end of a run that has none."""
        running = [number for number, run in self._runs.items() if run.end is None]
        if not running:
            return None
        number = self._chance.choice(running)
        end = self._runs[number].start + timedelta(minutes=self._chance.randint(60, 480))
        return await self._end_run_at(
            number,
            end,
            "update runs set (last_tf_timestamp, time_trg_end, time_o2_end) ="
            " (select t, t + interval '2 s', t + interval '30 s' from (values (%s)) v (t))"
            " where run_number = %s",
        )

    async def leave_data_pass(self) -> StalePairs:
        """Remove a run from a data pass."""
        if len(self._removed) >= MAX_REMOVED or len(self._pairs) == 1:
            return None
        pair = self._some_pair()
        self._pairs.remove(pair)
        self._removed.append(pair)
        return await self._change(
            [pair], "delete from data_pass_runs where data_pass_id = %s and run_number = %s", *pair
        )

    async def enter_data_pass(self) -> StalePairs:
        """Add a run to a data pass, with its GAQ detectors."""
        if not self._removed:
            return None
        pair = self._removed.pop(self._chance.randrange(len(self._removed)))
        self._pairs.append(pair)
        async with self._connection.transaction():
            await self._list_detectors(pair, sorted(self._gaq_detectors[pair]))
            return await self._change(
                [pair],
                "insert into data_pass_runs (data_pass_id, run_number) values (%s, %s) on conflict do nothing",
                *pair,
            )

    async def change_flag_type(self) -> StalePairs:
        """Change whether a flag type is bad. Pairs with such a flag on a GAQ detector become stale."""
        flag_type = self._chance.choice(DISPUTED)
        bad = self._bad[flag_type] = not self._bad[flag_type]
        pairs = frozenset(
            pair
            for pair in self._pairs
            if any(f.flag_type == flag_type and self._is_on_gaq_detector(f) for f in self._flags[pair])
        )
        return await self._change(
            pairs, "update qc_flag_types set bad = %s where id = %s and bad <> %s", bad, flag_type, bad
        )

    def _some_pair(self) -> Pair:
        return self._chance.choice(self._pairs)

    def _some_flag(self) -> Flag | None:
        """Select a flag that is not deleted, or return None if the selected pair has none."""
        flags = self._flags[self._some_pair()]
        return self._chance.choice(flags) if flags else None

    def _is_on_gaq_detector(self, flag: Flag) -> bool:
        return flag.detector in self._gaq_detectors[flag.pair]

    def _pairs_of(self, run_number: int) -> list[Pair]:
        return [pair for pair in self._pairs if pair[1] == run_number]

    async def _change(self, pairs: Iterable[Pair], query: LiteralString, *values: object) -> frozenset[Pair]:
        """Execute a statement. Return the pairs if it changed a row, else no pair."""
        cursor = await self._connection.execute(query, values)
        return frozenset(pairs if cursor.rowcount else ())

    async def _set_deleted(self, flag: Flag, deleted: bool) -> frozenset[Pair]:
        return await self._change(
            [flag.pair],
            "update qc_flags set deleted = %s, updated_at = now() where id = %s and deleted <> %s",
            *(deleted, flag.id, deleted),
        )

    async def _list_detectors(self, pair: Pair, detectors: list[int]) -> frozenset[Pair]:
        return await self._change(
            [pair],
            "insert into gaq_detectors (data_pass_id, run_number, detector_id)"
            " select %s, %s, unnest(%s::int[]) on conflict do nothing",
            *(*pair, detectors),
        )

    async def _end_run_at(self, run_number: int, end: datetime, query: LiteralString) -> frozenset[Pair]:
        self._runs[run_number] = replace(self._runs[run_number], end=end)
        return await self._change(self._pairs_of(run_number), query, end, run_number)

    async def _add_flag(self, pair: Pair) -> None:
        detector = self._chance.choice(self._runs[pair[1]].detectors)
        good = self._chance.random() < 0.6
        flag_type = GOOD if good else problem(detector, self._chance)
        flag_id = await self._insert_flag(*pair, detector, flag_type)
        self._flags[pair].append(Flag(flag_id, pair, detector, flag_type))

    async def _insert_flag(self, data_pass_id: int | None, run_number: int, detector: int, flag_type: int) -> int:
        """Insert a flag over the whole run or a part of it, and return its id."""
        whole = self._chance.random() < 0.4
        bounds = (None, None) if whole else some_bounds(self._runs[run_number], self._chance)
        comment = None if flag_type == GOOD else self._chance.choice(COMMENTS)
        author = f"{DETECTOR_NAMES[detector]} expert"
        cursor = await self._connection.execute(
            "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id,"
            ' "from", "to", comment, created_by)'
            " values (%s, %s, %s, %s, %s, %s, %s, %s) returning id",
            (data_pass_id, run_number, detector, flag_type, *bounds, comment, author),
        )
        row = await cursor.fetchone()
        return int(row[0]) if row else 0
