"""Tasks: submit, look, cancel, run again, delete; and the word of the worker that did one."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lan_session_manager.activity import iso
from lan_session_manager.errors import InvalidInputError
from lan_session_manager.requests import Request, again
from lan_session_manager.states import Reason
from lan_session_manager.store.records import SessionRecord, TaskRecord
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.schemas import Complete, Rerun, Submit
from lan_session_manager.web.services import Services, ServicesDep, written
from lan_session_manager.web.task_ids import TASK_ID

router = APIRouter(prefix="/api/task")


def view(services: Services, task: TaskRecord, session: SessionRecord | None) -> dict[str, Any]:
    """A task as its owner sees it."""
    activity = services.manager.activity
    return activity.task(task, session, activity.picture())


async def accept(services: Services, session: SessionRecord, request: Request) -> dict[str, Any]:
    """Accept a task of a session; it is on disk when this is done."""
    task = await written(services.manager.tasks.submit(session.id, request))
    return {
        "task_id": task.id,
        "status": "submitted",
        "timestamp": iso(task.created_at),
        "runner": task.runner,
        "task": view(services, task, session),
    }


@router.post("/submit")
async def submit(body: Submit, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Accept a task of the caller's session; it is on disk when the answer leaves."""
    request = services.acceptable(body.request(), access.known_session)  # before a session is made for it
    return await accept(services, await services.own_session(access.caller), request)


@router.get(f"/{TASK_ID}")
async def show(task_id: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """A task with everything that is known of it."""
    return view(services, access.task, access.known_session)


@router.post(f"/{TASK_ID}/complete")
async def complete(
    task_id: str, services: ServicesDep, access: AccessDep, body: Complete | None = None
) -> dict[str, Any]:
    """End a task on the word of the swarm worker that did it."""
    task = await written(services.manager.tasks.complete(access.task.id, (body or Complete(status="completed")).status))
    return {"task_id": task.id, "status": str(task.state), "timestamp": iso(services.manager.tasks.now())}


@router.post(f"/{TASK_ID}/cancel")
async def cancel(task_id: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """End a task: at once while it waits, else by asking it to stop, and after a grace by ending its sandbox."""
    task, session = access.task, access.known_session
    mine = access.caller.session
    own = not access.caller.is_admin or (session is not None and mine is not None and session.id == mine.id)
    reason = Reason.CANCELLED_BY_USER if own else Reason.CANCELLED_BY_ADMIN
    return view(services, await written(services.manager.tasks.cancel(task.id, reason)), session)


@router.post(f"/{TASK_ID}/rerun")
async def rerun(task_id: str, services: ServicesDep, access: AccessDep, body: Rerun | None = None) -> dict[str, Any]:
    """Run a task once more as a new one, with what the body gives in place of its own."""
    task, session = access.task, access.known_session
    request = again(task, body.edits() if body else None)
    if session is None:
        raise InvalidInputError(what="This task belongs to no session, so it cannot be run again.")
    accepted: dict[str, Any] = (await accept(services, session, services.acceptable(request, session)))["task"]
    return accepted


@router.delete(f"/{TASK_ID}", status_code=204)
async def delete(task_id: str, services: ServicesDep, access: AccessDep) -> Response:
    """Remove an ended task with its log; the files in the workspace stay."""
    await written(services.manager.tasks.delete(access.task.id))
    return Response(status_code=204)
