"""What a dashboard costs with 1,000 tasks and with 1,000,000, in turns, and what a long queue costs everybody.

The two servers run at the same time, and are asked one after the other, so that a slow moment is one for both.
"""

import asyncio
import json
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect

from lan_session_manager import LANSessionManager
from tests.bench.filled import address_of, fill
from tests.integration.clients import device, submit
from tests.server import Server, start_server

_SMALL, _LARGE = (10, 1_000), (100, 1_000_000)  # sessions, tasks
_WARM, _TIMES = 30, 300
_VIEWER = address_of(3)
_RUNNING, _QUEUED, _QUEUING = 50, 1_000, 5
_LAG_S = 20.0
_LONG_COMMAND = "echo " + "x" * 60_000


def scale(directory: Path) -> dict[str, Any]:
    """Milliseconds, medians and ratios; and the size of a large dashboard."""
    for name, (sessions, tasks) in (("small", _SMALL), ("large", _LARGE)):
        fill(directory / name / "user_sessions", sessions, tasks)
    began = time.monotonic()
    with start_server(directory / "small") as small:
        small_s, began = time.monotonic() - began, time.monotonic()
        with start_server(directory / "large") as large:
            large_s = time.monotonic() - began
            found = asyncio.run(_compared(small, large))
    found["start_s"] = {"1,000": round(small_s, 2), "1,000,000": round(large_s, 2)}
    found["in_process"] = _in_process(directory)
    return {"dashboard_ms": found, "queue": _queue(directory / "queue"), "size": _size(directory / "size")}


async def _compared(small: Server, large: Server) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        asks = {}
        for name, server in (("1,000", small), ("1,000,000", large)):
            transport = httpx.AsyncHTTPTransport(local_address=_VIEWER)
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=server.url, transport=transport, timeout=60)
            )
            raw = socket.create_connection(("127.0.0.1", server.port), 30, source_address=(_VIEWER, 0))
            uri = f"ws://127.0.0.1:{server.port}/ws/dashboard/{_VIEWER}"
            live = await stack.enter_async_context(connect(uri, sock=raw, max_size=None, compression=None))
            asks[name] = {"rest": _rest(client), "websocket": _websocket(live)}
        kinds = {}
        for kind in ("rest", "websocket"):
            kinds[kind] = await _in_turns({name: ask[kind] for name, ask in asks.items()})
        return kinds


def _rest(client: httpx.AsyncClient) -> Callable[[], Awaitable[None]]:
    async def once() -> None:
        (await client.get(f"/api/dashboard/{_VIEWER}")).raise_for_status()

    return once


def _websocket(live: Any) -> Callable[[], Awaitable[None]]:
    async def once() -> None:
        await live.send('{"type": "request_dashboard_update"}')
        while json.loads(await live.recv())["event"] != "dashboard_update":
            pass

    return once


async def _in_turns(asks: dict[str, Callable[[], Awaitable[None]]]) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in asks}
    for n in range(_WARM + _TIMES):
        for name, ask in asks.items():
            begun = time.perf_counter()
            await ask()
            if n >= _WARM:
                took[name].append((time.perf_counter() - begun) * 1e3)
    return _ratio(took)


def _ratio(took: dict[str, list[float]]) -> dict[str, float]:
    small, large = (statistics.median(samples) for samples in took.values())
    return {"1,000": round(small, 3), "1,000,000": round(large, 3), "ratio": round(large / small, 3)}


def _in_process(directory: Path) -> dict[str, float]:
    """The dashboard object alone, without a server around it."""
    managers = {
        name: LANSessionManager(directory / place / "user_sessions")
        for name, place in (("1,000", "small"), ("1,000,000", "large"))
    }
    try:
        took: dict[str, list[float]] = {name: [] for name in managers}
        for n in range(_WARM + _TIMES):
            for name, manager in managers.items():
                begun = time.perf_counter()
                manager.get_user_dashboard_data(_VIEWER)
                if n >= _WARM:
                    took[name].append((time.perf_counter() - begun) * 1e3)
        return _ratio(took)
    finally:
        for manager in managers.values():
            manager.close()


def _queue(directory: Path) -> dict[str, Any]:
    """How long others wait for an answer, with few tasks and with 50 that run and 1,000 that wait."""
    directory.mkdir()
    environment = {"LSM_SLOTS": str(_RUNNING), "LSM_QUEUE_BOUND": "5000", "MAX_CONCURRENT_TASKS": str(_RUNNING)}
    environment |= {"LSM_TASK_MEMORY_MB": "64"}
    with start_server(directory, env=environment) as server, device(server, "127.0.50.50") as client:
        found = {"empty": asyncio.run(_lag(server))}
        for n in range(_RUNNING + _QUEUED):
            with device(server, f"127.0.51.{n % _QUEUING + 1}") as flooder:
                submit(flooder, "sleep 600")
        _until_running(client, _RUNNING)
        found[f"{_RUNNING} running, {_QUEUED} queued"] = asyncio.run(_lag(server))
    return found


def _until_running(client: httpx.Client, wanted: int) -> None:
    end = time.monotonic() + 120
    while client.get("/api/system/health").json()["active_tasks"] < wanted and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(5)


async def _lag(server: Server) -> dict[str, Any]:
    """Milliseconds of the cheapest answer, at a steady pace, while 20 dashboards are open."""
    took = []
    async with AsyncExitStack() as stack:
        for n in range(20):
            raw = socket.create_connection(("127.0.0.1", server.port), 30, source_address=(f"127.0.52.{n + 1}", 0))
            uri = f"ws://127.0.0.1:{server.port}/ws/dashboard/127.0.52.{n + 1}"
            await stack.enter_async_context(connect(uri, sock=raw, max_size=None, compression=None))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=60))
        end = time.monotonic() + _LAG_S
        while time.monotonic() < end:
            begun = time.perf_counter()
            (await client.get("/api/client-ip")).raise_for_status()
            took.append((time.perf_counter() - begun) * 1e3)
            await asyncio.sleep(0.01)
    took.sort()
    return {
        "p50": round(statistics.median(took), 2),
        "p99": round(took[len(took) * 99 // 100], 2),
        "most": round(took[-1], 2),
    }


def _size(directory: Path) -> dict[str, Any]:
    """Bytes of a dashboard with 200 tasks, with short commands and with the longest."""
    directory.mkdir()
    with start_server(directory, env={"LSM_QUEUE_BOUND": "5000"}) as server:
        found = {}
        for address, name, command in (
            ("127.0.53.1", "short_commands", "echo short"),
            ("127.0.53.2", "commands_of_60_kB", _LONG_COMMAND),
        ):
            with device(server, address) as client:
                for _ in range(200):
                    submit(client, command, runner="swarm")
                found[f"bytes_with_{name}"] = len(client.get(f"/api/dashboard/{address}").content)
        return found
