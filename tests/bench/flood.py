"""What others have of the server while one address attacks it with 2,000 slow connections.

The attacker is a process of its own, with less of the processor than the server (nice 19), as it would be another
machine. Its connections are slow headers, slow bodies, downloads and dashboards that are never read, and silence; one
that the server ends is opened again 2 s later. Others, each at an address of its own, measure at a steady pace, in
turns with and without the attack.

    python -m tests.bench.flood PORT        # the attacker alone, until it is ended
"""

import asyncio
import base64
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from websockets.asyncio.client import connect

from tests.server import ROOT, Server, start_server

_SLOTS = 2_000
_ATTACKER = "127.0.66.6"
_OTHERS = tuple(f"127.0.77.{last}" for last in range(1, 5))
_ROUNDS = 3
_QUIET_S, _FLOOD_S, _GATHER_S = 8.0, 8.0, 6.0
_PAUSE_S = 0.02  # between two measurements of one kind at one address
_AGAIN_S = 2.0
_HELD_FILE_MB = 8

Kinds = dict[str, list[float]]


def flood(directory: Path) -> dict[str, Any]:
    """Milliseconds of dashboards read, tasks submitted and WebSocket pings, quiet and under attack."""
    server = start_server(directory, env={"LSM_QUEUE_BOUND": "1000000"})
    try:
        with _at(server, _ATTACKER) as attacker:
            path = f"/api/workspace/{_ATTACKER}/files/inputs/large"
            attacker.put(path, content=bytes(_HELD_FILE_MB << 20)).raise_for_status()
        return asyncio.run(_in_turns(server))
    finally:
        server.stop()


def _at(server: Server, address: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, transport=httpx.HTTPTransport(local_address=address), timeout=30)


async def _in_turns(server: Server) -> dict[str, Any]:
    quiet: Kinds = defaultdict(list)
    attacked: Kinds = defaultdict(list)
    held = []
    process = psutil.Process(server.process.pid)
    async with asyncio.timeout(_ROUNDS * (_QUIET_S + _FLOOD_S + _GATHER_S) + 120):
        await _measure(server, 2.0, defaultdict(list))  # the first ones warm up
        for _ in range(_ROUNDS):
            await _measure(server, _QUIET_S, quiet)
            with _attack(server):
                await asyncio.sleep(_GATHER_S)
                await _measure(server, _FLOOD_S, attacked)
                held.append(sum(1 for found in process.net_connections("tcp") if _is_attackers(found.raddr)))
            await asyncio.sleep(1.0)
    kinds = {
        kind: {
            "measured": [len(quiet[kind]), len(attacked[kind])],
            "quiet_ms": {"p50": _quantile(quiet[kind], 50), "p99": _quantile(quiet[kind], 99)},
            "attacked_ms": {"p50": _quantile(attacked[kind], 50), "p99": _quantile(attacked[kind], 99)},
            "ratio_p99": round(_quantile(attacked[kind], 99) / _quantile(quiet[kind], 99), 2),
        }
        for kind in quiet
    }
    return {"attacker_tries_to_hold": _SLOTS, "attacker_held": held, "load_1min": round(os.getloadavg()[0], 2), **kinds}


def _is_attackers(peer: Any) -> bool:
    return bool(peer) and peer.ip == _ATTACKER


def _quantile(samples: list[float], percent: int) -> float:
    return round(sorted(samples)[len(samples) * percent // 100], 2)


@contextlib.contextmanager
def _attack(server: Server) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.flood", str(server.port)]
    attacker = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        yield
        if attacker.poll() is not None:
            raise RuntimeError("the attacker ended by itself")
    finally:
        attacker.terminate()
        attacker.wait(20)


async def _measure(server: Server, seconds: float, into: Kinds) -> None:
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_one(server, address, end, into) for address in _OTHERS))


async def _one(server: Server, address: str, end: float, into: Kinds) -> None:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    raw = await asyncio.to_thread(_connected, server.port, address)
    uri = f"ws://127.0.0.1:{server.port}/ws/dashboard/{address}"
    task = {"description": "bench", "runner": "swarm", "command": "bench"}
    async with (
        httpx.AsyncClient(base_url=server.url, transport=transport, timeout=30) as client,
        connect(uri, sock=raw, max_size=None, compression=None) as live,
    ):

        async def repeat(kind: str, once: Callable[[], Awaitable[str]]) -> None:
            while (begun := time.perf_counter()) < end:
                task_id = await once()
                into[kind].append((time.perf_counter() - begun) * 1e3)
                if task_id:  # so that what a dashboard shows, and what that costs, stays the same
                    (await client.post(f"/api/task/{task_id}/cancel")).raise_for_status()
                    (await client.delete(f"/api/task/{task_id}")).raise_for_status()
                await asyncio.sleep(_PAUSE_S)

        async def read() -> str:
            (await client.get(f"/api/dashboard/{address}")).raise_for_status()
            return ""

        async def submit() -> str:
            accepted = (await client.post("/api/task/submit", json=task)).raise_for_status()
            return str(accepted.json()["task_id"])

        async def ping() -> str:
            await live.send('{"type": "ping"}')
            while json.loads(await live.recv())["event"] != "pong":
                pass
            return ""

        await asyncio.gather(repeat("dashboard_read", read), repeat("submit", submit), repeat("websocket_ping", ping))


def _connected(port: int, address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 30, source_address=(address, 0))


# The attacker.


def _beginning(number: int) -> tuple[bytes, bytes]:
    """What a connection sends at once, and what it sends every 2 s; it reads nothing."""
    host = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    large = f"/api/workspace/{_ATTACKER}/files/inputs/".encode()
    key = base64.b64encode(os.urandom(16))
    kinds = (
        (b"GET /" + host + b"X-Slow: ", b"a"),
        (b"POST /api/task/submit" + host + b"Content-Type: application/json\r\nContent-Length: 9000\r\n\r\n{", b" "),
        (b"PUT " + large + b"slow" + host + b"Content-Length: 9000\r\n\r\n", b"a"),
        (b"GET " + large + b"large" + host + b"\r\n", b""),
        (
            f"GET /ws/dashboard/{_ATTACKER}".encode() + host + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n",
            b"",
        ),
        (b"GET /api/client-ip" + host + b"\r\n", b"\r\n"),
        (b"", b""),
    )
    return kinds[number % len(kinds)]


async def _hold(port: int, number: int) -> None:
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket() as held, contextlib.suppress(OSError):
            held.setblocking(False)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            held.bind((_ATTACKER, 0))
            await loop.sock_connect(held, ("127.0.0.1", port))
            begin, again = _beginning(number)
            await loop.sock_sendall(held, begin)
            ended = select.poll()
            ended.register(held, select.POLLRDHUP)
            while not ended.poll(0):
                await loop.sock_sendall(held, again)
                await asyncio.sleep(_AGAIN_S)
        await asyncio.sleep(_AGAIN_S)


async def _flood_from_here(port: int) -> None:
    os.nice(19)
    async with asyncio.TaskGroup() as slots:
        for number in range(_SLOTS):
            slots.create_task(_hold(port, number))
            await asyncio.sleep(0.001)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.alarm(120)  # it ends by itself, whatever became of who started it
    asyncio.run(_flood_from_here(int(sys.argv[1])))
