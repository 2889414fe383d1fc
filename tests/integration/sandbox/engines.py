"""What the tests of the engine share."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from lan_session_manager.engine.base import Job
from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.sandbox.box import opaque_id
from tests.integration.sandbox.room import Room

PATIENCE_S = 20.0
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def box_dir(room: Room, job: Job) -> Path:
    """What is kept of a task on disk."""
    return room.data_dir / ".lan_session_manager" / "boxes" / opaque_id(job.task_id)


def wait(wanted: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


async def until_printed(engine: LocalEngine, job: Job, text: bytes) -> None:
    """Wait until a task has printed that."""
    said, follower = b"", engine.follow(job.task_id, 0)
    async for piece in follower:
        said += piece.data
        if text in said:
            break
    await follower.aclose()
    assert text in said


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
