"""A task that was lost is tried once more if it asked for that; else it says so, and never ends before it began."""

import pytest

from lan_session_manager import LANSessionManager
from lan_session_manager.requests import Request
from lan_session_manager.states import Reason, TaskState
from lan_session_manager.store.records import EventKind, TaskRecord
from lan_session_manager.tasks import Result
from tests.unit.conftest import Clock

WHY = "The machine restarted while the task ran."


def _running(manager: LANSessionManager, retries: int) -> TaskRecord:
    session = manager.create_session("192.168.1.100")
    request = Request("count", "shell", "wc", retries=retries)
    task = manager.tasks.submit(session.session_id, request).result()
    return manager.tasks.start(task.id, "full").result()


def _lose(manager: LANSessionManager, task: TaskRecord) -> TaskRecord:
    return manager.tasks.finish(task.id, Result(Reason.LOST, None, manager.tasks.now(), detail=WHY)).result()


def test_a_lost_task_that_asked_for_it_waits_again_in_its_place_and_says_why(manager: LANSessionManager) -> None:
    first = _running(manager, retries=1)
    again = _lose(manager, first)
    assert (again.state, again.attempt, again.seq, again.reason, again.ended_at) == (
        TaskState.QUEUED, 2, first.seq, None, None,
    )  # fmt: skip
    assert again.detail == f"{WHY} Attempt 2 begins as soon as there is room for it."
    kinds = [event.kind for event in manager.store.read.events_after(0, 100)]
    assert kinds.count(EventKind.TASK_REQUEUED) == 1
    assert EventKind.TASK_COMPLETED not in kinds
    assert manager.tasks.start(first.id, "full").result().detail == "This is attempt 2: the one before it was lost."


def test_it_is_tried_once_and_then_it_is_lost(manager: LANSessionManager) -> None:
    task = _running(manager, retries=1)
    _lose(manager, task)
    manager.tasks.start(task.id, "full").result()
    lost = _lose(manager, task)
    assert (lost.state, lost.reason, lost.attempt) == (TaskState.FAILED, Reason.LOST, 2)
    assert lost.detail.startswith(f"{WHY} It had been tried again already")
    assert "Run it again" in lost.detail


def test_one_that_had_not_asked_for_it_says_so(manager: LANSessionManager) -> None:
    lost = _lose(manager, _running(manager, retries=0))
    assert (lost.state, lost.reason, lost.attempt) == (TaskState.FAILED, Reason.LOST, 1)
    assert lost.detail.startswith(f"{WHY} It had not asked to be tried again")
    assert "Run it again" in lost.detail


def test_one_that_somebody_wanted_to_end_is_not_tried_again(manager: LANSessionManager) -> None:
    task = _running(manager, retries=1)
    manager.tasks.cancel(task.id, Reason.CANCELLED_BY_USER).result()
    lost = _lose(manager, task)
    assert (lost.state, lost.reason, lost.detail) == (TaskState.CANCELLED, Reason.CANCELLED_BY_USER, WHY)


@pytest.mark.parametrize("reason", [Reason.START_FAILED, Reason.TIME_LIMIT, Reason.SIGNAL])
def test_no_other_end_is_tried_again(manager: LANSessionManager, reason: Reason) -> None:
    task = _running(manager, retries=1)
    assert manager.tasks.finish(task.id, Result(reason, None, manager.tasks.now())).result().state is TaskState.FAILED


def test_a_task_does_not_end_before_it_began_though_the_clock_was_set_back(
    manager: LANSessionManager, clock: Clock
) -> None:
    task = _running(manager, retries=0)
    clock.forward(-86_400)
    ended = manager.tasks.finish(task.id, Result(Reason.EXIT, 0, clock())).result()
    assert ended.ended_at == ended.started_at
