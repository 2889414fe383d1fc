"""A task that waits for others starts after all have completed, and is cancelled once one has ended otherwise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lan_session_manager import LANSessionManager
from lan_session_manager.batches import BatchItem
from lan_session_manager.errors import InvalidInputError, NotFoundError
from lan_session_manager.requests import Request
from lan_session_manager.states import Reason, TaskState
from lan_session_manager.store.records import TaskRecord
from lan_session_manager.tasks import BulkAction, Result

ADDRESS = "192.168.1.100"


def _session(manager: LANSessionManager, address: str = ADDRESS) -> str:
    return str(manager.create_session(address).session_id)


def _submit(manager: LANSessionManager, session: str, *depends_on: str) -> TaskRecord:
    request = Request("true", "shell", depends_on=depends_on)
    return manager.tasks.submit(session, request).result()


def _ready(manager: LANSessionManager) -> set[str]:
    return {row[1] for row in manager.store.read.waiting(("shell", "python"), manager.tasks.now())}


def _end(manager: LANSessionManager, task_id: str, exit_code: int = 0) -> None:
    manager.tasks.start(task_id, "full").result()
    manager.tasks.finish(task_id, Result(Reason.EXIT, exit_code, manager.tasks.now())).result()


def _state(manager: LANSessionManager, task_id: str) -> TaskRecord:
    task = manager.store.read.task(task_id)
    assert task is not None
    return task


def test_it_is_ready_once_all_that_it_waits_for_have_completed(manager: LANSessionManager) -> None:
    session = _session(manager)
    first, second = _submit(manager, session), _submit(manager, session)
    waits = _submit(manager, session, first.id, second.id, first.id)
    assert _ready(manager) == {first.id, second.id}
    _end(manager, first.id)
    assert waits.id not in _ready(manager)
    _end(manager, second.id)
    assert _ready(manager) == {waits.id}


def test_whether_the_other_fails_before_or_after_makes_no_difference(manager: LANSessionManager) -> None:
    session = _session(manager)
    fails = _submit(manager, session)
    early = _submit(manager, session, fails.id)
    _end(manager, fails.id, exit_code=1)
    late = _submit(manager, session, fails.id)
    follows = _submit(manager, session, late.id)
    for task_id in (early.id, late.id, follows.id):
        task = _state(manager, task_id)
        assert (task.state, task.reason) == (TaskState.CANCELLED, Reason.DEPENDENCY_FAILED)
    assert _state(manager, early.id).detail == f"It waited for {fails.id}, which has failed."


def test_a_long_chain_is_cancelled_to_its_end(manager: LANSessionManager) -> None:
    session = _session(manager)
    items = [
        BatchItem(Request("true", "shell", depends_on=(f"{n + 1}",) if n < 99 else ()), f"{n}") for n in range(100)
    ]
    tasks = manager.tasks.submit_batch(session, items).result()
    manager.tasks.cancel(tasks[-1].id, Reason.CANCELLED_BY_USER).result()
    assert {_state(manager, task.id).state for task in tasks} == {TaskState.CANCELLED}
    events = [event.task_id for event in manager.store.read.events_after(0, 1000) if event.kind == "task_completed"]
    assert sorted(map(str, events)) == sorted(task.id for task in tasks)  # one each


def test_a_batch_with_one_that_cannot_be_is_not_accepted_at_all(manager: LANSessionManager) -> None:
    session = _session(manager)
    items = [BatchItem(Request("true", "shell"), "a"), BatchItem(Request("true", "shell", depends_on=("nobody",)))]
    with pytest.raises(InvalidInputError, match="There is no task nobody of this session"):
        manager.tasks.submit_batch(session, items).result()
    assert manager.store.read.queued_count(session) == 0


def test_anothers_task_is_waited_for_no_more_than_one_that_is_not_there(manager: LANSessionManager) -> None:
    theirs = _submit(manager, _session(manager, "192.168.1.101"))
    session = _session(manager)
    for task_id in (theirs.id, "user_192_168_1_101_task_999"):
        with pytest.raises(InvalidInputError, match=f"There is no task {task_id} of this session to wait for"):
            _submit(manager, session, task_id)


def test_a_session_that_ends_ends_a_whole_chain_once(manager: LANSessionManager) -> None:
    session = _session(manager)
    items = [BatchItem(Request("true", "shell", depends_on=("b",)), "a"), BatchItem(Request("true", "shell"), "b")]
    tasks = manager.tasks.submit_batch(session, items).result()
    manager.sessions.expire(session).result()
    assert {_state(manager, task.id).reason for task in tasks} == {Reason.SESSION_ENDED}


def test_many_are_cancelled_deleted_and_run_again_and_one_refusal_stops_no_other(manager: LANSessionManager) -> None:
    session = _session(manager)
    mine = [_submit(manager, session).id for _ in range(3)]
    theirs = _submit(manager, _session(manager, "192.168.1.101")).id
    done = manager.tasks.bulk(session, BulkAction.CANCEL, [mine[0], theirs, "none", mine[1]]).result()
    assert [isinstance(one, TaskRecord) for one in done] == [True, False, False, True]
    assert {type(one) for one in done[1:3]} == {NotFoundError}
    again = manager.tasks.bulk(session, BulkAction.RERUN, mine[:1]).result()
    assert isinstance(again[0], TaskRecord)
    assert again[0].state is TaskState.QUEUED
    manager.tasks.bulk(session, BulkAction.DELETE, mine).result()
    assert [manager.store.read.task(task_id) is None for task_id in mine] == [True, True, False]  # it waits still


def test_a_page_of_the_list_goes_on_where_the_one_before_ended(manager: LANSessionManager) -> None:
    session = _session(manager)
    ids = [_submit(manager, session).id for _ in range(7)]
    read, found, before = manager.store.read, [], 2**53
    while True:
        tasks, following = read.tasks_page(session, before, 3)
        found += [task.id for task in tasks]
        if following is None:
            break
        before = following
    assert found == list(reversed(ids))
    assert [task.id for task in read.tasks_page(session, 2**53, 9, text="task_003")[0]] == [ids[2]]
    assert read.tasks_page(session, 2**53, 9, states=("running",)) == ([], None)
    assert read.tasks_page(session, 2**53, 9, text="100%")[0] == []


_CHANCES = st.lists(st.tuples(st.lists(st.integers(0, 7), max_size=3), st.integers(0, 3)), min_size=1, max_size=8)


@settings(max_examples=30, deadline=None)
@given(_CHANCES, st.randoms(use_true_random=False))
def test_every_task_has_one_end_and_none_starts_too_early(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[list[int], int]], chance: object
) -> None:
    manager = LANSessionManager(tmp_path_factory.mktemp("dependencies"))
    try:
        session = _session(manager)
        ids: list[str] = []
        for waits_for, _ in plan:
            ids.append(_submit(manager, session, *{ids[other] for other in waits_for if other < len(ids)}).id)
        fate = dict(zip(ids, (exit_code == 0 for _, exit_code in plan), strict=True))
        completed: set[str] = set()
        while ready := sorted(_ready(manager)):
            task_id = chance.choice(ready)  # type: ignore[attr-defined]
            assert set(manager.store.read.dependencies_of([task_id]).get(task_id, [])) <= completed
            _end(manager, task_id, exit_code=0 if fate[task_id] else 1)
            if fate[task_id]:
                completed.add(task_id)
        assert all(_state(manager, task_id).state.ended for task_id in ids)
        ends = [event.task_id for event in manager.store.read.events_after(0, 1000) if event.kind == "task_completed"]
        assert sorted(map(str, ends)) == sorted(ids)
    finally:
        manager.close()
