"""Ten devices flood a real server unequally for a minute; then single tasks come beside a flood of a thousand."""

import statistics
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.bench.queue_sim import jain
from tests.integration.clients import device
from tests.server import Server, start_server

_DEVICES = 10
_SECONDS = 60.0
_SINGLES = 20
_FLOOD = 1000
_PATIENCE_S = 60.0
_BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end:\n    pass\n"
_SLEEP = "import time\ntime.sleep(0.3)\n"
_ENV = {"LSM_QUEUE_BOUND": "2000", "LSM_TASK_MEMORY_MB": "64", "MAX_CONCURRENT_TASKS": "5"}


def queue_fairness(directory: Path) -> dict[str, Any]:
    """Jain's index of processor seconds (burning) and of tasks (sleeping), and how long a single task waits."""
    found: dict[str, Any] = {}
    for name, program in (("burning", _BURN), ("sleeping", _SLEEP)):
        (directory / name).mkdir()
        with start_server(directory / name, env=_ENV) as server:
            found[name] = _floods(server, program)
    (directory / "single").mkdir()
    with start_server(directory / "single", env=_ENV) as server:
        found["single_beside_a_thousand"] = _singles(server)
    return found


def _address(number: int) -> str:
    return f"127.0.50.{number + 1}"


def _flood(server: Server, number: int, program: str, count: int) -> None:
    with device(server, _address(number)) as client:
        tasks = [{"description": program, "runner": "python"}] * count
        client.post("/api/task/batch", json={"tasks": tasks}).raise_for_status()


def _ended(server: Server, number: int) -> list[dict[str, Any]]:
    """All ended tasks of a device."""
    found: list[dict[str, Any]] = []
    with device(server, _address(number)) as client:
        before: str | None = None
        while True:
            asked = {"most": "500", "status": "completed"} | ({"before": before} if before else {})
            page = client.get("/api/tasks", params=asked).raise_for_status().json()
            found += page["tasks"]
            before = page["next"]
            if before is None:
                return found


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _floods(server: Server, program: str) -> dict[str, Any]:
    """The first device hands in 60 tasks, each further one 30 more."""
    for number in range(_DEVICES):
        _flood(server, number, program, 60 + 30 * number)
    began = time.time()
    time.sleep(_SECONDS)
    tasks = [
        [task for task in _ended(server, number) if began <= _seconds(task["ended_at"]) <= began + _SECONDS]
        for number in range(_DEVICES)
    ]
    cpu_s = [sum(task["usage"]["cpu_s"] for task in own) for own in tasks]
    counts = [len(own) for own in tasks]
    return {
        "handed_in": [60 + 30 * number for number in range(_DEVICES)],
        "tasks": counts,
        "jain_of_tasks": round(jain(counts), 4),
        "cpu_s": [round(seconds, 2) for seconds in cpu_s],
        "jain_of_cpu_seconds": round(jain(cpu_s), 4),
    }


def _singles(server: Server) -> dict[str, Any]:
    """Tasks of as many devices, one after the other, beside one device that has handed in a thousand."""
    _flood(server, 0, _BURN, _FLOOD)
    waits: list[float] = []
    behind_the_slot: list[float] = []
    singles = []
    for number in range(1, _SINGLES + 1):
        time.sleep(1.0)
        with device(server, _address(number)) as client:
            answer = client.post("/api/task/submit", json={"description": "true", "runner": "shell"})
            singles.append(_end_of(client, answer.raise_for_status().json()["task_id"]))
    ends = sorted(_seconds(task["ended_at"]) for task in _ended(server, 0))
    for task in singles:
        created, started = _seconds(task["created_at"]), _seconds(task["started_at"])
        waits.append(started - created)
        behind_the_slot.append(max(0.0, started - next((end for end in ends if end >= created), started)))
    return {
        "singles": _SINGLES,
        "of_the_flood_ended_meanwhile": len(ends),
        "from_submit_to_start_s": _spread(waits),
        "from_next_free_slot_to_start_s": _spread(behind_the_slot),
    }


def _end_of(client: httpx.Client, task_id: str) -> dict[str, Any]:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        task: dict[str, Any] = client.get(f"/api/task/{task_id}").raise_for_status().json()
        if task["ended_at"]:
            return task
        time.sleep(0.05)
    raise AssertionError(f"{task_id} did not end")


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 3), "max": round(max(seconds), 3)}
