"""What the tests of failures do to a server's boxes from outside, as a machine that falls would."""

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil

from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.box import opaque_id
from lan_session_manager.sandbox.boxes import instance_id
from lan_session_manager.sandbox.runtime import find_program
from lan_session_manager.settings import STATE_DIR
from tests.integration.clients import PATIENCE_S

_RUNTIME = """#!/bin/sh
read -r command moment < {mode}
for word; do [ "$word" = "$command" ] && dies=yes; done
[ "$dies$moment" = yesbefore ] && kill -9 $$
{runtime} "$@"
code=$?
[ "$dies$moment" = yesafter ] && kill -9 $$
exit $code
"""
OTHER_BOOT = "00000000-0000-4000-8000-000000000000"


def until(wanted: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def box_directory(data_dir: Path, task_id: str) -> Path:
    """Where everything is that is kept of a task on disk."""
    return data_dir / STATE_DIR / "boxes" / opaque_id(task_id)


def lease(data_dir: Path, task_id: str) -> dict[str, Any]:
    """Where the task's box was started last."""
    found: dict[str, Any] = json.loads((box_directory(data_dir, task_id) / "started.json").read_bytes())["lease"]
    return found


def kill(pid: int) -> None:
    """Kill a process and wait until it is gone."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def kill_monitor(data_dir: Path, task_id: str) -> None:
    """Kill the monitor of a task's box."""
    kill(lease(data_dir, task_id)["monitor_pid"])


def restart_host(data_dir: Path, *task_ids: str) -> None:
    """Leave what a fall of the host leaves of tasks that run, while no server does: another boot and files on disk."""
    for task_id in task_ids:
        box = lease(data_dir, task_id)
        kill(box["monitor_pid"])
        kill(box["box_pid"])
        for path in (box_directory(data_dir, task_id) / "exits").iterdir():
            path.unlink()
    run_dir = launcher.run_dir() / instance_id(data_dir)
    for name in ("bundles", "ends", "state"):
        shutil.rmtree(run_dir / name)
    with closing(sqlite3.connect(data_dir / STATE_DIR / "state.db")) as database, database:
        database.execute("UPDATE leases SET boot_id = ?", (OTHER_BOOT,))


def mortal_runtime(directory: Path) -> tuple[Path, Path]:
    """A runtime that dies as a file says, and that file: "<its command> before", or "after" it has done that."""
    runtime, mode = directory / "crun", directory / "mode"
    mode.write_text("never\n")
    runtime.write_text(_RUNTIME.format(mode=mode, runtime=find_program("crun")))
    runtime.chmod(0o755)
    return runtime, mode
