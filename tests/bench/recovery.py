"""kill -9 of a server with 50 running tasks: how long until it serves and has all of them again, and what was lost."""

import asyncio
import contextlib
import statistics
import time
from pathlib import Path
from typing import Any

import httpx

from tests.crash.programs import Program
from tests.crash.revenant import Revenant
from tests.integration.clients import device, submit

_SLOTS, _SESSIONS, _KILLS = 50, 10, 5
_LOOK_S = 0.01
_PATIENCE_S = 240.0


def recovery(directory: Path) -> dict[str, Any]:
    """Seconds from the beginning of the start that follows each of five kills, and counts of all."""
    return asyncio.run(_recovery(directory))


async def _recovery(directory: Path) -> dict[str, Any]:
    usual = {"LSM_SLOTS": str(_SLOTS), "MAX_CONCURRENT_TASKS": str(_SLOTS), "LSM_TASK_MEMORY_MB": "64"}
    revenant = Revenant(directory, usual)
    programs: dict[str, Program] = {}
    try:
        await revenant.come_back()
        for n in range(_SLOTS):
            # So that it runs until the last kill, whatever the machine's pace.
            program = Program(f"bench-{n}", 600, 120, 0.1, both=n % 2 == 0, exit_code=0)
            with device(revenant.server, _address(n)) as client:
                programs[submit(client, program.source, runner="python")] = program
        await _running(revenant)
        kills = [await _killed(revenant) for _ in range(_KILLS)]
        return {
            "tasks": _SLOTS,
            "kills": _KILLS,
            **{name: _spread([kill[name] for kill in kills]) for name in kills[0]},
            **await _lost(revenant, programs),
        }
    finally:
        await asyncio.to_thread(revenant.remove)


def _address(n: int) -> str:
    return f"127.0.40.{n % _SESSIONS + 1}"


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 2), "most": round(max(seconds), 2)}


async def _running(revenant: Revenant) -> None:
    end = time.monotonic() + _PATIENCE_S
    async with httpx.AsyncClient(base_url=revenant.url, timeout=30) as client:
        while (await client.get("/api/system/health")).json()["active_tasks"] < _SLOTS or len(
            revenant.monitors()
        ) < _SLOTS:
            assert time.monotonic() < end, "the tasks do not run"
            await asyncio.sleep(0.2)


async def _killed(revenant: Revenant) -> dict[str, float]:
    """One kill: until the first answer, the first dashboard with what runs, and until all tasks are followed again."""
    monitors = {process.pid for process in revenant.monitors().values()}
    await revenant.kill9()
    begun = time.monotonic()
    revenant.spawn()
    await revenant.serving()
    found = {"seconds_until_first_answer": time.monotonic() - begun}
    transport = httpx.AsyncHTTPTransport(local_address=_address(0))
    async with httpx.AsyncClient(base_url=revenant.url, transport=transport, timeout=30) as client:
        tasks = (await client.get(f"/api/dashboard/{_address(0)}")).json()["my_tasks"]
        assert {task["status"] for task in tasks} == {"running"}, tasks
    found["seconds_until_dashboard_with_running_tasks"] = time.monotonic() - begun
    while not monitors <= _held_by(revenant.server.process.pid):
        assert time.monotonic() - begun < _PATIENCE_S, "not all tasks are followed again"
        await asyncio.sleep(_LOOK_S)
    found["seconds_until_all_are_adopted"] = time.monotonic() - begun
    return found


def _held_by(pid: int) -> set[int]:
    """The processes of which a server holds a pidfd, as it does of each monitor that it follows."""
    held = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            for line in path.read_text().splitlines():
                if line.startswith("Pid:"):
                    held.add(int(line.split()[1]))
    return held


async def _lost(revenant: Revenant, programs: dict[str, Program]) -> dict[str, int]:
    """How many tasks and bytes did not come through, and how many began twice."""
    end, lost, bytes_lost, bytes_right = time.monotonic() + _PATIENCE_S, 0, 0, 0
    for number, (task_id, program) in enumerate(programs.items()):
        with device(revenant.server, _address(number)) as client:
            lost += not _completed(client, task_id, end)
            log = client.get(f"/api/task/{task_id}/log").content
        printed = [line for data in program.output.values() for line in data.splitlines(keepends=True)]
        there = set(log.splitlines(keepends=True))
        bytes_lost += sum(len(line) for line in printed if line not in there)
        bytes_right += len(log)
    begun = [path.read_text().count("\n") for path in revenant.data_dir.glob("*/temp/*.started")]
    return {
        "tasks_lost": lost,
        "tasks_doubled": sum(count - 1 for count in begun),
        "log_bytes": bytes_right,
        "log_bytes_lost": bytes_lost,
    }


def _completed(client: httpx.Client, task_id: str, end: float) -> bool:
    while (task := client.get(f"/api/task/{task_id}").json())["status"] == "running" and time.monotonic() < end:
        time.sleep(0.1)
    return bool(task["status"] == "completed")
