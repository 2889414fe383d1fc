"""Queue files of other orchestrators become one batch, or are refused with a sentence that names the task."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.batches import ordered
from lan_session_manager.errors import InvalidInputError
from lan_session_manager.queue_files import LARGEST_FILE, QueueFile, read_queue

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["id", "task", "description", "command", "status", "depends_on", "priority", "phase", "parallel_safe", "type"]
TASK = st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["a", "failed", "completed", "pending", ["a"]]))
FILE = st.lists(TASK, max_size=5) | st.fixed_dictionaries(
    {"tasks": st.lists(TASK, max_size=5)}, optional={"completed": JSON, "failed": JSON}
)


def read(document: Any) -> QueueFile:
    return read_queue(json.dumps(document).encode(), "swarm")


def task(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "description": f"Do {name}", **fields}


def test_a_plain_list_keeps_what_has_no_field_here_in_the_metadata() -> None:
    one, two = read(
        [{"task": "Look", "budget": 2.5, "model": "m", "priority": "high", "phase": 1}, {"task": "Go"}]
    ).items
    assert (one.ref, one.request.description, one.request.runner, one.request.priority) == ("1", "Look", "swarm", 50)
    assert one.request.metadata == {"budget": 2.5, "model": "m", "phase": 1}
    assert (two.ref, two.request.priority, two.request.metadata) == ("2", None, {})


def test_dependencies_and_parallel_safe_are_kept() -> None:
    found = read({"version": 1, "tasks": [task("a", parallel_safe=False, type="t"), task("b", depends_on=["a"])]})
    assert [item.request.depends_on for item in found.items] == [(), ("a",)]
    assert found.items[0].request.parallel_safe is False
    assert found.items[0].request.metadata == {"type": "t"}


def test_tasks_come_in_the_order_of_their_phases() -> None:
    phases = {"a": None, "b": "later", "c": 10, "d": "phase 2", "e": 2, "f": "last", "g": "later"}
    found = read([task(name, phase=phase) for name, phase in phases.items()])
    assert [item.ref for item in found.items] == ["d", "e", "c", "b", "g", "f", "a"]


def test_what_has_completed_is_left_out_and_met_and_what_runs_is_to_be_done() -> None:
    tasks = [task("a", status="completed"), task("b", status="in_progress", depends_on=["a", "x"])]
    found = read({"tasks": tasks, "completed": ["x"], "failed": 3})
    assert [(item.ref, item.request.depends_on) for item in found.items] == [("b", ())]
    assert found.ended == 1


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([task("a", status="failed"), task("b", depends_on=["a"])], "Task b: depends_on names a, which did not"),
        ({"tasks": [task("b", depends_on=["x"])], "failed": [{"id": "x"}]}, "names x, which did not complete"),
        ([task("b", depends_on=["x"])], "names x, which is not in the file"),
        ([task("a", depends_on=["b"]), task("b", depends_on=["a"])], "a → b → a"),
        ([task("a"), task("a")], "Two tasks have the id a"),
        ([task("a", priority=101)], "Task a: priority"),
        ([task("a", priority=True)], "Task a: priority"),
        ([task("a", parallel_safe=0)], "Task a: parallel_safe"),
        ([task("a", status="odd")], "Task a: status"),
        ([task("a", phase=[])], "Task a: phase"),
        ([task("a", depends_on="b")], "Task a: depends_on"),
        ([task("a", notes="x" * 9000)], "Task a: other fields"),
        ([{"id": "a"}], "Task a: description"),
        ([7], "Task 1 is no object"),
        ([{"id": None, "task": "x"}], "Task 1: id"),
        ({"tasks": {}}, "neither a list"),
        ({"tasks": [], "completed": "a"}, "completed is no list"),
        ([task(str(number)) for number in range(1001)], "1000 are the most"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_task_and_the_field(document: Any, words: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read(document)
    assert words in refused.value.message


@pytest.mark.parametrize("data", [b"", b"\xff", b"[NaN]", b"[" * 100_000, b"[" + b"9" * 5000 + b"]"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="no JSON"):
        read_queue(data, "swarm")


def test_a_file_that_is_too_large_is_not_read() -> None:
    with pytest.raises(InvalidInputError, match="16 MB"):
        read_queue(b" " * (LARGEST_FILE + 1), "swarm")


def test_the_same_file_has_the_same_keys_and_another_has_others() -> None:
    keys = [[item.request.idempotency_key for item in read(doc).items] for doc in ([task("a"), task("b")],) * 2]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 2
    assert read([task("a")]).items[0].request.idempotency_key not in keys[0]


def test_a_number_that_is_too_large_is_refused_with_its_task() -> None:
    with pytest.raises(InvalidInputError, match="Task a: other fields hold a number"):
        read_queue(b'[{"id": "a", "task": "x", "budget": 1e999}]', "swarm")


@given(FILE | JSON)
def test_whatever_a_file_says_gives_a_batch_or_a_sentence(document: Any) -> None:
    try:
        found = read(document)
    except InvalidInputError:
        return
    assert len({item.ref for item in found.items}) == len(found.items)
    if found.items:
        assert len(ordered(found.items)) == len(found.items)
    for item in found.items:
        assert set(item.request.depends_on) <= {other.ref for other in found.items}
