"""LANSessionManager: the Python face over the rooms below, for orchestrators, scripts and the web server.

    manager = LANSessionManager("user_sessions")
    session = manager.create_session("192.168.1.100")
    task_id = manager.submit_task("192.168.1.100", "Analyze data.csv")

Several processes may have a manager over the same directory: what one records, the others see. Each call waits until
its change is on disk. What needs the sandbox to run happens in the server's process.
"""

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lan_session_manager.activity import Activity, Isolation, iso
from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.errors import InvalidInputError, NotFoundError, SecurityError
from lan_session_manager.identity import Tokens
from lan_session_manager.machine import Watch
from lan_session_manager.requests import Request
from lan_session_manager.sessions import Sessions
from lan_session_manager.settings import STATE_DIR, Settings, load_settings
from lan_session_manager.shares import Shares
from lan_session_manager.store import Store
from lan_session_manager.store.records import SessionRecord, SourceType, TaskRecord
from lan_session_manager.tasks import Tasks
from lan_session_manager.workspace import Volumes, Workspaces
from lan_session_manager.workspace.volumes.mode import kept_volumes, line_of

DEFAULT_DATA_DIR = "user_sessions"


class LANSessionManager:
    """Sessions, workspaces and tasks over one data directory."""

    def __init__(
        self,
        base_dir: str | os.PathLike[str] = DEFAULT_DATA_DIR,
        *,
        settings: Settings | None = None,
        isolation: Isolation | None = None,
        volumes: Volumes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the data directory, making it if it is not there.

        `isolation` is what the server's self-test found, and `volumes` what it keeps quotas with; only the server
        knows. Raises StorageError, and
        pydantic.ValidationError for a setting that does not fit.
        """
        self.data_dir = Path(base_dir).absolute()
        self.workspaces = Workspaces(self.data_dir, volumes if volumes is not None else kept_volumes(self.data_dir))
        self.workspaces.prepare()
        self.state_dir = self.data_dir / STATE_DIR
        self.settings = settings if settings is not None else load_settings(self.data_dir)
        self.disk_reserve = self.settings.disk_reserve(shutil.disk_usage(self.data_dir).total)
        self.store = Store(self.state_dir / "state.db")
        self.sessions = Sessions(self.store, self.workspaces, self.settings, clock)
        self.tasks = Tasks(self.store, self.settings, clock)
        self.watch = Watch(self.data_dir, clock)
        self.shares = Shares(self.settings, clock)
        self.activity = Activity(self.store, self.settings, self.watch, isolation, self.shares, clock)
        self.activity_tracker = ActivityTracker(self)

    @property
    def quota_line(self) -> str:
        """How the disk quotas of sessions are kept, for people."""
        return line_of(self.workspaces.volumes, self.settings.quota_mode)

    def close(self) -> None:
        """Let go of the database. The manager cannot be used after."""
        self.store.close()

    def create_session(self, ip: str) -> "Session":
        """The live session of that address: refreshed, resumed or new, with its workspace. Raises AddressError."""
        session = self.sessions.open(parse_address(ip))
        self.sessions.workspace(session, is_starting=False).ensure()
        return Session(self, session)

    def get_session(self, ip: str) -> "Session | None":
        """The live session of that address, or None. Raises AddressError."""
        session = self.sessions.peek(parse_address(ip))
        return Session(self, session) if session else None

    def cleanup_session(self, ip: str) -> None:
        """End the session of that address now, as expiry would: its tasks are stopped, its files stay."""
        session = self._session(parse_address(ip))
        expired = self.sessions.expire(session.id).result()
        if expired:
            self.sessions.write_facts(expired)

    def submit_task(self, ip: str, description: str, **options: Any) -> str:
        """Accept a task for the session of that address, making the session if need be; gives the task's id.

        `options` are the other fields of `requests.Request`. Raises AddressError, InvalidInputError,
        LimitTooHighError and QueueFullError.
        """
        address = parse_address(ip)
        request = Request(_string("description", description), **options)
        known = self.store.read.session_of_address(str(address))
        self.tasks.check(request, known.id if known else None)
        session = self.sessions.peek(address) or self.sessions.open(address)
        return self.tasks.submit(session.id, request).result().id

    def complete_task(self, task_id: str, status: str = "completed") -> None:
        """End a task on the word of whoever did it. Raises NotFoundError, IllegalMoveError and RunsHereError."""
        self.tasks.complete(_string("task_id", task_id), _string("status", status)).result()

    def validate_file_access(self, ip: str, file_path: str | os.PathLike[str]) -> bool:
        """True when the path is inside of the session's workspace or of the shared resources; else SecurityError."""
        name = self._session(parse_address(ip)).name
        if not self.workspaces.is_inside(name, os.fspath(file_path)):
            raise SecurityError
        return True

    def get_user_dashboard_data(self, ip: str) -> dict[str, Any]:
        """The dashboard object of that address, whose session is made if need be. Raises AddressError."""
        address = parse_address(ip)
        return self.dashboard(self.sessions.live(address) or self.sessions.open(address))

    def get_all_sessions_info(self) -> dict[str, Any]:
        """All live sessions: {total_sessions, active_tasks, sessions: {ip: session}}.

        Of several that were seen last at one address all but the first have a number behind it: "192.168.1.100-2".
        """
        sessions: dict[str, Any] = {}
        for session in self.store.read.live_sessions():
            key, number = session.address, 2
            while key in sessions:
                key, number = f"{session.address}-{number}", number + 1
            sessions[key] = self.activity.session(session)
        return {
            "total_sessions": len(sessions),
            "active_tasks": sum(session["active_tasks"] for session in sessions.values()),
            "sessions": sessions,
        }

    def dashboard(self, session: SessionRecord) -> dict[str, Any]:
        """The dashboard object of a session, whose record may be an old one."""
        session = self.store.read.session(session.id) or session
        board = self.activity.dashboard(session, self.sessions.workspace(session).usage())
        return {**board, "session": {**board["session"], "expires_at": iso(self.sessions.expires_at(session))}}

    def session_view(self, session: SessionRecord) -> dict[str, Any]:
        """The facts of a session, whose record may be an old one, as its device sees them."""
        session = self.store.read.session(session.id) or session
        return {**self.activity.session(session), "expires_at": iso(self.sessions.expires_at(session))}

    def tokens(self) -> Tokens:
        """The owner's and the workers' token: from the settings, else from their files, which the first start makes."""
        return Tokens(
            admin=self.settings.admin_token or _kept_token(self.state_dir / "admin-token"),
            worker=self.settings.worker_token or _kept_token(self.state_dir / "worker-token"),
        )

    def _session(self, address: Address) -> SessionRecord:
        session = self.sessions.peek(address)
        if session is None:
            raise NotFoundError
        return session


class Session:
    """A session as Python clients see it; what changes is read anew at each look."""

    def __init__(self, manager: LANSessionManager, record: SessionRecord) -> None:
        self._manager = manager
        self._record = record
        self.session_id = record.id
        self.ip = record.address
        self.workspace = manager.data_dir / record.name
        self.task_namespace = record.namespace
        self.created_at = datetime.fromtimestamp(record.created_at, UTC)

    def __repr__(self) -> str:
        return f"Session({self.ip!r}, {self.task_namespace!r})"

    @property
    def permissions(self) -> dict[str, Any]:
        """What the session may do."""
        return self._manager.activity.permissions(self.session_id)

    @property
    def last_activity(self) -> datetime:
        """When the device was last seen."""
        return datetime.fromtimestamp(self._now().last_activity, UTC)

    @property
    def active_tasks(self) -> dict[str, dict[str, Any]]:
        """The queued and the running tasks by id, oldest first."""
        return self._views(self._manager.store.read.live_tasks_of(self.session_id))

    @property
    def task_history(self) -> list[dict[str, Any]]:
        """The last ended tasks, oldest first."""
        recent = self._manager.store.read.recent_tasks_of(self.session_id, 100)
        return list(self._views([task for task in recent if task.state.ended]).values())

    def add_task(self, task_id: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Note a task of an orchestrator's own for this session; `metadata` may have a `source_type`."""
        source_type = (metadata or {}).get("source_type", SourceType.USER_TRIGGERED)
        self._manager.tasks.tag(_string("task_id", task_id), str(source_type), self.session_id).result()

    def is_expired(self) -> bool:
        """Whether the session is over: idle for too long, or ended."""
        return self._manager.sessions.is_over(self._now())

    def get_session_info(self) -> dict[str, Any]:
        """The session as the REST calls give it."""
        return self._manager.activity.session(self._now())

    def _now(self) -> SessionRecord:
        return self._manager.store.read.session(self.session_id) or self._record

    def _views(self, tasks: list[TaskRecord]) -> dict[str, dict[str, Any]]:
        picture = self._manager.activity.picture()
        return {task.id: self._manager.activity.task(task, self._record, picture) for task in reversed(tasks)}


class ActivityTracker:
    """How an orchestrator reports its own work."""

    def __init__(self, manager: LANSessionManager) -> None:
        self._manager = manager

    def tag_task(self, task_id: str, source_type: str, user_ip: str | None = None) -> None:
        """Say what a task is and for whom; one that is not known is noted as running.

        `source_type` is USER_TRIGGERED, SWARM_AUTO, ADMIN_TASK or CROSS_USER. Raises AddressError and
        InvalidInputError.
        """
        session_id = None
        if user_ip is not None:
            address = parse_address(user_ip)
            session = self._manager.sessions.peek(address) or self._manager.sessions.open(address)
            session_id = session.id
        self._manager.tasks.tag(_string("task_id", task_id), _string("source_type", source_type), session_id).result()

    def complete_task(self, task_id: str, status: str = "completed") -> None:
        """Say how a task ended."""
        self._manager.complete_task(task_id, status)


_managers: dict[int, LANSessionManager] = {}
_managers_lock = threading.Lock()


def get_session_manager() -> LANSessionManager:
    """The manager of this process over the default data directory: `LSM_DATA_DIR`, else `user_sessions` here."""
    pid = os.getpid()  # a fork does not inherit the manager of its parent: its threads are not there
    with _managers_lock:
        if pid not in _managers:
            _managers.clear()
            _managers[pid] = LANSessionManager(os.environ.get("LSM_DATA_DIR") or DEFAULT_DATA_DIR)
        return _managers[pid]


def _string(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(what=f"The {name} is not a text. Give a string.")
    return value


def _kept_token(path: Path) -> str:
    """The token in the file, which is made, readable by its owner alone, if it is not there or empty.

    Of several processes that make it at once one succeeds, and all have that token.
    """
    with contextlib.suppress(FileNotFoundError):
        if kept := path.read_text(encoding="ascii").strip():
            return kept
        path.unlink()  # an earlier version left it so where the disk was full
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
    return path.read_text(encoding="ascii").strip()
