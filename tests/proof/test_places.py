"""Test that a change that is committed while a refresh waits at a gate is not lost."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from tests.proof.gates import PLACES
from tests.proof.mutant import AGAIN, BAD, COMMIT, VERIFIED, anna, bob, first
from tests.proof.stage import stage
from tests.support import small_world

# A change after which a refresh reaches each gate and, where possible, has claimed the pair that changes.
SEEN = dict.fromkeys(PLACES, AGAIN) | {
    "expand": "INSERT INTO qc_flag_verifications (flag_id) VALUES (12)",
    "fold wide": "INSERT INTO qc_flag_verifications (flag_id) VALUES (12)",
    "insert": "INSERT INTO data_pass_runs VALUES (3, 101)",
}

# Each changes the summary of pair D, or adds or removes a pair.
CHANGES = (
    BAD,
    VERIFIED,
    "UPDATE qc_flag_types SET bad = true WHERE id = 1",
    "UPDATE runs SET time_trg_start = null, time_o2_start = null WHERE run_number = 103",
    "DELETE FROM data_pass_runs WHERE run_number = 103",
    "INSERT INTO data_pass_runs VALUES (2, 103)",
)


@pytest.mark.parametrize("place", PLACES)
async def test_change_at_a_gate_is_not_lost(gated: Connection[Any], dsn: str, place: str) -> None:
    async with stage(gated, dsn) as on:
        for change in CHANGES:
            small_world.rebuild(gated)
            await on.play(bob(change) + anna(SEEN[place], COMMIT) + first(place) + bob(COMMIT))
            await on.settle()
