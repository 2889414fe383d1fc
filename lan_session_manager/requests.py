"""What a client asks for when it hands in a task, and what of it becomes one: pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lan_session_manager import runners
from lan_session_manager.allowances import LIMITS, Allowance, TaskLimits, limits_of
from lan_session_manager.destinations import NO_NETWORK
from lan_session_manager.errors import InvalidInputError, NetworkError
from lan_session_manager.settings import Settings
from lan_session_manager.store.records import NewTask, SourceType, TaskRecord

LONGEST_DESCRIPTION = 2_000
LONGEST_COMMAND = 65_536
_LONGEST_ARGUMENT = 131_071  # bytes: MAX_ARG_STRLEN of execve(2) without the final NUL
LONGEST_KEY = 200
LONGEST_NETWORK = 100
LONGEST_ID = 300
LONGEST_METADATA = 8192  # characters of JSON
DEEPEST_METADATA = 32  # objects and lists in each other: what makes answers of them goes down into each
MOST_DEPENDENCIES = 100
HIGHEST_PRIORITY = 100
LATEST_START_S = 366 * 86_400

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_IN_A_COMMAND = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Request:
    """What a client asks for. `runner` None: the server picks; `command` None: the description is the command."""

    description: str
    runner: str | None = None
    command: str | None = None
    memory_mb: int | None = None
    time_s: float | None = None
    idempotency_key: str | None = None
    network: str | None = None  # the name of a network profile
    cores: float | None = None
    pids: int | None = None
    open_files: int | None = None
    log_mb: int | None = None
    disk_mb: int | None = None
    files: int | None = None
    depends_on: tuple[
        str, ...
    ] = ()  # ids of tasks of the same session; in a batch also what its tasks are called there
    priority: int | None = None  # None: the usual one, 0
    start_after: float | None = None  # Unix time in seconds
    retries: int | None = None
    parallel_safe: bool | None = None
    metadata: Mapping[str, Any] | None = None

    @property
    def limits(self) -> TaskLimits:
        """The limits that it asks for."""
        return TaskLimits(**{name: getattr(self, name) for name in LIMITS})


def checked(request: Request, allowed: Allowance, settings: Settings, now: float) -> NewTask:
    """What the request makes as a task of a session that may use `allowed`.

    Raises InvalidInputError, LimitTooHighError and NetworkError.
    """
    description = " ".join(text_of("description", request.description, LONGEST_DESCRIPTION, _NOT_IN_A_COMMAND).split())
    if not description:
        raise InvalidInputError(what="The description is empty. Say what the task is to do.")
    runner = request.runner if request.runner is not None else runners.pick(request.command or description)
    if runner not in runners.NAMES:
        raise InvalidInputError(what=f"There is no such runner. Choose one of: {', '.join(runners.NAMES)}.")
    command = request.description if request.command is None else request.command
    command = text_of("command", command, LONGEST_COMMAND, _NOT_IN_A_COMMAND)
    if len(command.encode()) > _LONGEST_ARGUMENT:
        raise InvalidInputError(what=f"The command is too long: {_LONGEST_ARGUMENT} bytes are the most.")
    if not command.strip():
        raise InvalidInputError(what="The command is empty. Type what is to run.")
    if request.idempotency_key is not None:
        key = text_of("idempotency_key", request.idempotency_key, LONGEST_KEY, _UNPRINTABLE)
        if not key:
            raise InvalidInputError(
                what="The idempotency_key is empty. Send a text of your own choice, or leave it out."
            )
    network = NO_NETWORK if request.network is None else request.network
    if network not in (NO_NETWORK, *allowed.networks):
        asked = text_of("network", network, LONGEST_NETWORK, _UNPRINTABLE)
        raise NetworkError(asked=asked, allowed=", ".join((NO_NETWORK, *allowed.networks)))
    return NewTask(
        runner=runner,
        source_type=SourceType.USER_TRIGGERED,
        description=description,
        command=command,
        idempotency_key=request.idempotency_key,
        network=network,
        **asdict(limits_of(request.limits, allowed, settings)),
        **_order(request, now),
    )


def _order(request: Request, now: float) -> dict[str, Any]:
    """What the request says of its place in the queue, as fields of a task."""
    if len(request.depends_on) > MOST_DEPENDENCIES:
        raise InvalidInputError(what=f"A task may wait for {MOST_DEPENDENCIES} others at most.")
    checked_order(request.priority, request.start_after, now)
    if request.retries not in (None, 0, 1):
        raise InvalidInputError(what="A lost task is run once more at most: retries is 0 or 1.")
    metadata = dict(request.metadata or {})
    try:
        length = len(json.dumps(metadata, allow_nan=False))
        json.dumps(metadata, ensure_ascii=False).encode()  # half a character, which JSON can spell, is no text
    except (TypeError, ValueError, RecursionError):
        raise InvalidInputError(
            what="The metadata are not JSON. Send an object of texts, numbers and the like."
        ) from None
    if length > LONGEST_METADATA:
        raise InvalidInputError(what=f"The metadata are too long: {LONGEST_METADATA} characters of JSON are the most.")
    if _is_deep(metadata):
        raise InvalidInputError(what=f"The metadata are too deep: {DEEPEST_METADATA} levels are the most.")
    return {
        "depends_on": tuple(dict.fromkeys(request.depends_on)),
        "priority": request.priority or 0,
        "start_after": request.start_after,
        "retries": request.retries or 0,
        "parallel_safe": request.parallel_safe is not False,
        "metadata": metadata,
    }


def _is_deep(metadata: Mapping[str, Any]) -> bool:
    level: list[Any] = [metadata]
    for _ in range(DEEPEST_METADATA):
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [value for values in inner for value in values if isinstance(value, dict | list | tuple)]
    return bool(level)


def checked_order(priority: int | None, start_after: float | None, now: float) -> None:
    """Raise InvalidInputError for what is no place in a queue."""
    if abs(priority or 0) > HIGHEST_PRIORITY:
        raise InvalidInputError(what=f"The priority goes from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}.")
    if start_after is not None and not 0 <= start_after <= now + LATEST_START_S:
        raise InvalidInputError(what="start_after is a moment within the next year.")


def again(task: TaskRecord, edits: Request | None = None) -> Request:
    """The request that runs a task once more, with the fields of `edits` that are given in place of its own."""
    if task.number is None:
        raise InvalidInputError(what="This task was reported by an orchestrator: only that can run it again.")
    limits: dict[str, Any] = {name: getattr(task, name) or None for name in LIMITS}
    same = Request(
        task.description,
        task.runner,
        task.command,
        network=task.network,
        priority=task.priority,
        retries=task.retries,
        parallel_safe=task.parallel_safe,
        metadata=task.metadata,
        **limits,
    )
    if edits is None:
        return same
    return replace(same, **{name: value for name, value in vars(edits).items() if value not in (None, "", ())})


def shown(text: str) -> str:
    """A text of a client as it may stand in a sentence."""
    return _UNPRINTABLE.sub("?", text[:LONGEST_ID])


def text_of(name: str, value: str, longest: int, refused: re.Pattern[str] = _UNPRINTABLE) -> str:
    """A text of a client. Raises InvalidInputError, which names it, for one that is too long or cannot be shown."""
    if len(value) > longest:
        raise InvalidInputError(what=f"The {name} is too long: {longest} characters are the most.")
    if found := refused.search(value):
        raise InvalidInputError(what=f"The {name} holds the character U+{ord(found[0]):04X}. Take it out.")
    return value
