"""What a log of 1 GB costs: its tail, cold, warm and while the task runs; a search; and others while one prints."""

import statistics
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from lan_session_manager.settings import STATE_DIR
from tests.integration.clients import dashboard, device, ended, submit
from tests.server import Server, start_server

_MB = 1024 * 1024
_LINES = 8_000_000  # of 80 bytes, 1 GB with their headers
_PRINT = f"""
import os, time
block = (b"x" * 79 + b"\\n") * 1000
for _ in range({_LINES} // 1000):
    os.write(1, block)
os.write(1, b"needle at the end\\n")
while not os.path.exists("go"):
    time.sleep(0.1)
"""
_FLOOD_S = 10
_FLOOD = f"""
import os, time
block, end = (b"x" * 79 + b"\\n") * 800, time.monotonic() + {_FLOOD_S}
while time.monotonic() < end:
    os.write(1, block)
"""
_ENV = {"LSM_LOG_MB": "8192", "LSM_LOG_MAX_MB": "8192", "LSM_SESSION_LOGS_MB": "20000"}
_PATIENCE_S = 120


def log_tail(directory: Path) -> dict[str, Any]:
    """Milliseconds to the last 500 lines by state of the server, MB/s of a search, MB of the server, p50 of others."""
    found: dict[str, Any] = {}
    with start_server(directory, env=_ENV) as server, device(server) as client:
        found["rss_mb_before"] = _rss(server)
        task = submit(client, _PRINT, runner="python")
        _printed(server)
        found["tail_ms_running_first"] = _tail(client, task)
        found["tail_ms_running_warm"] = _tail(client, task)
        server.kill9()
    with start_server(directory, env=_ENV) as server, device(server) as client:
        found["tail_ms_running_after_restart"] = _tail(client, task)
        client.put("/api/workspace/127.0.0.1/files/go", content=b"").raise_for_status()
        ended(client, task)
        server.terminate()
    with start_server(directory, env=_ENV) as server, device(server) as client:
        found["tail_ms_ended_after_restart"] = _tail(client, task)
        found["tail_ms_ended_warm"] = _tail(client, task)
        begun = time.perf_counter()
        client.get(f"/api/task/{task}/log/lines", params={"line": _LINES // 2}).raise_for_status()
        found["jump_ms"] = round((time.perf_counter() - begun) * 1000, 1)
        for name, query in (
            ("search_mb_s", {"q": "needle"}),
            ("search_any_case_mb_s", {"q": "NEEDLE", "ignore_case": 1}),
        ):
            found[name] = _search(client, task, query)
        found["rss_mb_after"] = _rss(server)
        for name in ("index.0", "index"):
            for path in (server.data_dir / STATE_DIR / "boxes").rglob(name):
                path.unlink()
    with start_server(directory, env=_ENV) as server, device(server) as client:
        found["tail_ms_without_an_index"] = _tail(client, task)
    (directory / "flood").mkdir()
    with start_server(directory / "flood") as server:
        found["others"] = _others(server)
    return found


def _rss(server: Server) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss) // _MB


def _printed(server: Server) -> None:
    """Wait until all of the log is there."""
    end, boxes = time.monotonic() + _PATIENCE_S, server.data_dir / STATE_DIR / "boxes"
    while sum(path.stat().st_size for path in boxes.rglob("log.0.0")) < _LINES * 125:
        if time.monotonic() > end:
            raise RuntimeError("the task prints too slowly")
        time.sleep(0.2)


def _tail(client: httpx.Client, task: str) -> float:
    client.get("/api/client-ip")  # the connection is not part of it
    begun = time.perf_counter()
    answer = client.get(f"/api/task/{task}/log/lines", params={"tail": 1})
    took = time.perf_counter() - begun
    assert len(answer.raise_for_status().json()["lines"]) == 500
    return round(took * 1000, 1)


def _search(client: httpx.Client, task: str, query: dict[str, Any]) -> int:
    begun, after, hits = time.perf_counter(), 0, 0
    while after is not None:
        answer = client.get(f"/api/task/{task}/log/search", params={**query, "after": after})
        found = answer.raise_for_status().json()
        hits, after = hits + len(found["hits"]), found["next"]
    assert hits == 1
    return round(found["searched_to"] / 1e6 / (time.perf_counter() - begun))


def _others(server: Server) -> dict[str, Any]:
    """p50 and the longest of another's requests, in milliseconds, alone and beside a flood that two follow."""
    with device(server) as client, device(server, "127.0.0.2") as other:
        found: dict[str, Any] = {"alone_ms": _requests(other, 3)}
        with dashboard(server) as fast, dashboard(server) as slow:
            task = submit(client, _FLOOD, runner="python")
            got: list[dict[str, Any]] = []
            for live in (fast, slow):  # the slow one reads nothing at all
                live.send(type="follow_log", task_id=task, after=0, skip=True)
            reader = threading.Thread(target=lambda: got.extend(fast.until(lambda each: each["event"] == "log_end")))
            reader.start()
            found["beside_a_flood_ms"] = _requests(other, _FLOOD_S - 2)
            reader.join()
            found["follower_got_mb"] = round(sum(len(each.get("text", "")) for each in got) / 1e6, 1)
            skipped = [each for each in got if each["event"] == "log_skipped"]
            found["skipped_mb"] = round(sum(each["next"] - each["after"] for each in skipped) / 1e6)
        found["rss_mb"] = _rss(server)
    return found


def _requests(client: httpx.Client, seconds: float) -> dict[str, float]:
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        client.get("/api/system/health").raise_for_status()
        times.append((time.perf_counter() - begun) * 1000)
        time.sleep(0.02)
    return {"p50": round(statistics.median(times), 1), "most": round(max(times), 1)}
