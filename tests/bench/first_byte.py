"""Submit → first log byte at a WebSocket client, beside a bare run of the same command by the same runtime."""

import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.bare import Bare, quantiles
from tests.server import Server, start_server

_RUNS = 50


def first_byte(directory: Path) -> dict[str, Any]:
    """Milliseconds of 50 runs each, the two kinds in turn."""
    server = start_server(directory)
    try:
        with Bare(directory) as bare:
            through, alone = asyncio.run(_in_turn(server, bare))
    finally:
        server.stop()
    return {
        "runs": _RUNS,
        "through_the_server_ms": quantiles(through),
        "bare_runtime_ms": {"runtime": bare.name, **quantiles(alone)},
        "ratio_p50": round(statistics.median(through) / statistics.median(alone), 2),
    }


async def _in_turn(server: Server, bare: "Bare") -> tuple[list[float], list[float]]:
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
