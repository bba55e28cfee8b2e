"""Test that the real code is right where each mutant loses an update."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from tests.proof.mutant import Mutant
from tests.proof.mutants_bell import BELL
from tests.proof.mutants_refresh import REFRESH
from tests.proof.mutants_triggers import TRIGGERS
from tests.proof.stage import WRITERS, Broken, Say, stage
from tests.support import small_world

MUTANTS = REFRESH + TRIGGERS + BELL


def named(mutant: Mutant) -> str:
    return mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
async def test_real_code_is_right_on_the_course_of_a_mutant(gated: Connection[Any], dsn: str, mutant: Mutant) -> None:
    gated.execute(mutant.given.encode())
    async with stage(gated, dsn) as on:
        await on.play(mutant.course)
        await on.settle()


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
async def test_mutant_is_caught_on_its_course(gated: Connection[Any], dsn: str, mutant: Mutant) -> None:
    gated.execute(mutant.given.encode())
    mutant.make(gated)
    async with stage(gated, dsn, mutant.parts) as on:
        with pytest.raises(Broken) as caught:
            await on.play(mutant.course)
        assert caught.value.rule == mutant.breaks


@pytest.mark.parametrize("mutant", TRIGGERS, ids=named)
async def test_trigger_mutant_is_right_with_one_writer(gated: Connection[Any], dsn: str, mutant: Mutant) -> None:
    """Check that the mutant loses updates only because of the other writer."""
    mutant.make(gated)
    for writer in WRITERS:
        small_world.rebuild(gated)
        alone = [step for step in mutant.course if isinstance(step, Say) and step.writer == writer]
        async with stage(gated, dsn) as on:
            await on.play(alone)
            await on.settle()
