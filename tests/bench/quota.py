"""How far a task that writes as fast as it can gets beyond its session's quota, by watching and with the kernel."""

from pathlib import Path
from typing import Any

from tests.integration.clients import device, ended, submit
from tests.server import start_server

_QUOTA_MB = 50
_RUNS = 5
_MB = 1024 * 1024
# Many files, as one file alone cannot grow beyond the quota.
_WRITER = """
import itertools
block = bytes(1024 * 1024)
for number in itertools.count():
    with open(f"outputs/{number}", "wb", buffering=0) as file:
        for _ in range(8):
            file.write(block)
"""


def quota(directory: Path) -> dict[str, Any]:
    """MB beyond a quota of 50 MB in 5 runs, in order of size, for each LSM_QUOTA_MODE; below 0: not as much as it."""
    overshoots = {mode: _overshoots(directory / mode, mode) for mode in ("watch", "hard")}
    return {"quota_mb": _QUOTA_MB, "runs": _RUNS, "overshoot_mb": overshoots}


def _overshoots(directory: Path, mode: str) -> list[float]:
    directory.mkdir()
    found = []
    env = {"WORKSPACE_QUOTA_MB": str(_QUOTA_MB), "LSM_QUOTA_MODE": mode}
    with start_server(directory, env=env) as server, device(server) as client:
        for _ in range(_RUNS):
            body = {"runner": "python", "limits": {"time_s": 60}}
            task = ended(client, submit(client, _WRITER, **body))
            if task["reason"] != "disk_quota":
                raise RuntimeError(f"the writer was not stopped: {task}")
            files = list((server.data_dir / "127_0_0_1" / "outputs").iterdir())
            found.append(sum(file.stat().st_blocks * 512 for file in files) / _MB - _QUOTA_MB)
            client.delete("/api/workspace/127.0.0.1/files/outputs").raise_for_status()
    return [round(mb, 1) for mb in sorted(found)]
