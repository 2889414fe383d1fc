"""What two sessions get of the processor: one has 8 programs that want all of it for each one of the other's."""

import asyncio
import os
from pathlib import Path
from typing import Any

from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.states import Reason
from tests.integration.sandbox.room import Room

_SECONDS = 15.0
_SETTLED_S = 1.0
_MODEST, _GREEDY = "10_0_0_1", "10_0_0_2"
_HOGS = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[2])])
for _ in range(int(sys.argv[1]) - 1):
    if os.fork() == 0:
        break
while True:
    pass
"""


def fairness(directory: Path) -> dict[str, Any]:
    """Seconds of the processor, as the kernel counted them for both sessions at the same time, and their shares.

    All of it on one core; then on all of them with a program for each core against 8 times as many; then with a single
    one against 8, where what else runs on the machine is the more in the way of the single one, which has no other core
    to go to.
    """
    cores = os.cpu_count() or 2
    ways = {"one_core": (1, 1), "all_cores": (cores, cores), "single": (1, cores)}
    return {name: _compare(directory / name, modest, used) for name, (modest, used) in ways.items()}


def _compare(directory: Path, modest: int, cores: int) -> dict[str, Any]:
    room, hogs = Room(directory), {_MODEST: modest, _GREEDY: 8 * modest}
    taken: list[float] = []

    async def work(engine: LocalEngine) -> None:
        jobs = [
            room.job("/usr/bin/python3", "-c", _HOGS, str(number), str(cores), session=session, cpu_cores=float(cores))
            for session, number in hogs.items()
        ]
        for job in jobs:
            await engine.start(job)
        await asyncio.sleep(_SETTLED_S)
        before = [_used_s(room, session) for session in hogs]
        await asyncio.sleep(_SECONDS)
        taken.extend(_used_s(room, session) - used for session, used in zip(hogs, before, strict=True))
        for job in jobs:
            await engine.cancel(job.task_id, Reason.CANCELLED_BY_ADMIN)
        for job in jobs:
            await engine.ended(job.task_id)

    try:
        room.with_engine(work)
    finally:
        room.remove()
    return {
        "hogs": list(hogs.values()),
        "cpu_s": [round(used, 2) for used in taken],
        "shares": [round(used / sum(taken), 3) for used in taken],
        "both_of_the_machine": round(sum(taken) / _SECONDS / cores, 3),
    }


def _used_s(room: Room, session: str) -> float:
    for directory in room.cgroups("cpuacct", session):
        if (version_1 := directory / "cpuacct.usage").exists():
            return int(version_1.read_text()) / 1e9
        for line in (directory / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
    raise RuntimeError("the kernel counts nothing for the session")
