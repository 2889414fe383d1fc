"""Many tasks at once: a batch that is handed in, a page of the list, one action for many; and the place of one."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lan_session_manager.activity import iso
from lan_session_manager.batches import BatchItem
from lan_session_manager.errors import LSMError, NotFoundError
from lan_session_manager.states import TaskState
from lan_session_manager.tasks import BulkAction
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.rates import Rate
from lan_session_manager.web.schemas import Batch, Bulk, Change
from lan_session_manager.web.services import ServicesDep, written
from lan_session_manager.web.task_ids import TASK_ID

router = APIRouter(prefix="/api")

_LAST = 2**53  # above every task


@router.post("/task/batch")
async def submit_batch(body: Batch, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Accept many tasks of the caller's session, all or none; they are on disk when the answer leaves."""
    items = [BatchItem(one.request(), one.ref) for one in body.tasks]
    services.acceptable_all([item.request for item in items], access.known_session)  # before a session is made for them
    caller = access.caller
    if len(items) > 1:
        services.rates.take(
            Rate.SUBMIT, caller.session.id if caller.session else str(caller.address), cost=len(items) - 1
        )
    session = await services.own_session(caller)
    tasks = await written(services.manager.tasks.submit_batch(session.id, items))
    return {
        "tasks": [
            {"task_id": task.id, "ref": item.ref, "status": str(task.state), "runner": task.runner}
            for task, item in zip(tasks, items, strict=True)
        ],
        "timestamp": iso(services.manager.tasks.now()),
    }


@router.patch(f"/task/{TASK_ID}")
async def change(task_id: str, body: Change, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Give a waiting task another place in its session's queue."""
    start_after = 0.0 if "start_after" in body.model_fields_set and body.start_after is None else body.start_after
    changed = services.manager.tasks.change(access.task.id, priority=body.priority, start_after=start_after)
    activity = services.manager.activity
    return activity.task(await written(changed), access.known_session, activity.picture())


@router.get("/tasks")
async def tasks(
    services: ServicesDep,
    access: AccessDep,
    before: Annotated[str, Query(max_length=300, description="the `next` of the page before")] = "",
    most: Annotated[int, Query(ge=1, le=500, description="tasks of one page")] = 100,
    status: TaskState | None = None,
    q: Annotated[str, Query(max_length=200, description="a text in the id, the description or the command")] = "",
) -> dict[str, Any]:
    """The caller's own tasks, newest first. A page with a `next` may be empty where a text is searched for."""
    session, read, activity = access.session, services.manager.store.read, services.manager.activity
    last = read.task_of(session.id, before) if before else None
    if before and last is None:
        raise NotFoundError
    states = (str(status),) if status else ()
    place = last.seq if last else _LAST
    if q:
        services.rates.take(Rate.SEARCH, session.id)
        found, following = await services.threads.run(
            session.id, lambda: services.manager.store.read.tasks_page(session.id, place, most, states=states, text=q)
        )
    else:
        found, following = read.tasks_page(session.id, place, most, states=states)
    # A seq would tell how many tasks the others have.
    task = read.task_by_seq(following) if following is not None else None
    return {"tasks": activity.tasks(found, session, activity.picture()), "next": task.id if task else None}


@router.post("/tasks/bulk")
async def bulk(body: Bulk, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Cancel, delete or run again many of the caller's own tasks; one for which it cannot be done stops no other."""
    session, has_sandbox = access.session, services.isolation is not None
    if body.action is BulkAction.RERUN:
        services.rates.take(Rate.SUBMIT, session.id, cost=len(body.task_ids))
    elif len(body.task_ids) > 1:
        services.rates.take(Rate.CHANGE, session.id, cost=len(body.task_ids) - 1)
    doing = services.manager.tasks.bulk(session.id, body.action, body.task_ids, has_sandbox=has_sandbox)
    results = await written(doing)
    done, refused = [], []
    for task_id, result in zip(body.task_ids, results, strict=True):
        if isinstance(result, LSMError):
            refused.append({"task_id": task_id, "error": result.message, "code": result.code})
        else:
            done.append({"task_id": task_id, "now": result.id if body.action is BulkAction.RERUN else None})
    return {"done": done, "refused": refused}
