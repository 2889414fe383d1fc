"""The engine stops a task for the reason that was given first, and nobody who waits stops one."""

import asyncio

import pytest

from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.states import Reason
from tests.integration.sandbox.engines import PATIENCE_S, STUBBORN, until_printed
from tests.integration.sandbox.room import Room

pytestmark = pytest.mark.root


def test_a_task_that_hears_the_request_to_stop_may_tidy_up(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "trap 'echo tidy; exit 3' TERM; echo ready; while :; do sleep 0.05; done")

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        await until_printed(engine, job, b"ready")
        await engine.cancel(job.task_id, Reason.SESSION_ENDED)
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)  # too late: the first reason stays
        ran = room.printed(engine, job, await engine.ended(job.task_id))
        assert (ran.ending.reason, ran.code, ran.out) == (Reason.SESSION_ENDED, 3, "ready\ntidy\n")
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_ADMIN)
        assert (await engine.ended(job.task_id)).reason is Reason.SESSION_ENDED

    room.with_engine(work)


def test_a_task_that_does_not_hear_it_is_stopped_after_the_grace(room: Room) -> None:
    job = room.job("/bin/bash", "-c", STUBBORN)

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        await until_printed(engine, job, b"ready")
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        ending = await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)
        assert (ending.reason, ending.exit_code) == (Reason.CANCELLED_BY_USER, 137)

    room.with_engine(work)


def test_a_task_is_cancelled_while_it_starts(room: Room) -> None:
    job = room.job("sleep", "60")

    async def work(engine: LocalEngine) -> None:
        starting = asyncio.create_task(engine.start(job))
        await asyncio.sleep(0)
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        await starting
        assert (await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)).reason is Reason.CANCELLED_BY_USER

    room.with_engine(work)


def test_who_stops_waiting_for_a_start_or_an_end_does_not_stop_the_task(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "sleep 0.3; exit 6")

    async def work(engine: LocalEngine) -> None:
        for waiting in (engine.start(job), engine.ended(job.task_id)):
            task = asyncio.create_task(waiting)
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)).exit_code == 6

    room.with_engine(work)


def test_a_session_is_released_once_nothing_of_it_runs(room: Room) -> None:
    job, following = room.job("sleep", "0.3"), room.job("true")

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        await engine.release(job.workspace)
        assert len(room.groups()) == 1
        await engine.ended(job.task_id)
        await engine.release(job.workspace)
        assert not room.groups()
        released, ran = await asyncio.gather(engine.release(job.workspace), room.ran(engine, following))
        assert (released, ran.code) == (None, 0)

    room.with_engine(work)
