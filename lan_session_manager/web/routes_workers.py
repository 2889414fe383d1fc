"""What workers outside do: claim tasks, be heard of, log, read and write files, and say how a task ended.

All but claiming needs the lease of the task in the header `LSM-Lease`; who comes with another one is told that there is
no such task.
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from lan_session_manager.activity import iso
from lan_session_manager.allowances import LIMITS
from lan_session_manager.errors import ConflictError, NotFoundError, TooLargeError
from lan_session_manager.states import TaskState
from lan_session_manager.web import routes_files
from lan_session_manager.web.policy import LEASE, AccessDep
from lan_session_manager.web.schemas import ClaimTasks, WorkerOutcome
from lan_session_manager.web.services import ServicesDep, written
from lan_session_manager.web.task_ids import TASK_ID
from lan_session_manager.workers import Claimed, Outcome

router = APIRouter(prefix="/api/worker")

_MOST_LOG_BYTES = 1 << 20
_POLL_S = 2.0  # how late at most a waiting claim sees that its client has gone, or that a task's time has come


@router.post("/claim")
async def claim(body: ClaimTasks, request: Request, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Claim tasks that are ready, as soon as there is one, or none after `wait_s` seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + body.wait_s
    claimed: list[Claimed] = []
    while True:
        news = services.feed.news()
        if await request.is_disconnected():
            break  # nobody is there to do them
        if not services.drain.has_begun:  # its worker would find no server to tell how it goes
            claimed = await services.workers.claim(body.worker, body.kinds, body.capacity)
        if claimed and await request.is_disconnected():
            await written(services.workers.give_back(claimed))
            claimed = []
        left = until - loop.time()
        if claimed or left <= 0:
            break
        try:
            async with asyncio.timeout(min(left, _POLL_S)):
                await news.wait()
        except TimeoutError:
            continue
    return {"tasks": [_claimed(services, one) for one in claimed], "timestamp": iso(services.manager.tasks.now())}


def _claimed(services: ServicesDep, one: Claimed) -> dict[str, Any]:
    task = one.task
    return {
        "task_id": task.id,
        "lease": one.lease,
        "lease_expires_at": iso(one.expires_at),
        "heartbeat_s": services.workers.lease_s / 3,
        "attempt": task.attempt,
        "log_next": one.log_next,
        "description": task.description,
        "command": task.command,
        "runner": task.runner,
        "metadata": dict(task.metadata),
        "limits": {name: getattr(task, name) for name in LIMITS},
        "session": {"task_namespace": one.session.namespace, "workspace": one.session.name},
        "created_at": iso(task.created_at),
    }


@router.post(f"/task/{TASK_ID}/heartbeat")
async def heartbeat(task_id: str, request: Request, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Say that the task goes on; tells until when the lease is good, and whether the task is to stop."""
    expires_at, stop = await written(services.workers.heard(access.task.id, request.headers.get(LEASE, "")))
    return {"lease_expires_at": iso(expires_at), "cancel": stop is not None, "reason": stop}


@router.put(f"/task/{TASK_ID}/log", openapi_extra=routes_files.BINARY)
async def log(
    task_id: str,
    request: Request,
    services: ServicesDep,
    access: AccessDep,
    offset: Annotated[int, Query(ge=0, le=2**53)],
    stream: Annotated[str, Query(pattern="^(stdout|stderr)$")] = "stdout",
) -> dict[str, Any]:
    """Add the body, 1 MB at most, to the task's log. Bytes that are there already change nothing."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MOST_LOG_BYTES:
            raise TooLargeError(allowed="1 MB")
    secret = request.headers.get(LEASE, "")
    following = await services.workers.append(access.task.id, secret, offset, stream, bytes(data))
    return {"next": following}


@router.get(f"/task/{TASK_ID}/files")
async def files(
    task_id: str, services: ServicesDep, access: AccessDep, path: Annotated[str, Query(max_length=8192)] = "inputs"
) -> dict[str, Any]:
    """What is in a directory of the inputs or the outputs of the task's session."""
    _check(access, path, {"inputs", "outputs"})
    return await routes_files.files("", services, access, path)


@router.get(f"/task/{TASK_ID}/files/{{path:file}}", response_class=Response)
async def download(task_id: str, path: str, request: Request, services: ServicesDep, access: AccessDep) -> Response:
    """A file of the inputs or the outputs."""
    _check(access, path, {"inputs", "outputs"})
    return await routes_files.download("", path, request, services, access)


@router.put(f"/task/{TASK_ID}/files/{{path:file}}", status_code=201, openapi_extra=routes_files.BINARY)
async def upload(task_id: str, path: str, request: Request, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Write a file below outputs/, in its place only when it is complete."""
    _check(access, path, {"outputs"})
    await written(services.workers.heard(access.task.id, request.headers.get(LEASE, "")))
    return await routes_files.upload("", path, request, services, access)


def _check(access: AccessDep, path: str, tops: set[str]) -> None:
    """Raise NotFoundError for what a worker has nothing to do with, and ConflictError once the task has ended."""
    if path.partition("/")[0] not in tops:
        raise NotFoundError
    if access.task.state is not TaskState.RUNNING:
        raise ConflictError(what=f"The task has ended already: it is {access.task.state}.")


@router.post(f"/task/{TASK_ID}/complete")
async def complete(
    task_id: str, body: WorkerOutcome, request: Request, services: ServicesDep, access: AccessDep
) -> dict[str, Any]:
    """Say how the task ended; the same once more changes nothing."""
    usage = body.usage
    outcome = Outcome(
        TaskState(body.status),
        exit_code=body.exit_code,
        detail=body.detail,
        cpu_s=usage.cpu_s if usage else None,
        memory_peak_mb=usage.memory_peak_mb if usage else None,
    )
    task = await services.workers.complete(access.task.id, request.headers.get(LEASE, ""), outcome)
    return {"task_id": task.id, "status": str(task.state), "timestamp": iso(services.manager.tasks.now())}
