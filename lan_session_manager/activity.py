"""What each viewer may see: own work in full, others as counts.

A `Picture` is taken of everything at one moment and holds ids; what leaves this module for a viewer holds own ids only.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from lan_session_manager import runners
from lan_session_manager.allowances import LIMITS, allowance_of, most_of
from lan_session_manager.errors import LSMError
from lan_session_manager.line import Line, line_now
from lan_session_manager.machine import Watch
from lan_session_manager.samples import Now
from lan_session_manager.schedule import Loads, Placed
from lan_session_manager.settings import Settings
from lan_session_manager.shares import Shares
from lan_session_manager.states import TaskState
from lan_session_manager.store import Store
from lan_session_manager.store.records import EventRecord, MessageRecord, SessionRecord, SourceType, TaskRecord
from lan_session_manager.version import __version__
from lan_session_manager.waits import wait_of
from lan_session_manager.workspace import Usage

_log = logging.getLogger(__name__)

ACTIVE_S = 5 * 60  # a user counts as active for so long after the last request
ENDED_SHOWN = 100
LOG_SHOWN = 50
_LONG = 300  # tasks in a queue that is not looked at anew for each who asks
_LINE_SHARE = 20  # of such a look the next comes after so many times as long
COMMAND_SHOWN = 1000  # characters of a command where many tasks are shown
_NEARLY_FULL = 0.05  # of the disk, or of the memory, that is left: the swarm's health is a warning

_TAGS = {
    SourceType.USER_TRIGGERED: "Started by user {address}",
    SourceType.SWARM_AUTO: "Background swarm activity",
    SourceType.ADMIN_TASK: "System maintenance",
    SourceType.CROSS_USER: "Multi-user collaboration",
}


@dataclass(frozen=True)
class Isolation:
    """How tasks are isolated on this machine, as its self-test found at start."""

    grade: str
    line: str


@dataclass(frozen=True)
class Picture:
    """Everything that is going on, at one moment. For use inside of the server only."""

    placed: Mapping[str, Placed]  # by task id
    starts: Mapping[str, float]  # by task id: in how many seconds it may start, where that can be known
    loads: Loads
    running: Mapping[str | None, int]  # by session id
    active: frozenset[str]  # session ids
    live_sessions: int

    @property
    def total_running(self) -> int:
        """Running tasks of everybody and of nobody."""
        return sum(self.running.values())

    @cached_property
    def queues(self) -> Mapping[str, Mapping[str, int]]:
        """By session id the places of its waiting tasks: made once for all sessions that are told theirs."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for placed in self.placed.values():
            found[placed.task.session_id][placed.task.task_id] = placed.position
        return dict(found)


class Activity:
    """The views of viewers."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        watch: Watch,
        isolation: Isolation | None,
        shares: Shares,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._settings = settings
        self._watch = watch
        self._isolation = isolation
        self._shares = shares
        self._clock = clock
        self.started_at = clock()
        # What running tasks use: known where an engine runs them.
        self.used_now: Callable[[], Mapping[str, Now]] = dict
        self.is_draining = False  # the server starts nothing any more, and ends when nothing runs
        self._known_line: Line | None = None  # of a long queue
        self._line_until = 0.0
        self._looking = threading.Lock()

    def picture(self) -> Picture:
        """What is going on now."""
        read = self._store.read
        line = self._line()
        return Picture(
            placed=line.placed,
            starts=line.starts,
            loads=line.loads,
            running=read.running_by_session(),
            active=read.active_sessions(self._clock() - ACTIVE_S),
            live_sessions=read.live_session_count(),
        )

    def _line(self) -> Line:
        """Everybody's place in the queue; of a long one as it was a moment ago, so that nobody waits for the look."""
        known = self._known_line
        if known is None:
            return self._look()
        if time.monotonic() >= self._line_until and self._looking.acquire(blocking=False):
            threading.Thread(target=self._look_beside, name="line", daemon=True).start()
        return known

    def _look_beside(self) -> None:
        try:
            self._look()
        except LSMError:  # what was known is shown for longer
            _log.warning("the queue could not be read", exc_info=True)
        finally:
            self._looking.release()

    def _look(self) -> Line:
        began = time.monotonic()
        line = line_now(self._store.read, self._settings, self._shares, self._clock())
        self._line_until = time.monotonic() + (time.monotonic() - began) * _LINE_SHARE
        self._known_line = line if len(line.placed) > _LONG else None
        return line

    def tasks(
        self, tasks: Sequence[TaskRecord], session: SessionRecord | None, picture: Picture
    ) -> list[dict[str, Any]]:
        """Tasks as their owner sees them, of very long commands the beginning alone."""
        return [self.brief(view) for view in self._views(tasks, session, picture)]

    def task(self, task: TaskRecord, session: SessionRecord | None, picture: Picture) -> dict[str, Any]:
        """A task as its owner sees it, with everything that is known of it."""
        return self._views([task], session, picture)[0]

    def _views(
        self, tasks: Sequence[TaskRecord], session: SessionRecord | None, picture: Picture
    ) -> list[dict[str, Any]]:
        read = self._store.read
        depends_on = read.dependencies_of([task.id for task in tasks])
        waiting = [task.id for task in tasks if task.open_dependencies and task.state is TaskState.QUEUED]
        unmet = read.unmet_dependencies(waiting)
        used_now = self.used_now()
        return [
            self._view(task, session, picture, depends_on.get(task.id, []), unmet.get(task.id, []), used_now)
            for task in tasks
        ]

    @staticmethod
    def brief(view: dict[str, Any]) -> dict[str, Any]:
        """The view of a task with at most `COMMAND_SHOWN` characters of its command."""
        is_cut = len(view["command"]) > COMMAND_SHOWN
        return {**view, "command": view["command"][:COMMAND_SHOWN], "command_cut": is_cut}

    def _view(
        self,
        task: TaskRecord,
        session: SessionRecord | None,
        picture: Picture,
        depends_on: list[str],
        unmet: list[str],
        used_now: Mapping[str, Now],
    ) -> dict[str, Any]:
        placed = picture.placed.get(task.id) if task.state is TaskState.QUEUED else None
        waits_for, wait = None, None
        if task.state is TaskState.QUEUED:
            waits_for, wait = wait_of(
                task,
                now=self._clock(),
                placed=placed,
                load=picture.loads.of(task.session_id or ""),
                unmet=unmet,
                starts_in=picture.starts.get(task.id),
            )
        return {
            "task_id": task.id,
            "number": task.number,
            "description": task.description,
            "command": task.command,
            "command_cut": False,
            "runner": task.runner,
            "status": str(task.state),
            "source_type": str(task.source_type),
            "tag": _TAGS[task.source_type].format(address=session.address if session else "nobody"),
            "priority": task.priority,
            "start_after": iso(task.start_after),
            "depends_on": depends_on,
            "retries": task.retries,
            "attempt": task.attempt,
            "parallel_safe": task.parallel_safe,
            "metadata": dict(task.metadata),
            "worker": task.worker,
            "queue_position": placed.position if placed else None,
            "waits_for": waits_for,
            "wait": wait,
            "created_at": iso(task.created_at),
            "started_at": iso(task.started_at),
            "ended_at": iso(task.ended_at),
            "exit_code": task.exit_code,
            "reason": task.reason and str(task.reason),
            "detail": task.detail,
            "stopping": task.state is TaskState.RUNNING and task.stop_reason is not None,
            "child_out_of_memory": task.child_out_of_memory,
            "isolation": task.isolation,
            "network": task.network,
            "limits": {name: getattr(task, name) for name in LIMITS},
            "usage": self._usage(task, used_now),
            "outputs": [{"path": output.path, "size": output.size} for output in task.outputs],
            "outputs_total": task.outputs_total,
        }

    @staticmethod
    def _usage(task: TaskRecord, used_now: Mapping[str, Now]) -> dict[str, Any] | None:
        if task.cpu_s is not None:
            return {"cpu_s": task.cpu_s, "memory_peak_mb": task.memory_peak_mb}
        now = used_now.get(task.id) if task.state is TaskState.RUNNING else None
        return None if now is None else now_view(now)

    def session(self, session: SessionRecord) -> dict[str, Any]:
        """A session as its device and the owner see it."""
        return {
            "session_id": session.id,
            "ip": session.address,
            "created_at": iso(session.created_at),
            "last_activity": iso(session.last_activity),
            "active_tasks": self._store.read.live_count(session.id),
            "total_tasks": session.total_tasks,
            "workspace": session.name,
            "task_namespace": session.namespace,
            "permissions": self.permissions(session.id),
        }

    def permissions(self, session_id: str) -> dict[str, Any]:
        """What a session may do."""
        allowed = allowance_of(self._store.read, self._settings, session_id)
        return {
            "role": "standard_user",
            "can_read_core_system": False,
            "can_modify_core_system": False,
            "can_see_other_workspaces": False,
            "can_trigger_swarm_tasks": True,
            "can_view_network_activity": True,
            "workspace_quota_mb": allowed.quota_mb,
            "max_concurrent_tasks": allowed.max_concurrent_tasks,
            "networks": list(allowed.networks),
        }

    def network(self, viewer: str | None, picture: Picture) -> dict[str, Any]:
        """Counts of everybody, for the session with the id `viewer`."""
        return {
            "active_users": len(picture.active),
            "background_tasks": picture.running.get(None, 0),
            "other_users": len(picture.active - {viewer}),
            "other_tasks": picture.total_running - picture.running.get(viewer, 0),
            "total_running": picture.total_running,
            "capacity": self._settings.slots,
            "history": [[iso(at), running] for at, running in self._watch.history(self._settings.slots)],
        }

    def swarm(self, picture: Picture) -> dict[str, Any]:
        """The swarm's health."""
        machine = self._watch.machine
        nearly_full = (
            machine.disk_free_mb < machine.disk_total_mb * _NEARLY_FULL
            or machine.memory_total_mb - machine.memory_used_mb < machine.memory_total_mb * _NEARLY_FULL
        )
        healthy = not nearly_full and self._isolation is not None and self._isolation.grade == "full"
        return {
            "status": "healthy" if healthy else "warning",
            "active_sessions": picture.live_sessions,
            "total_active_tasks": picture.total_running + len(picture.placed),
            "timestamp": iso(self._clock()),
            "machine": machine.name,
            "cpu_percent": None if machine.cpu_percent is None else in_steps(machine.cpu_percent, 5),
            "memory_used_mb": in_steps(machine.memory_used_mb, machine.memory_total_mb / 100),
            "memory_total_mb": machine.memory_total_mb,
            "disk_free_mb": in_steps(machine.disk_free_mb, machine.disk_total_mb / 100),
            "slots": self._settings.slots,
            "slots_busy": min(self._settings.slots, picture.total_running - picture.running.get(None, 0)),
            "queue_length": len(picture.placed),
            "isolation": vars(self._isolation) if self._isolation else None,
            "draining": self.is_draining,
        }

    def queue_of(self, session_id: str, picture: Picture) -> dict[str, int]:
        """The places of the session's own waiting tasks."""
        return dict(picture.queues.get(session_id, {}))

    def dashboard(self, session: SessionRecord, usage: Usage) -> dict[str, Any]:
        """All that the page of a session shows."""
        read, settings = self._store.read, self._settings
        event_id = read.last_event_number(session.id)  # before all else: what is told once more does no harm
        picture = self.picture()
        allowed = allowance_of(read, settings, session.id)
        most = most_of(allowed)
        tasks = self.tasks(read.recent_tasks_of(session.id, ENDED_SHOWN), session, picture)
        return {
            "event_id": event_id,
            "session": self.session(session),
            "paused": session.paused_at is not None,
            "message": message_view(read.message(self._clock())),
            "my_tasks": tasks,
            "network_activity": self.network(session.id, picture),
            "swarm_health": self.swarm(picture),
            "workspace_usage": usage_view(usage),
            "permissions": self.permissions(session.id),
            "runners": [
                {"name": runner.name, "label": runner.label, "prompt": runner.prompt}
                for runner in runners.SANDBOXED.values()
            ],
            "limits": {
                "memory_mb": _choices(settings.task_memory_mb, allowed.memory_mb, _MEMORY_CHOICES),
                "time_s": _choices(settings.task_time_s, allowed.time_s, _TIME_CHOICES),
                "most": {name: getattr(most, name) for name in LIMITS},
                "queue": {"waiting": sum(task["status"] == "queued" for task in tasks), "bound": allowed.queue_bound},
                "upload_mb": settings.upload_mb,
            },
            "server": {
                "name": "LAN Session Manager",
                "version": __version__,
                "started_at": iso(self.started_at),
                "timestamp": iso(self._clock()),
            },
        }

    def recent_log(self, session_id: str) -> list[dict[str, Any]]:
        """The session's own newest events, newest first."""
        return [event_view(event) for event in self._store.read.newest_events_of_session(session_id, LOG_SHOWN)]


_MEMORY_CHOICES = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
_TIME_CHOICES = (60, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600)


def _choices(default: int, most: float, usual: tuple[int, ...]) -> dict[str, Any]:
    choices = sorted({choice for choice in usual if choice <= most} | {min(default, most)})
    return {"default": min(default, most), "max": most, "choices": choices}


def event_view(event: EventRecord) -> dict[str, Any]:
    """An event as its session sees it."""
    return {
        "event": str(event.kind),
        "id": event.number,
        "timestamp": iso(event.at),
        **({"task_id": event.task_id} if event.task_id else {}),
        **event.data,
    }


def message_view(message: MessageRecord | None) -> dict[str, Any] | None:
    """What the owner tells everybody."""
    if message is None:
        return None
    return {"id": message.id, "text": message.text, "at": iso(message.at), "until": iso(message.until)}


def now_view(now: Now) -> dict[str, Any]:
    """What a running task uses now, and what it has used so far."""
    return {
        "cpu_s": now.cpu_s,
        "memory_peak_mb": now.memory_peak_mb,
        "memory_mb": now.memory_mb,
        "cores": now.cores,
    }


def usage_view(usage: Usage) -> dict[str, Any]:
    """How much a workspace holds."""
    return {
        "size_mb": _mb(usage.bytes + usage.trash_bytes),
        "file_count": usage.files,
        "inputs_mb": _mb(usage.inputs_bytes),
        "outputs_mb": _mb(usage.outputs_bytes),
        "temp_mb": _mb(usage.temp_bytes),
        "trash_mb": _mb(usage.trash_bytes),
        "trash_files": usage.trash_files,
    }


def in_steps(figure: float, step: float) -> int:
    """Down to a whole step: an exact figure of the machine would tell the size of what others do."""
    return int(figure // max(1, step) * max(1, step))


def _mb(size: int) -> float:
    return round(size / (1024 * 1024), 3)


def iso(at: float | None) -> str | None:
    """A Unix time in seconds as ISO 8601 in UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
