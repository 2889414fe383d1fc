"""A worker outside has a task as long as its lease is good, and nobody else has it meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lan_session_manager import LANSessionManager
from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.errors import ConflictError, IllegalMoveError, InvalidInputError, LSMError, NotFoundError
from lan_session_manager.requests import Request
from lan_session_manager.states import Reason, TaskState
from lan_session_manager.store.records import TaskRecord
from lan_session_manager.workers import GRACE_S, MOST_SILENT, Claimed, Outcome, Workers
from tests.unit.conftest import Clock

T = TypeVar("T")
COMPLETED = Outcome(TaskState.COMPLETED)
Does = Callable[[Callable[[Workers], Coroutine[Any, Any, T]]], T]


@pytest.fixture
def does(manager: LANSessionManager, clock: Clock, tmp_path: Path) -> Does[Any]:
    """Runs what is given with workers over a manager, whose clock and whose steady clock are the same."""

    def run(work: Callable[[Workers], Coroutine[Any, Any, T]]) -> T:
        async def all_of_it() -> T:
            engine = LocalEngine(LocalConfig(manager.data_dir))
            try:
                workers = Workers(
                    manager.store, manager.tasks, engine, manager.shares, manager.settings, steady=lambda: clock.now
                )
                return await work(workers)
            finally:
                await engine.close()

        return asyncio.run(all_of_it())

    return run


def _submit(manager: LANSessionManager, address: str = "192.168.1.100", **options: Any) -> TaskRecord:
    session = manager.create_session(address).session_id
    return manager.tasks.submit(session, Request("find the prime", "swarm", **options)).result()


def _now(manager: LANSessionManager, task_id: str) -> TaskRecord:
    task = manager.store.read.task(task_id)
    assert task is not None
    return task


async def _one(workers: Workers, name: str = "w1") -> Claimed:
    (claimed,) = await workers.claim(name, ["swarm"], 1)
    return claimed


def test_a_task_is_claimed_once_and_by_capacity(manager: LANSessionManager, does: Does[Any]) -> None:
    tasks = [_submit(manager) for _ in range(3)]

    async def work(workers: Workers) -> None:
        first = await workers.claim("w1", ["swarm"], 2)
        second = await workers.claim("w2", ["swarm"], 5)
        assert [one.task.id for one in first + second] == [task.id for task in tasks]
        assert await workers.claim("w3", ["swarm"], 5) == []
        assert {one.task.worker for one in first} == {"w1"}
        with pytest.raises(InvalidInputError, match="shell"):
            await workers.claim("w1", ["shell"], 1)

    does(work)


def test_sessions_take_turns_and_what_waits_for_another_is_not_handed_out(
    manager: LANSessionManager, does: Does[Any]
) -> None:
    first = _submit(manager)
    _submit(manager, depends_on=(first.id,))
    other = _submit(manager, "192.168.1.101")

    async def work(workers: Workers) -> None:
        assert {one.task.id for one in await workers.claim("w", ["swarm"], 10)} == {first.id, other.id}

    does(work)


def test_a_lease_that_is_not_the_present_one_can_do_nothing(
    manager: LANSessionManager, clock: Clock, does: Does[Any]
) -> None:
    task = _submit(manager)

    async def work(workers: Workers) -> None:
        old = await _one(workers)
        clock.now += workers.lease_s + 1
        await workers.look()  # nobody was heard of: it waits again
        assert _now(manager, task.id).state is TaskState.QUEUED
        present = await _one(workers, "w2")
        for secret in (old.lease, "", "x"):
            with pytest.raises(NotFoundError):
                workers.of_lease(task.id, secret)
            with pytest.raises(NotFoundError):
                workers.heard(task.id, secret).result()
            with pytest.raises(NotFoundError):
                await workers.append(task.id, secret, 0, "stdout", b"mine")
            with pytest.raises(NotFoundError):
                await workers.complete(task.id, secret, COMPLETED)
        await workers.complete(task.id, present.lease, COMPLETED)
        assert _now(manager, task.id).state is TaskState.COMPLETED

    does(work)


def test_a_claim_of_which_nothing_is_heard_puts_the_task_back_three_times_at_most(
    manager: LANSessionManager, clock: Clock, does: Does[Any]
) -> None:
    task = _submit(manager)

    async def work(workers: Workers) -> None:
        for _ in range(MOST_SILENT):
            await _one(workers)
            clock.now += workers.lease_s + 1
            await workers.look()
        ended = _now(manager, task.id)
        assert (ended.state, ended.reason) == (TaskState.FAILED, Reason.LOST)
        assert "w1" in ended.detail

    does(work)


@pytest.mark.parametrize(("retries", "state"), [(0, TaskState.FAILED), (1, TaskState.QUEUED)])
def test_a_worker_that_falls_silent_has_lost_its_task_and_retries_decide(
    manager: LANSessionManager, clock: Clock, does: Does[Any], retries: int, state: TaskState
) -> None:
    task = _submit(manager, retries=retries)

    async def work(workers: Workers) -> None:
        claimed = await _one(workers)
        await workers.append(task.id, claimed.lease, 0, "stdout", b"half of it")
        clock.now += workers.lease_s - 1
        await workers.look()
        assert _now(manager, task.id).state is TaskState.RUNNING
        clock.now += 2
        await workers.look()
        assert _now(manager, task.id).state is state
        if state is TaskState.QUEUED:
            again = await _one(workers, "w2")
            assert (again.task.attempt, again.log_next > len(b"half of it")) == (2, True)
            await workers.append(task.id, again.lease, again.log_next, "stdout", b"all of it\n")

    does(work)


def test_a_heartbeat_prolongs_and_says_that_the_task_is_to_stop(
    manager: LANSessionManager, clock: Clock, does: Does[Any]
) -> None:
    task = _submit(manager)

    async def work(workers: Workers) -> None:
        claimed = await _one(workers)
        for _ in range(5):
            clock.now += workers.lease_s - 1
            await workers.look()
            expires_at, stop = workers.heard(task.id, claimed.lease).result()
            assert (expires_at, stop) == (clock.now + workers.lease_s, None)
        manager.tasks.cancel(task.id, Reason.CANCELLED_BY_USER).result()
        assert workers.heard(task.id, claimed.lease).result()[1] == "cancelled_by_user"
        await workers.look()
        clock.now += GRACE_S + 1
        workers.heard(task.id, claimed.lease).result()  # it is there, and does not stop
        await workers.look()
        ended = _now(manager, task.id)
        assert (ended.state, ended.reason) == (TaskState.CANCELLED, Reason.CANCELLED_BY_USER)
        with pytest.raises(ConflictError):
            workers.heard(task.id, claimed.lease).result()

    does(work)


def test_a_task_runs_no_longer_than_it_may(manager: LANSessionManager, clock: Clock, does: Does[Any]) -> None:
    task = _submit(manager, time_s=100)

    async def work(workers: Workers) -> None:
        claimed = await _one(workers)
        for _ in range(4):
            clock.now += 30
            workers.heard(task.id, claimed.lease).result()
            await workers.look()
        assert workers.heard(task.id, claimed.lease).result()[1] == "time_limit"
        clock.now += 11
        await workers.look()
        assert _now(manager, task.id).reason is Reason.TIME_LIMIT

    does(work)


def test_the_end_may_be_said_twice_and_no_other_end_after_it(manager: LANSessionManager, does: Does[Any]) -> None:
    task = _submit(manager)

    async def work(workers: Workers) -> None:
        claimed = await _one(workers)
        failed = Outcome(TaskState.FAILED, exit_code=3, detail="no prime found", cpu_s=1.5)
        for _ in range(2):
            ended = await workers.complete(task.id, claimed.lease, failed)
            assert (ended.state, ended.exit_code, ended.detail) == (TaskState.FAILED, 3, "no prime found")
        with pytest.raises(ConflictError):
            await workers.complete(task.id, claimed.lease, COMPLETED)
        with pytest.raises(ConflictError):
            await workers.append(task.id, claimed.lease, 0, "stdout", b"late")

    does(work)


def test_a_log_grows_by_offset_without_a_hole_or_a_repeat(manager: LANSessionManager, does: Does[Any]) -> None:
    task = _submit(manager)

    async def work(workers: Workers) -> None:
        claimed = await _one(workers)
        assert await workers.append(task.id, claimed.lease, 0, "stdout", b"one\n") == 4
        assert await workers.append(task.id, claimed.lease, 0, "stdout", b"one\ntwo\n") == 8  # the answer was lost
        with pytest.raises(ConflictError, match="offset 8"):
            await workers.append(task.id, claimed.lease, 9, "stdout", b"x")
        await workers.complete(task.id, claimed.lease, COMPLETED)
        engine = LocalEngine(LocalConfig(manager.data_dir))
        pieces = await engine.read_log(task.id, 0, 100)
        assert b"".join(piece.data for piece in pieces) == b"one\ntwo\n"
        assert (_now(manager, task.id).kept_bytes or 0) > 8
        await engine.close()

    does(work)


def test_a_clock_that_is_set_takes_nobodys_lease(manager: LANSessionManager, clock: Clock, does: Does[Any]) -> None:
    task = _submit(manager)

    async def work(workers: Workers) -> None:
        steady = clock.now
        workers._steady = lambda: steady
        await _one(workers)
        await workers.look()
        clock.now += 86_400
        await workers.look()
        assert _now(manager, task.id).state is TaskState.RUNNING

    does(work)


def test_an_orchestrators_task_cannot_be_claimed_nor_a_claimed_one_completed_without_its_lease(
    manager: LANSessionManager, does: Does[Any]
) -> None:
    tagged, claimed_id = _submit(manager), _submit(manager).id
    manager.tasks.tag(tagged.id, "USER_TRIGGERED", tagged.session_id).result()

    async def work(workers: Workers) -> None:
        claimed = await _one(workers)
        assert claimed.task.id == claimed_id
        with pytest.raises(ConflictError):
            manager.tasks.complete(claimed_id, "completed").result()
        manager.tasks.complete(tagged.id, "completed").result()

    does(work)


def test_what_waits_for_another_is_not_completed_by_an_orchestrator(manager: LANSessionManager) -> None:
    first = _submit(manager)
    second = _submit(manager, depends_on=(first.id,))
    for wrong in (manager.tasks.complete(second.id, "completed"), manager.tasks.tag(second.id, "SWARM_AUTO", None)):
        with pytest.raises(IllegalMoveError):
            wrong.result()
    manager.tasks.complete(first.id, "completed").result()
    assert manager.tasks.complete(second.id, "completed").result().state is TaskState.COMPLETED


def test_what_could_not_be_handed_over_waits_again_at_once(manager: LANSessionManager, does: Does[Any]) -> None:
    task = _submit(manager)

    async def work(workers: Workers) -> None:
        claimed = await workers.claim("w", ["swarm"], 1)
        workers.give_back(claimed).result()
        assert _now(manager, task.id).state is TaskState.QUEUED
        with pytest.raises(LSMError):
            workers.of_lease(task.id, claimed[0].lease)

    does(work)


def test_what_could_not_be_handed_over_and_is_to_stop_does_not_wait_again(
    manager: LANSessionManager, does: Does[Any]
) -> None:
    task = _submit(manager, retries=1)

    async def work(workers: Workers) -> None:
        claimed = await workers.claim("w", ["swarm"], 1)
        manager.sessions.expire(task.session_id or "").result()
        workers.give_back(claimed).result()
        ended = _now(manager, task.id)
        assert (ended.state, ended.reason) == (TaskState.CANCELLED, Reason.SESSION_ENDED)

    does(work)


def test_a_session_that_ends_has_its_claimed_tasks_stopped(manager: LANSessionManager, does: Does[Any]) -> None:
    task = _submit(manager)

    async def work(workers: Workers) -> None:
        claimed = await _one(workers)
        manager.sessions.expire(task.session_id or "").result()
        assert workers.heard(task.id, claimed.lease).result()[1] == "session_ended"

    does(work)
