"""What it costs to touch a session's files with the session's rights, and not with root's."""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from lan_session_manager.workspace import Quota, Workspace, Workspaces
from lan_session_manager.workspace.archive import archive
from lan_session_manager.workspace.download import Download
from lan_session_manager.workspace.listing import list_directory
from lan_session_manager.workspace.owner import Owner
from lan_session_manager.workspace.upload import Upload

_UID = 1_001_000
_ROUNDS = 15
_USERS = ("workspace", "staging", "upload", "archive")  # the modules that act as a session
_ROOMY = Quota(1 << 40, 1 << 40)


def files(directory: Path) -> dict[str, Any]:
    """µs of one call with the session's rights and with root's, medians of 15 rounds in turn, and their ratio."""
    workspaces = Workspaces(directory)
    workspaces.prepare()
    workspace = workspaces.workspace("10_0_0_1", _UID)
    workspace.create()
    _send(workspace, "small")
    for number in range(1000):
        path = directory / "10_0_0_1" / "outputs" / str(number)
        path.write_bytes(b"x" * 100)
        os.chown(path, _UID, _UID)
    found = {}
    for name, times, work in (
        ("opening a workspace", 2000, lambda: _act(workspace)),
        ("download of 4 kB", 200, lambda: _read(workspace)),
        ("upload of 4 kB", 100, lambda: _send(workspace, "again")),
        ("listing of 2 files", 200, lambda: list_directory(workspace, ("inputs",))),
        ("listing of 1000 files", 4, lambda: list_directory(workspace, ("outputs",))),
        ("archive of 1000 files", 1, lambda: b"".join(archive(workspace, ("outputs",)))),
    ):
        session, root = _compared(work, times)
        found[name] = {"session_us": round(session, 1), "root_us": round(root, 1), "ratio": round(session / root, 2)}
    return found


def _compared(work: Callable[[], object], times: int) -> tuple[float, float]:
    work()
    session, root = [], []
    for _ in range(_ROUNDS):
        session.append(_timed(work, times))
        with _as_root():
            root.append(_timed(work, times))
    return statistics.median(session), statistics.median(root)


def _timed(work: Callable[[], object], times: int) -> float:
    began = time.thread_time()  # of this thread alone: the machine has other work
    for _ in range(times):
        work()
    return (time.thread_time() - began) / times * 1e6


@contextlib.contextmanager
def _as_root() -> Iterator[None]:
    @contextlib.contextmanager
    def nothing(owner: Owner, *, searching: bool = False) -> Iterator[None]:
        yield

    with contextlib.ExitStack() as stack:
        for name in _USERS:
            stack.enter_context(mock.patch(f"lan_session_manager.workspace.{name}.acting_as", nothing))
        yield


def _act(workspace: Workspace) -> None:
    with workspace.opened():
        pass


def _read(workspace: Workspace) -> None:
    with Download(workspace, ("inputs", "small")) as opened:
        b"".join(opened.read())


def _send(workspace: Workspace, name: str) -> None:
    with Upload(workspace, ("inputs", name), limit_bytes=1 << 20, quota=_ROOMY, reserve_bytes=0) as arriving:
        arriving.write(b"x" * 4096)
        arriving.commit()
