"""Submits and dashboard reads a second, and what one costs the server in processor time."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

from tests.server import Server, start_server

_CONNECTIONS = 32
_SECONDS = 5.0
_TASKS_SHOWN = 100


def submits(directory: Path) -> dict[str, Any]:
    """Tasks accepted, each on disk before its answer, over 32 connections."""
    server = start_server(directory, env={"LSM_QUEUE_BOUND": "1000000"})
    try:
        body = json.dumps({"description": "bench", "runner": "swarm", "command": "bench"}).encode()
        return asyncio.run(_measure(server, _request("POST", "/api/task/submit", body)))
    finally:
        server.stop()


def reads(directory: Path) -> dict[str, Any]:
    """Dashboards of a session with 100 tasks, over 32 connections."""
    server = start_server(directory, env={"LSM_QUEUE_BOUND": "1000000"})
    try:
        body = json.dumps({"description": "bench", "runner": "swarm", "command": "bench"}).encode()
        asyncio.run(_repeat(server, _request("POST", "/api/task/submit", body), lambda done: done < _TASKS_SHOWN))
        return asyncio.run(_measure(server, _request("GET", "/api/dashboard/127.0.0.1")))
    finally:
        server.stop()


async def _measure(server: Server, request: bytes) -> dict[str, Any]:
    process = psutil.Process(server.process.pid)
    before, begun = process.cpu_times(), time.perf_counter()
    end = begun + _SECONDS
    done = await _repeat(server, request, lambda _: time.perf_counter() < end)
    seconds, after = time.perf_counter() - begun, process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return {
        "connections": _CONNECTIONS,
        "requests": done,
        "a_second": round(done / seconds),
        "server_cpu_us_a_request": round(cpu / done * 1e6),
    }


async def _repeat(server: Server, request: bytes, more: Callable[[int], bool]) -> int:
    done = 0

    async def connection() -> None:
        nonlocal done
        host, _, port = server.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        while more(done):
            done += 1
            writer.write(request)
            await _answered(reader.readuntil, reader.readexactly)
        writer.close()
        await writer.wait_closed()

    async with asyncio.timeout(60):
        await asyncio.gather(*(connection() for _ in range(_CONNECTIONS)))
    return done


async def _answered(
    read_until: Callable[[bytes], Awaitable[bytes]], read_exactly: Callable[[int], Awaitable[bytes]]
) -> None:
    head = await read_until(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    await read_exactly(int(length.split(b":")[1]))


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    return (head + "Content-Type: application/json\r\n\r\n").encode() + body
