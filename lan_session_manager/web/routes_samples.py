"""What a task has used over its time, as points for a picture."""

from typing import Any

from fastapi import APIRouter

from lan_session_manager.allowances import allowance_of
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.services import ServicesDep
from lan_session_manager.web.task_ids import TASK_ID

router = APIRouter(prefix="/api/task")


@router.get(f"/{TASK_ID}/samples")
async def samples(task_id: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Points of [seconds after the start, MB of memory, processor cores], oldest first; none where nobody counted.

    Each stands for `every_s` seconds up to it: of the memory it is the highest, of the processor the mean. The memory
    is null where only the processor is counted. `limits` has the cores and the memory that the task could have.
    """
    task, manager = access.task, services.manager
    found = await services.engine.samples(task.id)
    allowed = allowance_of(manager.store.read, manager.settings, task.session_id or "")
    cores = allowed.cores if task.cores is None else min(task.cores, allowed.cores)
    return {
        "task_id": task.id,
        "every_s": found.every_s,
        "points": [[round(point.t_s, 1), point.memory_mb, round(point.cores, 3)] for point in found.points],
        "limits": {"memory_mb": task.memory_mb, "cores": cores},
    }
