"""What it costs the server to look at what 50 running tasks use, once a second."""

import json
import time
from pathlib import Path
from typing import Any

import psutil

from lan_session_manager.engine.sampler import Sampler
from lan_session_manager.sandbox.boxes import instance_id
from lan_session_manager.sandbox.cgroups import find_cgroups
from lan_session_manager.sandbox.host import read_mounts
from tests.integration.clients import dashboard, device, submit
from tests.server import start_server

_TASKS = 50
_ROUNDS = 300
_WATCHED_S = 20.0
_ENV = {"LSM_SLOTS": str(_TASKS), "MAX_CONCURRENT_TASKS": str(_TASKS), "LSM_SESSION_MEMORY_MB": "8192"}


def samples(directory: Path) -> dict[str, Any]:
    """Percent of a core: of the looks themselves, and of the whole server without and with a dashboard that is told."""
    with start_server(directory, env=_ENV) as server, device(server) as client:
        for _ in range(_TASKS):
            submit(client, "exec sleep 600", limits={"time_s": 600, "memory_mb": 64})
        while client.get("/api/system/health").json()["active_tasks"] < _TASKS or _running(client) < _TASKS:
            time.sleep(0.2)
        process = psutil.Process(server.process.pid)
        alone = _share(process)
        with dashboard(server) as live:
            told = live.event("usage")
            watched = _share(process)
        looks = _looks(server.data_dir, directory)
        return {
            "tasks": _TASKS,
            "look_at_all_ms": round(looks * 1000, 2),
            "looks_cpu_percent": round(looks * 100, 2),  # one each second
            "server_cpu_percent": round(alone, 2),
            "server_cpu_percent_with_a_dashboard": round(watched, 2),
            "message_bytes": len(json.dumps(told, separators=(",", ":"))),
        }


def _running(client: Any) -> int:
    board = client.get("/api/dashboard/127.0.0.1").json()
    return sum(task["status"] == "running" for task in board["my_tasks"])


def _share(process: psutil.Process) -> float:
    def used() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    before, begun = used(), time.monotonic()
    time.sleep(_WATCHED_S)
    return (used() - before) / (time.monotonic() - begun) * 100


def _looks(data_dir: Path, scratch: Path) -> float:
    """Seconds of processor time for one look at all boxes of the server over that directory."""
    cgroups = find_cgroups(instance_id(data_dir), read_mounts())
    sampler = Sampler()
    [group] = cgroups.groups()
    boxes = data_dir / ".lan_session_manager" / "boxes"
    for box in boxes.iterdir():
        if cgroups.count(group, box.name) is not None:
            sampler.begin(box.name, scratch, lambda name=box.name: cgroups.count(group, name), 0.0)  # type: ignore[misc]
    assert len(sampler.now()) == 0
    begun = time.process_time()
    for _ in range(_ROUNDS):
        sampler.look()
    return (time.process_time() - begun) / _ROUNDS
