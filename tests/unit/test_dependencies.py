"""A task that waits for others starts after all have completed, and is cancelled once one has ended otherwise."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lan_session_manager import LANSessionManager
from lan_session_manager.batches import BatchItem
from lan_session_manager.errors import IllegalMoveError, InvalidInputError, NoSandboxError, NotFoundError
from lan_session_manager.requests import Request
from lan_session_manager.states import Reason, TaskState
from lan_session_manager.store import list_reads
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


def test_a_chain_of_a_thousand_is_cancelled_to_its_end(make_manager: Callable[..., LANSessionManager]) -> None:
    manager = make_manager(queue_bound=1000)
    session = _session(manager)
    items = [
        BatchItem(Request("true", "shell", depends_on=(f"{n + 1}",) if n < 999 else ()), f"{n}") for n in range(1000)
    ]
    tasks = manager.tasks.submit_batch(session, items).result()
    manager.tasks.cancel(tasks[-1].id, Reason.CANCELLED_BY_USER).result()
    assert {_state(manager, task.id).state for task in tasks} == {TaskState.CANCELLED}
    events = [event.task_id for event in manager.store.read.events_after(0, 5000) if event.kind == "task_completed"]
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


def test_it_does_not_start_before_its_time_however_it_was_chosen(manager: LANSessionManager) -> None:
    session = _session(manager)
    first = _submit(manager, session)
    waits = _submit(manager, session, first.id)
    with pytest.raises(IllegalMoveError):
        manager.tasks.start(waits.id, "full").result()
    manager.tasks.change(first.id, priority=None, start_after=manager.tasks.now() + 60).result()
    with pytest.raises(IllegalMoveError):
        manager.tasks.start(first.id, "full").result()
    assert _ready(manager) == set()
    assert manager.store.read.next_start_after(manager.tasks.now()) is not None
    manager.tasks.change(first.id, priority=None, start_after=0).result()
    assert manager.tasks.start(first.id, "full").result().state is TaskState.RUNNING


@pytest.mark.parametrize("backwards", [False, True])
def test_who_cancels_all_of_a_chain_has_cancelled_each(manager: LANSessionManager, backwards: bool) -> None:
    session = _session(manager)
    first = _submit(manager, session).id
    second = _submit(manager, session, first).id
    ids = [first, second, _submit(manager, session, second).id][:: -1 if backwards else 1]
    done = manager.tasks.bulk(session, BulkAction.CANCEL, ids).result()
    assert [one.id for one in done if isinstance(one, TaskRecord)] == ids
    assert {_state(manager, task_id).reason for task_id in ids} == {Reason.CANCELLED_BY_USER}


def test_nothing_runs_again_in_bulk_where_there_is_no_sandbox(manager: LANSessionManager) -> None:
    session = _session(manager)
    task_id = _submit(manager, session).id
    _end(manager, task_id)
    refused = manager.tasks.bulk(session, BulkAction.RERUN, [task_id], has_sandbox=False).result()
    assert [type(one) for one in refused] == [NoSandboxError]
    assert manager.store.read.queued_count(session) == 0


def test_a_search_that_finds_nothing_in_its_time_says_where_to_go_on(
    manager: LANSessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = _session(manager)
    ids = [_submit(manager, session).id for _ in range(7)]
    monkeypatch.setattr(list_reads, "SEARCH_S", 0.0)
    monkeypatch.setattr(list_reads, "_PIECE", 2)
    found, looks, before = [], 0, 2**53
    while True:
        tasks, following = manager.store.read.tasks_page(session, before, 5, text="task_002")
        found += [task.id for task in tasks]
        looks += 1
        if following is None:
            break
        assert following < before
        before = following
    assert found == [ids[1]]
    assert looks == 4


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LANSessionManager]:
    manager = LANSessionManager(tmp_path_factory.mktemp("dependencies"))
    yield manager
    manager.close()


_HOSTS = (f"10.9.{number // 250}.{number % 250 + 1}" for number in count())
_STEPS = ("complete", "complete", "complete", "fail", "cancel", "put back", "lose", "delete")
_PLANS = st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=3), st.integers(0, 1)), min_size=1, max_size=10)


def _check_counters(manager: LANSessionManager, ids: list[str]) -> None:
    states = {task.id: task for task in (manager.store.read.task(task_id) for task_id in ids) if task}
    depends_on = manager.store.read.dependencies_of(ids)
    for task_id, task in states.items():
        others = [states[other].state for other in depends_on.get(task_id, [])]
        assert task.open_dependencies == sum(other is not TaskState.COMPLETED for other in others), task_id
        if task.state is TaskState.QUEUED:
            assert not {TaskState.FAILED, TaskState.CANCELLED} & set(others), task_id


@settings(max_examples=40, deadline=None)
@given(_PLANS, st.data())
def test_every_task_has_one_end_and_none_starts_too_early(
    many: LANSessionManager, plan: list[tuple[list[int], int]], data: st.DataObject
) -> None:
    session, tasks, read = _session(many, next(_HOSTS)), many.tasks, many.store.read
    ids: list[str] = []
    waits_for: dict[str, set[str]] = {}
    for others, retries in plan:
        depends_on = {ids[other] for other in others if other < len(ids)}
        request = Request("true", "shell", depends_on=tuple(depends_on), retries=retries)
        ids.append(tasks.submit(session, request).result().id)
        waits_for[ids[-1]] = depends_on
    completed: set[str] = set()
    deleted: set[str] = set()
    put_back = 0
    while ready := sorted(_ready(many) & set(ids)):
        task_id = data.draw(st.sampled_from(ready))
        assert waits_for[task_id] <= completed
        match data.draw(st.sampled_from(_STEPS)):
            case "complete":
                _end(many, task_id)
                completed.add(task_id)
            case "fail":
                _end(many, task_id, exit_code=1)
            case "cancel":
                waiting = [task.id for task in read.live_tasks_of(session)]
                tasks.cancel(data.draw(st.sampled_from(waiting)), Reason.CANCELLED_BY_USER).result()
            case "put back" if put_back < 3:
                put_back += 1
                tasks.start(task_id, "full").result()
                tasks.put_back(task_id, "short of something").result()
            case "lose":
                tasks.start(task_id, "full").result()
                tasks.finish(task_id, Result(Reason.LOST, None, tasks.now())).result()
            case _ if gone := sorted(completed - deleted):
                tasks.delete(gone[0]).result()
                deleted.add(gone[0])
        _check_counters(many, ids)
    left = [task for task in map(read.task, ids) if task]
    assert {task.id for task in left} == set(ids) - deleted
    assert all(task.state.ended for task in left)
    events = read.events_of_session(session, 0, 1000)
    ends = [event.task_id for event in events if event.kind == "task_completed"]
    assert sorted(map(str, ends)) == sorted(ids)
