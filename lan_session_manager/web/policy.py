"""Who may do what: one table of all operations, and the one check that every request and every message passes.

An operation without a row does not exist for anybody. An object that is another's, one that is missing and an id that
is none are the same NotFoundError; who lacks a token is told so before anything is looked for.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.types import Scope

from lan_session_manager import runners
from lan_session_manager.audit import LONGEST, AuditVerdict, Entry
from lan_session_manager.errors import AddressError, AdminOnlyError, LSMError, NotFoundError, WorkerOnlyError
from lan_session_manager.identity import Caller
from lan_session_manager.store.records import DeviceRecord, SessionRecord, TaskRecord
from lan_session_manager.web.rates import Rate
from lan_session_manager.web.services import Services

T = TypeVar("T")


class Role(StrEnum):
    """As whom somebody may do something."""

    ANYONE = "anyone"
    SELF = "self"  # any device, for its own session
    OWNER = "owner"  # a device of the session that the object belongs to
    WORKER = "worker"  # the worker token: tasks that the swarm was handed
    ADMIN = "admin"  # the admin token


class Object(Enum):
    """What the id of an operation names, and what the check finds."""

    NOTHING = "nothing"
    OWN = "own"  # the caller's session, made or resumed
    SESSION = "client_ip"  # a live session
    KNOWN_SESSION = "known client_ip"  # a live or an expired one
    TASK = "task_id"
    DEVICE = "device_id"  # a device of the caller's session
    LEASED = "leased task_id"  # a task of which a worker has the lease


@dataclass(frozen=True)
class Rule:
    """Who may carry out an operation, on what, how often, and whether it is written to the audit log.

    Without a rate, what anyone may do is done without a look at who asks.
    """

    who: frozenset[Role]
    object: Object = Object.NOTHING
    rate: Rate | None = None
    audited: bool = False
    names_in_body: bool = False  # what it works on: so the route itself adds the entry, by `note_named`


ANYONE = frozenset({Role.ANYONE})
SELF = frozenset({Role.SELF})
OWNER = frozenset({Role.OWNER, Role.ADMIN})
ADMIN = frozenset({Role.ADMIN})
WORKER = frozenset({Role.WORKER, Role.ADMIN})

LEASE = "lsm-lease"  # the header with the secret of a worker's lease

_SESSION, _TASK = Object.SESSION, Object.TASK
_NAMED = Rule(OWNER, _SESSION, Rate.CHANGE, audited=True, names_in_body=True)
_DASHBOARD = "WS /ws/dashboard/{client_ip}"


def _by_token_and_by_cookie(rows: Mapping[str, Rule]) -> dict[str, Rule]:
    """The rows of what the owner does with the token, and with the cookie of the admin page."""
    roots = ("/api/admin/", "/admin/api/")
    return {name.replace(" ", f" {root}"): rule for root in roots for name, rule in rows.items()}


POLICY: Mapping[str, Rule] = MappingProxyType(
    {
        "GET /": Rule(ANYONE),
        "GET /ca": Rule(ANYONE),
        "GET /ca.crt": Rule(ANYONE),
        "GET /api/join": Rule(ANYONE),
        "GET /api/join/qr.svg": Rule(ANYONE),
        "GET /api/system/health": Rule(ANYONE),
        "GET /api/client-ip": Rule(ANYONE, rate=Rate.READ),
        "GET /api/activity/log": Rule(SELF, Object.OWN, Rate.READ),
        "GET /api/dashboard/{client_ip}": Rule(OWNER, _SESSION, Rate.READ),
        "GET /api/session/{client_ip}": Rule(OWNER, _SESSION, Rate.READ),
        "POST /api/session/{client_ip}/keep": Rule(OWNER, _SESSION, Rate.CHANGE, audited=True),
        "POST /api/workspace/{client_ip}/validate": Rule(OWNER, _SESSION, Rate.READ),
        "GET /api/workspace/{client_ip}/files": Rule(OWNER, _SESSION, Rate.READ),
        "GET /api/workspace/{client_ip}/files/{path}": Rule(OWNER, _SESSION, Rate.READ),
        "GET /api/workspace/{client_ip}/preview/{path}": Rule(OWNER, _SESSION, Rate.READ),
        "GET /api/workspace/{client_ip}/archive": Rule(OWNER, _SESSION, Rate.READ),
        "PUT /api/workspace/{client_ip}/files/{path}": Rule(OWNER, _SESSION, Rate.UPLOAD, audited=True),
        "DELETE /api/workspace/{client_ip}/files/{path}": Rule(OWNER, _SESSION, Rate.CHANGE, audited=True),
        "POST /api/workspace/{client_ip}/files": Rule(OWNER, _SESSION, Rate.UPLOAD, audited=True),
        "GET /api/workspace/{client_ip}/uploads": Rule(OWNER, _SESSION, Rate.READ),
        "POST /api/workspace/{client_ip}/uploads": Rule(OWNER, _SESSION, Rate.UPLOAD, audited=True),
        "HEAD /api/workspace/{client_ip}/uploads/{upload_id}": Rule(OWNER, _SESSION, Rate.READ),
        "GET /api/workspace/{client_ip}/uploads/{upload_id}": Rule(OWNER, _SESSION, Rate.READ),
        "PATCH /api/workspace/{client_ip}/uploads/{upload_id}": Rule(OWNER, _SESSION, Rate.UPLOAD, audited=True),
        "DELETE /api/workspace/{client_ip}/uploads/{upload_id}": Rule(OWNER, _SESSION, Rate.CHANGE, audited=True),
        "POST /api/workspace/{client_ip}/directory": Rule(
            OWNER, _SESSION, Rate.CHANGE, audited=True, names_in_body=True
        ),
        "POST /api/workspace/{client_ip}/move": _NAMED,
        "GET /api/workspace/{client_ip}/trash": Rule(OWNER, _SESSION, Rate.READ),
        "POST /api/workspace/{client_ip}/trash": _NAMED,
        "DELETE /api/workspace/{client_ip}/trash": Rule(OWNER, _SESSION, Rate.CHANGE, audited=True),
        "DELETE /api/workspace/{client_ip}/trash/{trash_id}": Rule(OWNER, _SESSION, Rate.CHANGE, audited=True),
        "POST /api/workspace/{client_ip}/trash/{trash_id}/restore": Rule(
            OWNER, _SESSION, Rate.CHANGE, audited=True, names_in_body=True
        ),
        "POST /api/task/submit": Rule(SELF, rate=Rate.SUBMIT, audited=True),
        "POST /api/task/batch": Rule(SELF, rate=Rate.SUBMIT, audited=True),
        "GET /api/tasks": Rule(SELF, Object.OWN, Rate.READ),
        "POST /api/tasks/bulk": Rule(SELF, Object.OWN, Rate.CHANGE, audited=True),
        "PATCH /api/task/{task_id}": Rule(OWNER, _TASK, Rate.CHANGE, audited=True),
        "GET /api/task/{task_id}": Rule(OWNER, _TASK, Rate.READ),
        "GET /api/task/{task_id}/log": Rule(OWNER, _TASK, Rate.READ),
        "GET /api/task/{task_id}/log/lines": Rule(OWNER, _TASK, Rate.READ),
        "GET /api/task/{task_id}/log/search": Rule(OWNER, _TASK, Rate.SEARCH),
        "GET /api/task/{task_id}/outputs": Rule(OWNER, _TASK, Rate.READ),
        "GET /api/task/{task_id}/samples": Rule(OWNER, _TASK, Rate.READ),
        "GET /api/task/{task_id}/connections": Rule(OWNER, _TASK, Rate.READ),
        "POST /api/task/{task_id}/cancel": Rule(OWNER, _TASK, Rate.CHANGE, audited=True),
        "POST /api/task/{task_id}/rerun": Rule(OWNER, _TASK, Rate.SUBMIT, audited=True),
        "DELETE /api/task/{task_id}": Rule(OWNER, _TASK, Rate.CHANGE, audited=True),
        "POST /api/task/{task_id}/complete": Rule(WORKER, _TASK, audited=True),
        "POST /api/worker/claim": Rule(WORKER, rate=Rate.CHANGE, audited=True),
        "POST /api/worker/task/{task_id}/heartbeat": Rule(WORKER, Object.LEASED, Rate.CHANGE),
        "PUT /api/worker/task/{task_id}/log": Rule(WORKER, Object.LEASED, Rate.UPLOAD),
        "GET /api/worker/task/{task_id}/files": Rule(WORKER, Object.LEASED, Rate.READ),
        "GET /api/worker/task/{task_id}/files/{path}": Rule(WORKER, Object.LEASED, Rate.READ),
        "PUT /api/worker/task/{task_id}/files/{path}": Rule(WORKER, Object.LEASED, Rate.UPLOAD, audited=True),
        "POST /api/worker/task/{task_id}/complete": Rule(WORKER, Object.LEASED, Rate.CHANGE, audited=True),
        "GET /api/device": Rule(SELF, rate=Rate.READ),
        "POST /api/device": Rule(SELF, rate=Rate.CHANGE, audited=True),
        "PATCH /api/device": Rule(SELF, rate=Rate.CHANGE, audited=True),
        "DELETE /api/device": Rule(SELF, rate=Rate.CHANGE, audited=True),
        "DELETE /api/device/{device_id}": Rule(SELF, Object.DEVICE, Rate.CHANGE, audited=True),
        "POST /api/device/carry": Rule(SELF, rate=Rate.CHANGE, audited=True),
        "POST /api/device/claim": Rule(SELF, rate=Rate.CHANGE, audited=True),
        "POST /api/device/leave": Rule(SELF, rate=Rate.CHANGE, audited=True),
        "GET /api/sessions/all": Rule(ADMIN, audited=True),
        "GET /admin": Rule(ANYONE),
        "GET /admin/login": Rule(ANYONE, rate=Rate.READ),
        "POST /admin/login": Rule(ANYONE, rate=Rate.CHANGE),  # writes to the audit log by itself
        "POST /admin/logout": Rule(ANYONE, rate=Rate.CHANGE),
        **_by_token_and_by_cookie(
            {
                "GET overview": Rule(ADMIN),
                "GET queue": Rule(ADMIN),
                "GET health": Rule(ADMIN),
                "POST doctor": Rule(ADMIN, audited=True),
                "GET settings": Rule(ADMIN),
                "PUT message": Rule(ADMIN, audited=True),
                "DELETE message": Rule(ADMIN, audited=True),
                "POST task/{task_id}/cancel": Rule(ADMIN, _TASK, audited=True),
                "POST session/{client_ip}/pause": Rule(ADMIN, Object.KNOWN_SESSION, audited=True),
                "POST session/{client_ip}/resume": Rule(ADMIN, Object.KNOWN_SESSION, audited=True),
                "GET sessions": Rule(ADMIN),  # the admin page asks for these all the time
                "GET audit": Rule(ADMIN),
                "GET connections": Rule(ADMIN, audited=True),
                "GET session/{client_ip}/limits": Rule(ADMIN, Object.KNOWN_SESSION, audited=True),
                "PUT session/{client_ip}/limits": Rule(ADMIN, Object.KNOWN_SESSION, audited=True),
                "POST session/{client_ip}/end": Rule(ADMIN, Object.KNOWN_SESSION, audited=True),
                "GET retention": Rule(ADMIN),
                "POST session/{client_ip}/trash": Rule(ADMIN, Object.KNOWN_SESSION, audited=True),
                "POST session/{client_ip}/restore": Rule(ADMIN, Object.KNOWN_SESSION, audited=True),
                "POST session/{client_ip}/purge": Rule(ADMIN, Object.KNOWN_SESSION, audited=True),
                "GET session/{client_ip}/archive": Rule(ADMIN, Object.KNOWN_SESSION, audited=True),
            }
        ),
        _DASHBOARD: Rule(OWNER, _SESSION, Rate.SOCKET, audited=True),
        # Messages are of the session whose dashboard is open; each takes Rate.MESSAGE as it comes in.
        "ws ping": Rule(OWNER),
        "ws request_dashboard_update": Rule(OWNER),
        "ws resume": Rule(OWNER),
        "ws in_sight": Rule(OWNER),
        "ws keep": Rule(OWNER),
        "ws submit_task": Rule(OWNER, _SESSION, Rate.SUBMIT, audited=True),
        "ws follow_log": Rule(OWNER, _TASK),
        "ws unfollow_log": Rule(OWNER),
    }
)

# What the application serves without a row, and why.
UNCHECKED: Mapping[str, str] = MappingProxyType(
    {
        "GET /api/docs.json": "the description of the API: the same for everybody",
        "MOUNT /static": "the page's own files: the same for everybody",
    }
)


@dataclass(frozen=True)
class Access:
    """What the check has found: who asks, and the objects of the operation."""

    known_caller: Caller | None
    known_session: SessionRecord | None = None  # of the object, or the caller's own
    known_task: TaskRecord | None = None
    known_device: DeviceRecord | None = None
    client_ip: str = ""  # by which the session was asked for
    operation: str = ""  # as the table names it

    @property
    def caller(self) -> Caller:
        """Who asks; for operations with a rate, or that not everybody may do."""
        return _found(self.known_caller)

    @property
    def session(self) -> SessionRecord:
        """The session of an operation that has one."""
        return _found(self.known_session)

    @property
    def task(self) -> TaskRecord:
        """The task of an operation that has one."""
        return _found(self.known_task)

    @property
    def device(self) -> DeviceRecord:
        """The device of an operation that has one."""
        return _found(self.known_device)


def _found(value: T | None) -> T:
    if value is None:
        raise LookupError("the policy has nothing of that kind for this operation")
    return value


async def check(connection: HTTPConnection) -> Access:
    """Let a request or a WebSocket's handshake pass, with what it may work on. Raises LSMError."""
    scope = connection.scope
    method = "WS" if scope["type"] == "websocket" else scope["method"]
    name = f"{method} {_path(scope)}"
    rule = POLICY.get(name)
    if rule is None:
        raise NotFoundError
    services: Services = connection.app.state.services
    if rule.who == ANYONE and rule.rate is None:
        return Access(None)
    caller = services.caller(connection)
    ids, has_token = scope["path_params"], "authorization" in connection.headers
    lease = connection.headers.get(LEASE, "")  # not among the ids, which the audit log has
    passing = _pass(services, rule, caller, ids, has_token=has_token, lease=lease)
    return await _noted(services, name, rule, caller, ids, passing)


def _path(scope: Scope) -> str:
    """The path of the route as the table has it."""
    # One that is included below two paths is one route, and below which one it was found stands in FastAPI's own notes
    # alone. Without these, should they ever be elsewhere, there is no row and so nothing.
    found = scope.get("fastapi", {}).get("effective_route_context")
    path: str = getattr(found, "path_format", "") or scope["route"].path_format
    return path


async def check_message(services: Services, access: Access, kind: str, task_id: str) -> Access:
    """The same for a message on a dashboard that `access` has opened; of a session it is always that one."""
    rule = POLICY.get(f"ws {kind}")
    if rule is None:
        raise NotFoundError
    ids = {"client_ip": access.client_ip, "task_id": task_id}
    caller = access.caller
    found = await _noted(services, f"ws {kind}", rule, caller, ids, _pass(services, rule, caller, ids))
    if rule.object is Object.SESSION and found.session.id != access.session.id:
        raise NotFoundError  # the address names another session by now
    return found


async def _noted(
    services: Services, name: str, rule: Rule, caller: Caller, ids: Mapping[str, str], passing: Awaitable[Access]
) -> Access:
    """What the check says, once it is in the audit log: whatever is refused, and of the rest what the rule says."""
    what = " ".join(text for text in ids.values() if text)
    try:
        access = await passing
    except LSMError as error:
        if error.status < 500:
            note(services, caller, name, what, refused=error.code)
        raise
    if rule.audited and not rule.names_in_body:
        note(services, caller, name, what)
    return replace(access, operation=name)


def note_named(services: Services, access: Access, *what: str) -> None:
    """Add to the audit log what the caller does to the objects that the body names."""
    note(services, access.caller, access.operation, " ".join((access.client_ip, *what)))


def note(services: Services, caller: Caller, operation: str, what: str = "", *, refused: str = "") -> None:
    """Add to the audit log what a caller did, or was refused and why. Never waits."""
    services.audit.note(
        Entry(
            at=services.manager.tasks.now(),
            session_id=caller.session.id if caller.session else None,
            device_id=caller.device.id if caller.device else None,
            address=str(caller.address),
            role="admin" if caller.is_admin else "worker" if caller.is_worker else "device",
            operation=operation,
            object=what[: LONGEST + 1],  # the log shows that it was cut; a path may be very long
            verdict=AuditVerdict.REFUSED if refused else AuditVerdict.ALLOWED,
            detail=refused,
        )
    )


async def _pass(
    services: Services,
    rule: Rule,
    caller: Caller,
    ids: Mapping[str, str],
    *,
    has_token: bool = False,
    lease: str = "",
) -> Access:
    _check_role(services, rule, caller, has_token)
    if rule.rate is not None:
        services.rates.take(rule.rate, _key(caller))
    try:
        return await _find(services, rule, caller, ids, lease)
    except AddressError:
        raise NotFoundError from None


def _check_role(services: Services, rule: Rule, caller: Caller, has_token: bool) -> None:
    """Raise AdminOnlyError or WorkerOnlyError for one who lacks the token, whatever the object is.

    Raises TooManyRequestsError for one who tries tokens.
    """
    if not rule.who.isdisjoint({Role.ANYONE, Role.SELF, Role.OWNER}):
        return
    if (Role.ADMIN in rule.who and caller.is_admin) or (Role.WORKER in rule.who and caller.is_worker):
        return
    refusal: LSMError = WorkerOnlyError() if Role.WORKER in rule.who else AdminOnlyError()
    if has_token:
        services.rates.take(Rate.LOGIN, str(caller.address))
    raise refusal


def _key(caller: Caller) -> str:
    return caller.session.id if caller.session else str(caller.address)


async def _find(services: Services, rule: Rule, caller: Caller, ids: Mapping[str, str], lease: str) -> Access:
    match rule.object:
        case Object.NOTHING:
            return Access(caller, caller.session)
        case Object.OWN:
            return Access(caller, await services.own_session(caller))
        case Object.SESSION:
            client_ip = ids["client_ip"]
            opened = await services.session_at(client_ip, caller)
            if caller.session is None and not caller.is_admin:  # it was made for them just now
                caller = replace(caller, session=opened)
            return Access(caller, opened, client_ip=client_ip)
        case Object.KNOWN_SESSION:
            return Access(caller, services.known_session_at(ids["client_ip"]))
        case Object.TASK:
            if Role.WORKER in rule.who:
                return _handed(services, caller, ids["task_id"])
            task, session = await services.task_of(ids["task_id"], caller)
            return Access(caller, session, task)
        case Object.LEASED:
            leased, of = services.workers.of_lease(ids["task_id"], lease)
            return Access(caller, of, leased)
        case Object.DEVICE:
            own = await services.known_session(caller)
            device = services.manager.store.read.device_of(own.id, ids["device_id"]) if own else None
            if device is None:
                raise NotFoundError
            return Access(caller, own, known_device=device)


def _handed(services: Services, caller: Caller, task_id: str) -> Access:
    """A task that the swarm was handed; for the owner any."""
    read = services.manager.store.read
    task = read.task(task_id)
    if task is None or not (caller.is_admin or task.runner == runners.SWARM):
        raise NotFoundError
    return Access(caller, read.session(task.session_id) if task.session_id else None, task)


AccessDep = Annotated[Access, Depends(check)]
