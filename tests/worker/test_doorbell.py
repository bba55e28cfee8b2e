"""Test who rings, who holds the doorbell, and that no worker falls asleep past a mark."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.db import sessions
from gaq_listen.worker.doorbell import Doorbell
from gaq_listen.worker.waiting import DoorbellState
from tests.conftest import Connect

FLAG = "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, 501, 1, 1)"


@asynccontextmanager
async def doorbell(dsn: str, stop: asyncio.Event | None = None) -> AsyncIterator[Doorbell]:
    connection = await sessions.connect(dsn, "doorbell under test")
    other = await sessions.connect(dsn, "another session")

    async def notify(channel: str, payload: str) -> None:
        await other.execute("select pg_notify(%s, %s)", (channel, payload))

    try:
        bell = Doorbell(connection, stop or asyncio.Event())
        assert await bell.listen(notify)
        yield bell
    finally:
        await connection.close()
        await other.close()


async def test_writer_rings_with_its_commit_if_a_worker_sleeps(
    period: Connection[Any], dsn: str, connect: Connect
) -> None:
    writer = connect()
    async with doorbell(dsn) as bell:
        assert await bell.hold() is DoorbellState.HELD
        writer.execute(FLAG)
        assert not await bell.wait(0.1)
        writer.commit()
        assert await bell.wait(10)
        assert not await bell.wait(0.05), "one commit, one ring"


async def test_writer_does_not_ring_if_no_worker_sleeps(period: Connection[Any], dsn: str) -> None:
    async with doorbell(dsn) as bell:
        period.execute(FLAG)
        assert not await bell.wait(0.1)
        await bell.hold()
        await bell.let_go()
        period.execute(FLAG)
        assert not await bell.wait(0.1)


async def test_hold_fails_beside_a_writer_that_does_not_ring(
    period: Connection[Any], dsn: str, connect: Connect
) -> None:
    writer = connect()
    async with doorbell(dsn) as bell:
        writer.execute(FLAG)
        assert await bell.hold() is DoorbellState.NOT_HELD
        writer.commit()
        assert await bell.hold() is DoorbellState.HELD


async def test_hold_fails_beside_a_writer_with_the_bell_off(
    period: Connection[Any], dsn: str, connect: Connect
) -> None:
    writer = connect()
    writer.execute("set gaq.bell = off")
    writer.commit()
    async with doorbell(dsn) as bell:
        writer.execute(FLAG)
        assert await bell.hold() is DoorbellState.NOT_HELD
        writer.commit()
        assert await bell.hold() is DoorbellState.HELD
        writer.execute(FLAG)
        writer.commit()
        assert not await bell.wait(0.1)


async def test_rolled_back_savepoint_frees_the_lock(period: Connection[Any], dsn: str, connect: Connect) -> None:
    writer = connect()
    async with doorbell(dsn) as bell:
        writer.execute("savepoint s")
        writer.execute(FLAG)
        writer.execute("rollback to s")
        assert await bell.hold() is DoorbellState.HELD
        writer.execute(FLAG)
        writer.commit()
        assert await bell.wait(10)


async def test_second_worker_is_rung_and_takes_the_doorbell_over(period: Connection[Any], dsn: str) -> None:
    async with doorbell(dsn) as first:
        assert await first.hold() is DoorbellState.HELD
        async with doorbell(dsn) as second:
            assert await second.hold() is DoorbellState.HELD_BY_OTHER
            period.execute(FLAG)
            assert await first.wait(10)
            assert await second.wait(10)
            await first.let_go()
            assert await second.hold() is DoorbellState.HELD


async def test_listen_returns_false_if_notifications_do_not_arrive(period: Connection[Any], dsn: str) -> None:
    async def lose(channel: str, payload: str) -> None:
        pass

    connection = await sessions.connect(dsn, "doorbell under test")
    try:
        assert not await Doorbell(connection, asyncio.Event()).listen(lose, within=0.2)
    finally:
        await connection.close()


async def test_ring_with_the_answer_to_a_query_ends_the_wait(
    period: Connection[Any], dsn: str, connect: Connect
) -> None:
    async with doorbell(dsn) as bell:
        await bell.hold()
        period.execute(FLAG)
        # These queries may read the ring from the socket. It must not be lost.
        await bell.hold()
        await bell.let_go()
        assert await bell.wait(10)


async def test_stop_ends_the_wait(dsn: str) -> None:
    stop = asyncio.Event()
    async with doorbell(dsn, stop) as bell, asyncio.timeout(10):
        asyncio.get_running_loop().call_later(0.05, stop.set)
        assert not await bell.wait(3600)


async def test_lost_connection_ends_the_wait(period: Connection[Any], dsn: str) -> None:
    async with doorbell(dsn) as bell:
        period.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'doorbell under test'"
            " and datname = current_database()"
        )
        with pytest.raises(psycopg.OperationalError):
            await bell.wait(10)
