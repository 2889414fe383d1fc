"""Tasks are numbered without a gap, accepted within bounds, and have one end."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager import LANSessionManager
from lan_session_manager.errors import (
    ConflictError,
    IllegalMoveError,
    InvalidInputError,
    LimitTooHighError,
    NotFoundError,
    QueueFullError,
    RunsHereError,
    StillActiveError,
)
from lan_session_manager.requests import Request, again
from lan_session_manager.runners import pick
from lan_session_manager.states import Reason, TaskState
from lan_session_manager.store.records import TaskRecord
from lan_session_manager.tasks import Result
from tests.unit.conftest import Clock

IP = "192.168.1.100"


def _submit(manager: LANSessionManager, **fields: object) -> TaskRecord:
    session = manager.create_session(IP)
    request = Request(**{"description": "count", "runner": "shell", "command": "wc", **fields})  # type: ignore[arg-type]
    return manager.tasks.submit(session.session_id, request).result()


def _running(manager: LANSessionManager) -> TaskRecord:
    return manager.tasks.start(_submit(manager).id, "full").result()


def test_ids_count_from_one_in_the_namespace_of_the_session(manager: LANSessionManager) -> None:
    ids = [_submit(manager).id for _ in range(3)]
    assert ids == [f"user_192_168_1_100_task_00{number}" for number in (1, 2, 3)]


def test_a_number_is_not_given_again_when_its_task_is_deleted(manager: LANSessionManager) -> None:
    task = _submit(manager)
    manager.tasks.cancel(task.id, Reason.CANCELLED_BY_USER).result()
    manager.tasks.delete(task.id).result()
    assert _submit(manager).number == 2


def test_the_same_key_is_the_same_task(manager: LANSessionManager) -> None:
    first, second = _submit(manager, idempotency_key="k"), _submit(manager, idempotency_key="k")
    assert first.id == second.id
    assert _submit(manager, idempotency_key="other").number == 2


def test_the_same_key_of_another_session_is_another_task(manager: LANSessionManager) -> None:
    first = _submit(manager, idempotency_key="k")
    other = manager.create_session("192.168.1.101")
    second = manager.tasks.submit(other.session_id, Request("count", "shell", "wc", idempotency_key="k")).result()
    assert first.id != second.id


def test_a_full_queue_refuses_and_says_how_full(make_manager: Callable[..., LANSessionManager]) -> None:
    manager = make_manager(queue_bound=2)
    _submit(manager)
    _submit(manager)
    with pytest.raises(QueueFullError, match="2 tasks wait"):
        _submit(manager)
    manager.tasks.start("user_192_168_1_100_task_001", "full").result()
    assert _submit(manager).number == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"description": ""}, {"description": " \n "}, {"description": "a\x00b"}, {"description": "x" * 2001},
        {"description": "\ud800"}, {"command": ""}, {"command": "a\x00"}, {"command": "\x1b[2J"},
        {"command": "x" * 65537},
        {"runner": "docker"}, {"runner": ""}, {"memory_mb": 1}, {"time_s": 0}, {"time_s": -1.0},
        {"time_s": float("nan")},
        {"idempotency_key": ""}, {"idempotency_key": "a\nb"}, {"idempotency_key": "k" * 201},
    ],
)  # fmt: skip
def test_bad_input_is_refused_and_leaves_no_row(manager: LANSessionManager, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        _submit(manager, **fields)
    assert manager.get_user_dashboard_data(IP)["my_tasks"] == []


def _nested(levels: int) -> dict[str, object]:
    inner: list[object] = []
    for _ in range(levels - 2):
        inner = [inner]
    return {"a": inner}


@pytest.mark.parametrize("metadata", [{"a": "\ud800"}, {"\ud800": 1}, _nested(33), {"a": {"b": _nested(400)}}])
def test_metadata_that_no_answer_could_show_are_refused(
    manager: LANSessionManager, metadata: dict[str, object]
) -> None:
    with pytest.raises(InvalidInputError, match="metadata"):
        _submit(manager, metadata=metadata)


def test_metadata_may_have_32_levels(manager: LANSessionManager) -> None:
    assert _submit(manager, metadata=_nested(32)).metadata == _nested(32)


def test_more_than_the_allowance_is_refused_and_says_the_allowance(
    make_manager: Callable[..., LANSessionManager],
) -> None:
    manager = make_manager(session_memory_mb=700, task_time_max_s=100)
    with pytest.raises(LimitTooHighError, match="700 MB"):
        _submit(manager, memory_mb=701)
    with pytest.raises(LimitTooHighError, match="100 seconds"):
        _submit(manager, time_s=101)


def test_only_one_starts_a_task(manager: LANSessionManager) -> None:
    task = _running(manager)
    with pytest.raises(IllegalMoveError):
        manager.tasks.start(task.id, "full").result()


def test_a_waiting_task_is_cancelled_at_once(manager: LANSessionManager) -> None:
    task = manager.tasks.cancel(_submit(manager).id, Reason.CANCELLED_BY_USER).result()
    assert (task.state, task.reason) == (TaskState.CANCELLED, Reason.CANCELLED_BY_USER)


def test_a_running_task_is_marked_for_whoever_runs_it(manager: LANSessionManager) -> None:
    task = _running(manager)
    marked = manager.tasks.cancel(task.id, Reason.CANCELLED_BY_USER).result()
    assert (marked.state, marked.stop_reason) == (TaskState.RUNNING, Reason.CANCELLED_BY_USER)
    again = manager.tasks.cancel(task.id, Reason.CANCELLED_BY_ADMIN).result()
    assert again.stop_reason is Reason.CANCELLED_BY_USER  # the first wish stays


def test_an_ended_task_cannot_be_cancelled_and_says_why(manager: LANSessionManager) -> None:
    task = manager.tasks.cancel(_submit(manager).id, Reason.CANCELLED_BY_USER).result()
    with pytest.raises(IllegalMoveError, match="it is cancelled"):
        manager.tasks.cancel(task.id, Reason.CANCELLED_BY_USER).result()


@pytest.mark.parametrize(
    ("reason", "exit_code", "state"),
    [
        (Reason.EXIT, 0, TaskState.COMPLETED),
        (Reason.EXIT, 1, TaskState.FAILED),
        (Reason.SIGNAL, 143, TaskState.FAILED),
        (Reason.OUT_OF_MEMORY, 137, TaskState.FAILED),
        (Reason.TIME_LIMIT, 137, TaskState.FAILED),
        (Reason.LOST, None, TaskState.FAILED),
        (Reason.START_FAILED, None, TaskState.FAILED),
        (Reason.CANCELLED_BY_USER, 0, TaskState.CANCELLED),
        (Reason.SESSION_ENDED, 143, TaskState.CANCELLED),
    ],
)
def test_the_reason_of_an_end_decides_its_state(
    manager: LANSessionManager, reason: Reason, exit_code: int | None, state: TaskState
) -> None:
    task = manager.tasks.finish(_running(manager).id, Result(reason, exit_code, 2e9)).result()
    assert (task.state, task.reason, task.exit_code, task.ended_at) == (state, reason, exit_code, 2e9)


def test_a_task_ends_once(manager: LANSessionManager) -> None:
    task = _running(manager)
    manager.tasks.finish(task.id, Result(Reason.EXIT, 0, 2e9)).result()
    with pytest.raises(IllegalMoveError):
        manager.tasks.finish(task.id, Result(Reason.LOST, None, 2e9)).result()


def test_nobody_ends_by_word_what_runs_in_a_sandbox(manager: LANSessionManager) -> None:
    with pytest.raises(RunsHereError):
        manager.complete_task(_running(manager).id)


def test_an_active_task_cannot_be_deleted(manager: LANSessionManager) -> None:
    with pytest.raises(StillActiveError):
        manager.tasks.delete(_submit(manager).id).result()


def test_what_does_not_exist_is_not_found(manager: LANSessionManager) -> None:
    for call in (
        manager.tasks.cancel("nothing", Reason.CANCELLED_BY_USER),
        manager.tasks.delete("nothing"),
        manager.tasks.complete("nothing", "completed"),
    ):
        with pytest.raises(NotFoundError):
            call.result()


def test_a_task_runs_again_as_it_was_with_what_is_edited(manager: LANSessionManager, clock: Clock) -> None:
    task = _submit(manager, memory_mb=64, time_s=9.0)
    same = again(task)
    assert (same.command, same.runner, same.memory_mb, same.time_s) == ("wc", "shell", 64, 9.0)
    edited = again(task, Request("", memory_mb=128))
    assert (edited.description, edited.command, edited.memory_mb) == ("count", "wc", 128)


@pytest.mark.parametrize(
    ("description", "runner"),
    [
        ("python3 inputs/a.py > outputs/b.txt", "shell"), ("ls", "shell"), ("ls -la inputs", "shell"),
        ("A=1 env | sort", "shell"), ("/usr/bin/true now", "shell"), ("Analyze data.csv", "swarm"),
        ("find duplicates among the orders", "swarm"), ("sort the list", "swarm"),
        ("Write a report about whales", "swarm"),
    ],
)  # fmt: skip
def test_a_wish_in_plain_words_goes_to_the_swarm_and_a_command_to_the_shell(description: str, runner: str) -> None:
    assert pick(description) == runner


@given(st.text(max_size=200))
def test_every_description_has_a_runner(description: str) -> None:
    assert pick(description) in ("shell", "swarm")


def test_a_number_whose_id_an_orchestrator_has_reported_is_passed_over(manager: LANSessionManager) -> None:
    first = _submit(manager)
    manager.activity_tracker.tag_task("user_192_168_1_100_task_002", "USER_TRIGGERED", IP)
    assert [first.number, _submit(manager).number, _submit(manager).number] == [1, 3, 4]


def test_an_id_that_was_given_never_comes_back_for_another_task(manager: LANSessionManager) -> None:
    tracker = manager.activity_tracker
    given = _submit(manager).id
    manager.tasks.cancel(given, Reason.CANCELLED_BY_USER).result()
    manager.tasks.delete(given).result()
    with pytest.raises(ConflictError, match="name of your own"):
        tracker.tag_task(given, "USER_TRIGGERED", IP)
    reported = "user_192_168_1_100_task_007"
    tracker.tag_task(reported, "USER_TRIGGERED", IP)
    tracker.complete_task(reported)
    manager.tasks.delete(reported).result()
    with pytest.raises(ConflictError):
        tracker.tag_task(reported, "USER_TRIGGERED", IP)
    assert _submit(manager).number == 8


@pytest.mark.parametrize(
    ("task_id", "ip"),
    [
        ("user_192_168_1_101_task_001", IP),
        ("user_192_168_1_101_task_001", None),
        ("user_192_168_1_100_task_1000000000000000000000", IP),
    ],
)
def test_nobody_reports_work_under_the_ids_of_another_session(
    manager: LANSessionManager, task_id: str, ip: str | None
) -> None:
    manager.create_session("192.168.1.101")
    with pytest.raises(ConflictError):
        manager.activity_tracker.tag_task(task_id, "USER_TRIGGERED" if ip else "SWARM_AUTO", ip)


def test_a_command_longer_than_the_kernel_takes_is_refused(manager: LANSessionManager) -> None:
    assert _submit(manager, command="é" * 65_535)
    with pytest.raises(InvalidInputError, match="131071 bytes"):
        _submit(manager, command="é" * 65_536)
