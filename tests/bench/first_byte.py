"""Submit → first log byte at a WebSocket client, beside a bare run of the same command by the same runtime."""

import asyncio
import json
import os
import resource
import secrets
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from lan_session_manager.sandbox import bundle, host
from lan_session_manager.sandbox.box import TASK_UID, Box, BoxLimits, GroupLimits, group_id, opaque_id, user_range
from lan_session_manager.sandbox.cgroups import find_cgroups
from lan_session_manager.sandbox.rootfs import make_system
from lan_session_manager.sandbox.runtime import Runtime, find_runtimes
from tests.server import Server, start_server

_RUNS = 50
_COMMAND = ("/bin/bash", "-c", "echo first")
_MB = 1024 * 1024


def first_byte(directory: Path) -> dict[str, Any]:
    """Milliseconds of 50 runs each, the two kinds in turn."""
    server = start_server(directory)
    try:
        with _Bare(directory) as bare:
            through, alone = asyncio.run(_in_turn(server, bare))
    finally:
        server.stop()
    return {
        "runs": _RUNS,
        "through_the_server_ms": _quantiles(through),
        "bare_runtime_ms": {"runtime": bare.name, **_quantiles(alone)},
        "ratio_p50": round(statistics.median(through) / statistics.median(alone), 2),
    }


def _quantiles(milliseconds: list[float]) -> dict[str, float]:
    ranked = sorted(milliseconds)
    return {
        "min": round(ranked[0], 1),
        "p50": round(statistics.median(ranked), 1),
        "p95": round(ranked[int(len(ranked) * 0.95)], 1),
    }


async def _in_turn(server: Server, bare: "_Bare") -> tuple[list[float], list[float]]:
    through, alone = [], []
    async with (
        httpx.AsyncClient(base_url=server.url) as client,
        connect(server.url.replace("http", "ws") + "/ws/dashboard/127.0.0.1", max_size=None) as socket,
    ):
        for run in range(_RUNS + 3):
            one, other = await _through(client, socket), await asyncio.to_thread(bare.run)
            if run >= 3:  # the first ones warm up both
                through.append(one)
                alone.append(other)
            await asyncio.sleep(0.05)  # let the box before be removed
    return through, alone


async def _through(client: httpx.AsyncClient, socket: ClientConnection) -> float:
    begun = time.perf_counter()
    answer = await client.post(
        "/api/task/submit", json={"description": "bench", "runner": "shell", "command": "echo first"}
    )
    task_id = answer.raise_for_status().json()["task_id"]
    await socket.send(json.dumps({"type": "follow_log", "task_id": task_id, "after": 0}))
    first = None
    async with asyncio.timeout(20):
        async for text in socket:
            message = json.loads(text)
            if message.get("task_id") != task_id:
                continue
            if message["event"] == "log" and first is None:
                first = time.perf_counter()
            if message["event"] == "task_completed":
                break
    if first is None:
        raise RuntimeError("the task printed nothing")
    return (first - begun) * 1000


class _Bare:
    """A bundle as the server makes it, run by the runtime alone."""

    def __init__(self, directory: Path) -> None:
        self._instance = "bench" + secrets.token_hex(4)
        self._run = Path("/run/lan-session-manager") / self._instance
        self._workspace = directory / "bare"
        host.enter_private_mounts()
        self.name = ""

    def __enter__(self) -> "_Bare":
        self._run.mkdir(parents=True)
        self._run.chmod(0o755)
        slot = user_range(65_000)
        self._workspace.mkdir()
        os.chown(self._workspace, slot + TASK_UID, slot + TASK_UID)
        shared = self._workspace.parent / "bare-shared"
        shared.mkdir()
        self._system = make_system(self._run / "rootfs")
        self._cgroups = find_cgroups(self._instance, host.read_mounts())
        self._cgroups.prepare()
        limits, group_limits = BoxLimits(512 * _MB, 256, 1024 * _MB, 64 * _MB), GroupLimits(1024 * _MB, 512, 2.0)
        box = Box(
            opaque_id("bench"), group_id("bench"), _COMMAND, {"PATH": "/usr/bin:/bin"}, self._workspace, shared, slot,
            limits, group_limits,
        )  # fmt: skip
        self._cgroups.ensure_group(box.group, group_limits)
        path, resources = self._cgroups.box_path(box.group, box.box_id), self._cgroups.box_resources(limits)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        config = bundle.config(box, self._system, path, resources, files)
        (self._run / "config.json").write_text(json.dumps(config))
        self._runtime = Runtime(find_runtimes("")[0], self._run / "state")
        self.name = self._runtime.version()
        return self

    def __exit__(self, *_: object) -> None:
        self._cgroups.remove_group(group_id("bench"))
        self._cgroups.remove()
        shutil.rmtree(self._run)

    def run(self) -> float:
        """Milliseconds from the start of the runtime to the first byte that the command prints."""
        begun = time.perf_counter()
        process = subprocess.Popen(
            [self._runtime.path, "--root", self._runtime.state, "run", "--bundle", self._run, "bench"],
            stdin=subprocess.PIPE,  # crun gives /dev/null away to the box's user, the host's own
            stdout=subprocess.PIPE,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR": "/run"},
        )
        if process.stdout is None or process.stdout.read(1) != b"f":
            raise RuntimeError("the bare run printed nothing")
        first = time.perf_counter()
        process.communicate(timeout=20)
        return (first - begun) * 1000
