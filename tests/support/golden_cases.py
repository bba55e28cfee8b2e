"""Read the golden cases as pairs of the model, each with the expected summary."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.model import Flag, FlagType, Pair, Summary

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Scenario:
    """A pair, with the expected summary. ``why`` has the reason for a difference from the original system."""

    id: str
    pair: Pair
    expected: Summary
    original: Summary | None
    """The answer of the original system, if ours differs on purpose."""
    why: str


@dataclass(frozen=True)
class RunTimeChange:
    """A pair before and after a change of the QC times of its run."""

    id: str
    before: Pair
    expected_before: Summary
    after: Pair
    expected_after: Summary


def scenarios() -> list[Scenario]:
    """Read ``scenarios.jsonl``."""
    return [
        Scenario(
            id=case["id"],
            pair=_pair(case),
            expected=Summary(**case["expected"]),
            original=Summary(**case["original"]) if "original" in case else None,
            why=case.get("why", ""),
        )
        for case in _lines("scenarios.jsonl")
    ]


def run_time_changes() -> list[RunTimeChange]:
    """Read ``run_times.jsonl``."""
    return [
        RunTimeChange(
            id=case["id"],
            before=_pair(case["before"]),
            expected_before=Summary(**case["expected_before"]),
            after=replace(
                _pair(case["before"]),
                qc_time_start=_microseconds(case["new_qc_time_start"]),
                qc_time_end=_microseconds(case["new_qc_time_end"]),
            ),
            expected_after=Summary(**case["expected_after"]),
        )
        for case in _lines("run_times.jsonl")
    ]


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / name).read_text().splitlines()]


def _pair(case: dict[str, Any]) -> Pair:
    return Pair(
        qc_time_start=_microseconds(case["qc_time_start"]),
        qc_time_end=_microseconds(case["qc_time_end"]),
        gaq_detectors=tuple(case["gaq_detectors"]),
        flag_types=tuple(FlagType(**flag_type) for flag_type in case["flag_types"]),
        flags=tuple(
            Flag(
                id=flag["id"],
                detector_id=flag["detector_id"],
                flag_type_id=flag["flag_type_id"],
                from_=_microseconds(flag["from"]),
                to=_microseconds(flag["to"]),
                deleted=flag["deleted"],
                created_at=flag["created_at"] * 1000,
                verified=flag["verified"],
            )
            for flag in case["flags"]
        ),
    )


def _microseconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds * 1000
