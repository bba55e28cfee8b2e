"""Test that two writers and two workers lose no update and oversleep no mark, in any order of their steps.

Hypothesis draws the transactions of the writers and the order of all steps, and prints the steps of an order that
fails. ``GAQ_LISTEN_ORDERS=2000`` draws 2000 orders, others each time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from gaq_listen.worker import contention
from tests.proof.gates import PLACES
from tests.proof.programs import programs
from tests.proof.stage import WORKERS, WRITERS, Crash, Go, Say, Stage, stage
from tests.proof.stepped import LetsGoFirst, Parts
from tests.support import small_world

ORDERS = int(os.environ.get("GAQ_LISTEN_ORDERS", "0"))


Turn: TypeAlias = tuple[str, int] | Go | Crash
"""A number of steps of a writer or a worker, a worker that goes to a place, or a crash."""


@dataclass(frozen=True)
class Order:
    """Hold the transactions of the writers, and who acts when."""

    anna: list[Say]
    bob: list[Say]
    turns: list[Turn]
    shared: int
    parts: Parts


WHILE = 15
"""Steps within which a worker goes to a place, or else stays where it is: about one round."""

paces = st.tuples(st.sampled_from(WRITERS * 2 + WORKERS), st.integers(1, 6))
goes = st.builds(Go, st.sampled_from(WORKERS), st.sampled_from([*PLACES, "refresh", "hold", "check", "sleep"]))
crashes = st.builds(Crash, st.sampled_from(WORKERS), st.sampled_from(["work", "bell"]))

orders = st.builds(
    Order,
    anna=programs("anna"),
    bob=programs("bob"),
    turns=st.lists(st.one_of([paces, goes] * 12 + [crashes]), min_size=10, max_size=40),
    # With 0, a worker polls after each hold; with the default, seldom.
    shared=st.sampled_from([contention.SHARED, 0]),
    parts=st.sampled_from([Parts(), Parts(refresher=LetsGoFirst)]),
)


async def perform(order: Order, director: Connection[Any], dsn: str) -> None:
    """Take all turns. Then let the writers finish, one after the other, and the workers come to rest."""
    async with stage(director, dsn, order.parts) as on:
        await _perform(order, on)


async def _perform(order: Order, on: Stage) -> None:
    programs: dict[str, Iterator[Say]] = {"anna": iter(order.anna), "bob": iter(order.bob)}
    for turn in order.turns:
        match turn:
            case Crash():
                await on.play([turn])
            case Go(worker):
                for _ in range(WHILE):
                    if on.place(worker) == turn.to or not await on.go(worker):
                        break
            case (worker, steps) if worker in WORKERS:
                await on.play([Go(worker)] * steps)
            case (writer, steps):
                await on.play(islice(programs[writer], steps))
    for program in programs.values():
        await on.play(program)
    await on.settle()


@pytest.mark.timeout(900)
def test_any_order_of_steps_loses_nothing(gated: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(
        max_examples=ORDERS or 50,
        derandomize=not ORDERS,
        database=None,
        deadline=None,
        # Shrinking a failure may take minutes, and is worth it.
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(orders)
    def any_order(order: Order) -> None:
        monkeypatch.setattr(contention, "SHARED", order.shared)
        small_world.rebuild(gated)

        asyncio.run(perform(order, gated, dsn))

    any_order()
