"""What a log costs: disk for writes of one byte, and time for a task that prints 200 MB, read by nobody or followed."""

import threading
import time
from pathlib import Path
from typing import Any

import httpx

from tests.integration.clients import dashboard, device, ended, submit
from tests.server import Server, start_server

_LOG_MB = 3
_MB = 1024 * 1024
_S = 5
_SINGLE_BYTES = f"""
import os, time
end, written = time.monotonic() + {_S}, 0
while time.monotonic() < end:
    written += os.write(1, b".")
open("outputs/written", "w").write(str(written))
"""
_FLOOD_MB = 200
_FLOOD = f"""
import os, time
block = (b"x" * 79 + b"\\n") * 800
begun = time.monotonic()
for _ in range({_FLOOD_MB} * 1000000 // len(block)):
    os.write(1, block)
open("outputs/took", "w").write(str(time.monotonic() - begun))
"""


def logs(directory: Path) -> dict[str, Any]:
    """Bytes of disk at most, and MB a second of a flood by the bound of its log (MB), without and with a follower."""
    found: dict[str, Any] = {}
    for name in ("small", "large"):
        (directory / name).mkdir()
    with start_server(directory / "small", env={"LSM_LOG_MB": str(_LOG_MB)}) as server, device(server) as client:
        found["single_bytes"] = _single_bytes(server, client)
        found[f"flood_{_LOG_MB}_mb"] = _flood(server, client)
    with start_server(directory / "large") as server, device(server) as client:
        found["flood_64_mb"] = _flood(server, client)
    return found


def _single_bytes(server: Server, client: httpx.Client) -> dict[str, Any]:
    task = submit(client, _SINGLE_BYTES, runner="python")
    boxes, most = server.data_dir / ".lan_session_manager" / "boxes", 0
    end = time.monotonic() + _S + 5
    while time.monotonic() < end and client.get(f"/api/task/{task}").json()["status"] in ("queued", "running"):
        most = max(most, _disk(boxes))
        time.sleep(0.02)
    ended(client, task)
    written = client.get("/api/workspace/127.0.0.1/files/outputs/written").json()
    return {"written": written, "uncut_bytes_at_most": 47 * written, "bound_bytes": _LOG_MB * _MB, "disk_bytes": most}


def _disk(directory: Path) -> int:
    found = {}
    for path in directory.rglob("*"):
        try:
            info = path.lstat()
        except FileNotFoundError:  # let go of since it was listed
            continue
        found[info.st_ino] = info.st_blocks * 512
    return sum(found.values())


def _flood(server: Server, client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = {"alone_mb_s": round(_speed(client, submit(client, _FLOOD, runner="python")))}
    got: list[dict[str, Any]] = []
    with dashboard(server) as live:
        task = submit(client, _FLOOD, runner="python")
        live.send(type="follow_log", task_id=task, after=0)
        reader = threading.Thread(target=lambda: got.extend(live.until(lambda message: message["event"] == "log_end")))
        reader.start()
        found["followed_mb_s"] = round(_speed(client, task))
        reader.join()
    pieces = [message for message in got if message["event"] == "log"]
    found["follower_got_mb"] = round(sum(len(piece["text"]) for piece in pieces) / 1e6)
    found["gaps"] = sum(piece["stream"] == "gap" for piece in pieces)
    return found


def _speed(client: httpx.Client, task: str) -> float:
    ended(client, task)
    return _FLOOD_MB / float(client.get("/api/workspace/127.0.0.1/files/outputs/took").text)
