"""The queue files of other orchestrators, read as the tasks of one batch: pure.

Two formats: a list of `{task, budget, model, priority, phase}`, and `{version, tasks: [{id, type, description, status,
depends_on, parallel_safe, ...}], completed, failed}`. What has no field of its own here is kept in the metadata.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from lan_session_manager.batches import MOST_IN_A_BATCH, BatchItem, ordered
from lan_session_manager.errors import InvalidInputError
from lan_session_manager.requests import (
    HIGHEST_PRIORITY,
    LONGEST_COMMAND,
    LONGEST_DESCRIPTION,
    LONGEST_ID,
    LONGEST_METADATA,
    MOST_DEPENDENCIES,
    Request,
    shown,
    text_of,
)

LARGEST_FILE = 16 * 1024 * 1024  # bytes

PRIORITIES: Mapping[str, int] = {"critical": 100, "high": 50, "medium": 0, "normal": 0, "low": -50}
_PENDING = frozenset({"pending", "queued", "in_progress", "running"})
_COMPLETED = frozenset({"completed"})
_FAILED = frozenset({"failed", "cancelled"})
_OWN = frozenset({"id", "task", "description", "command", "priority", "parallel_safe", "depends_on", "status"})
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class QueueFile:
    """What a file asks for: the tasks in the order of their phases, and how many are left out as they ended before.

    The `ref` of an item is the task's id in the file, or its place there ("1" is the first).
    """

    items: tuple[BatchItem, ...]
    ended: int


def read_queue(data: bytes, runner: str) -> QueueFile:
    """The tasks of a queue file, each for `runner`. The same bytes give the same idempotency keys.

    Raises InvalidInputError, which names the task and the field.
    """
    if len(data) > LARGEST_FILE:
        raise InvalidInputError(what=f"The file is larger than {LARGEST_FILE >> 20} MB.")
    tasks, completed, failed = _parts(_parsed(data))
    states: dict[str, str] = {**dict.fromkeys(completed, "completed"), **dict.fromkeys(failed, "failed")}
    found: list[tuple[str, Mapping[str, Any]]] = []
    seen: set[str] = set()
    for number, task in enumerate(tasks, 1):
        if not isinstance(task, dict):
            raise InvalidInputError(what=f"Task {number} is no object.")
        ref = _ref(task.get("id", number), f"Task {number}: id")
        if ref in seen:
            raise InvalidInputError(what=f"Two tasks have the id {shown(ref)}.")
        seen.add(ref)
        if (state := _state(task, ref)) is not None:
            states[ref] = state
        found.append((ref, task))
    open_ones = [(ref, task) for ref, task in found if ref not in states]
    if len(open_ones) > MOST_IN_A_BATCH:
        raise InvalidInputError(what=f"{len(open_ones)} tasks have not ended: {MOST_IN_A_BATCH} are the most.")
    digest, refs = hashlib.sha256(data).hexdigest(), {ref for ref, _ in open_ones}
    items = [BatchItem(_request(task, ref, runner, digest, refs, states), ref) for ref, task in _in_phases(open_ones)]
    if items:
        ordered(items)
    return QueueFile(tuple(items), len(found) - len(items))


def _parsed(data: bytes) -> object:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    try:
        return json.loads(data.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        raise InvalidInputError(what="The file is no JSON in UTF-8.") from None


def _parts(document: object) -> tuple[list[object], list[str], list[str]]:
    if isinstance(document, list):
        return document, [], []
    if not isinstance(document, dict) or not isinstance(document.get("tasks"), list):
        raise InvalidInputError(what="The file is neither a list of tasks nor an object with a list named tasks.")
    return document["tasks"], _ended(document, "completed"), _ended(document, "failed")


def _ended(document: Mapping[str, Any], field: str) -> list[str]:
    """The ids in the file's list of that name; its entries are ids, or objects with one."""
    entries = document.get(field)
    if entries is None or type(entries) is int:  # some write how many there are
        return []
    if not isinstance(entries, list):
        raise InvalidInputError(what=f"{field} is no list of ids.")
    return [_ref(entry.get("id") if isinstance(entry, dict) else entry, f"An entry of {field}") for entry in entries]


def _ref(value: object, where: str) -> str:
    if type(value) is int and abs(value) < 10**18:
        return str(value)
    if not isinstance(value, str) or not value:
        raise InvalidInputError(what=f"{where} is no text and no whole number.")
    return text_of("id of a task", value, LONGEST_ID)


def _state(task: Mapping[str, Any], ref: str) -> str | None:
    """What the task says of its own end; None: it is to be done."""
    status = task.get("status")
    if status is None:
        return None
    if isinstance(status, str) and (word := status.lower()) in _PENDING | _COMPLETED | _FAILED:
        return None if word in _PENDING else "completed" if word in _COMPLETED else "failed"
    known = ", ".join(sorted(_PENDING | _COMPLETED | _FAILED))
    raise _wrong(ref, "status", f"is none of {known}")


def _in_phases(tasks: list[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Numbers (also within a text, as of "phase 2") upwards, then other texts as they first come, then the rest."""
    names: dict[str, int] = {}

    def key(entry: tuple[str, Mapping[str, Any]]) -> tuple[int, float]:
        ref, phase = entry[0], entry[1].get("phase")
        if phase is None:
            return 2, 0
        if isinstance(phase, int | float) and not isinstance(phase, bool):
            return 0, phase
        if not isinstance(phase, str):
            raise _wrong(ref, "phase", "is no number and no text")
        if number := _NUMBER.search(phase):
            return 0, int(number[0])
        return 1, names.setdefault(phase, len(names))

    return sorted(tasks, key=key)


def _request(
    task: Mapping[str, Any], ref: str, runner: str, digest: str, refs: set[str], states: Mapping[str, str]
) -> Request:
    name = "task" if "task" in task else "description"
    text = _text(task, ref, name)
    command = _text(task, ref, "command") if task.get("command") is not None else text
    metadata = {field: value for field, value in task.items() if field not in _OWN}
    try:
        length = len(json.dumps(metadata, allow_nan=False))
    except (ValueError, RecursionError):
        raise _wrong(ref, "other fields", "hold a number that is too large, or are nested too deeply") from None
    if length > LONGEST_METADATA:
        raise _wrong(ref, "other fields", f"take more than {LONGEST_METADATA} characters of JSON")
    parallel_safe = task.get("parallel_safe")
    if not isinstance(parallel_safe, bool | None):
        raise _wrong(ref, "parallel_safe", "is neither true nor false")
    return Request(
        text[:LONGEST_DESCRIPTION],
        runner,
        command,
        idempotency_key="import-" + hashlib.sha256(f"{digest} {ref}".encode()).hexdigest(),
        depends_on=_depends_on(task, ref, refs, states),
        priority=_priority(task, ref),
        parallel_safe=parallel_safe,
        metadata=metadata,
    )


def _text(task: Mapping[str, Any], ref: str, field: str) -> str:
    value = task.get(field)
    if not isinstance(value, str) or not value.strip():
        raise _wrong(ref, field, "is missing, empty or no text")
    if len(value) > LONGEST_COMMAND:
        raise _wrong(ref, field, f"is longer than {LONGEST_COMMAND} characters")
    return value


def _depends_on(task: Mapping[str, Any], ref: str, refs: set[str], states: Mapping[str, str]) -> tuple[str, ...]:
    """The tasks of the file that it is to wait for: what has completed is met."""
    asked = task.get("depends_on")
    if asked is None:
        return ()
    if not isinstance(asked, list):
        raise _wrong(ref, "depends_on", "is no list of ids")
    others = dict.fromkeys(_ref(other, f"Task {shown(ref)}: an entry of depends_on") for other in asked)
    for other in others:
        if states.get(other) == "failed":
            raise _wrong(ref, "depends_on", f"names {shown(other)}, which did not complete")
        if other not in refs and other not in states:
            raise _wrong(ref, "depends_on", f"names {shown(other)}, which is not in the file")
    waits_for = tuple(other for other in others if other in refs)
    if len(waits_for) > MOST_DEPENDENCIES:
        raise _wrong(ref, "depends_on", f"names more than {MOST_DEPENDENCIES} tasks")
    return waits_for


def _priority(task: Mapping[str, Any], ref: str) -> int | None:
    value = task.get("priority")
    if value is None:
        return None
    if isinstance(value, str) and value.lower() in PRIORITIES:
        return PRIORITIES[value.lower()]
    if type(value) is int and abs(value) <= HIGHEST_PRIORITY:
        return value
    words = ", ".join(PRIORITIES)
    raise _wrong(ref, "priority", f"is none of {words} and no whole number from -{HIGHEST_PRIORITY} on")


def _wrong(ref: str, field: str, what: str) -> InvalidInputError:
    return InvalidInputError(what=f"Task {shown(ref)}: {field} {what}.")
