"""Runs the measurements that are named, or all, each against a server of its own, and prints one JSON object."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.bench.crash import crash
from tests.bench.fairness import fairness
from tests.bench.files import files
from tests.bench.first_byte import first_byte
from tests.bench.flood import flood
from tests.bench.fuzz import fuzz
from tests.bench.http import reads, submits
from tests.bench.layers import layers
from tests.bench.log_tail import log_tail
from tests.bench.logs import logs
from tests.bench.memory import memory
from tests.bench.neighbours import neighbours
from tests.bench.page import page
from tests.bench.queue_fairness import queue_fairness
from tests.bench.queue_sim import queue_simulation
from tests.bench.quota import quota
from tests.bench.recovery import recovery
from tests.bench.samples import samples
from tests.bench.scale import scale
from tests.bench.task_list import task_list

MEASUREMENTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "first-byte": first_byte,
    "submits": submits,
    "reads": reads,
    "quota": quota,
    "files": files,
    "fairness": fairness,
    "queue-simulation": queue_simulation,
    "queue-fairness": queue_fairness,
    "layers": layers,
    "logs": logs,
    "log-tail": log_tail,
    "flood": flood,
    "neighbours": neighbours,
    "fuzz": fuzz,
    "recovery": recovery,
    "scale": scale,
    "memory": memory,
    "crash": crash,
    "page": page,
    "samples": samples,
    "task-list": task_list,
}


def facts() -> dict[str, Any]:
    """The machine, as far as it explains a figure."""
    return {
        "cores": os.cpu_count(),
        "memory_mb": psutil.virtual_memory().total // 2**20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
    }


def main(names: list[str]) -> None:
    """Measure and print."""
    unknown = set(names) - set(MEASUREMENTS)
    if unknown:
        sys.exit(f"There is no measurement named {', '.join(sorted(unknown))}. Choose from: {', '.join(MEASUREMENTS)}.")
    found: dict[str, Any] = {"machine": facts()}
    for name in names or list(MEASUREMENTS):
        with tempfile.TemporaryDirectory(prefix="lsm-bench-") as directory:
            found[name] = MEASUREMENTS[name](Path(directory))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
