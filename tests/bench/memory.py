"""What the server holds in memory with 500 idle sessions and 100,000 ended tasks, after its start and after use."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.bench.filled import address_of, fill, task_of, write_log
from tests.integration.clients import dashboard
from tests.server import Server, start_server

_SESSIONS, _TASKS = 500, 100_000
_DASHBOARDS, _LOGS = 5_000, 2_000
_LOG_LINES = 20_000
_AT_ONCE = 16


def memory(directory: Path) -> dict[str, Any]:
    """MB: RSS, and PSS, which counts what processes share once."""
    data_dir = directory / "user_sessions"
    fill(data_dir, _SESSIONS, _TASKS)
    for session in range(10):
        write_log(data_dir, task_of(session, 1), _LOG_LINES)
    with start_server(directory) as server:
        found: dict[str, Any] = {"sessions": _SESSIONS, "ended_tasks": _TASKS, "at_start_mb": _held(server)}
        asyncio.run(_repeat(server, _SESSIONS, lambda n: (address_of(n), f"/api/dashboard/{address_of(n)}")))
        found["each_seen_once_mb"] = _held(server)
        for n in range(_SESSIONS):
            with dashboard(server, address_of(n)) as live:
                live.event("dashboard_update")
        found["each_opened_once_mb"] = _held(server)
        asyncio.run(_repeat(server, _DASHBOARDS, lambda n: _dashboard(n % _SESSIONS)))
        found[f"after_{_DASHBOARDS}_dashboards_mb"] = _held(server)
        asyncio.run(_repeat(server, _LOGS, lambda n: _log(n % 10)))
        found[f"after_{_LOGS}_logs_mb"] = _held(server)
        return found


def _dashboard(session: int) -> tuple[str, str]:
    return address_of(session), f"/api/dashboard/{address_of(session)}"


def _log(session: int) -> tuple[str, str]:
    return address_of(session), f"/api/task/{task_of(session, 1)}/log"


def _held(server: Server) -> dict[str, float]:
    info = psutil.Process(server.process.pid).memory_full_info()
    return {"rss": round(info.rss / 1e6, 1), "pss": round(info.pss / 1e6, 1)}


async def _repeat(server: Server, times: int, request: Any) -> None:
    left = iter(range(times))

    async def some() -> None:
        for n in left:
            address, path = request(n)
            transport = httpx.AsyncHTTPTransport(local_address=address)
            async with httpx.AsyncClient(base_url=server.url, transport=transport, timeout=60) as client:
                (await client.get(path)).raise_for_status()

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
