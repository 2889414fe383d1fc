"""A workspace of a session with user ids of its own, and what a task could put into it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lan_session_manager.workspace import Workspace, Workspaces, opener

UID = 1_001_000
NAME = "192_168_1_100"


@pytest.fixture(autouse=True)
def _as_root() -> None:
    if os.geteuid():
        pytest.fail("these tests give files to the user ids of sessions: run them as root")


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    made = Workspaces(tmp_path / "user_sessions")
    made.prepare()
    return made


@pytest.fixture
def workspace(workspaces: Workspaces) -> Workspace:
    made = workspaces.workspace(NAME, UID)
    made.create()
    return made


@pytest.fixture
def disk(workspace: Workspace) -> Path:
    """The workspace's directory, as only a test may touch it."""
    return workspace.data_dir / workspace.name


def staged(workspaces: Workspaces) -> list[Path]:
    """Everything that is on its way into any workspace."""
    uploads = workspaces.data_dir / ".lan_session_manager/uploads"
    return [path for path in uploads.rglob("*") if not path.is_dir()]


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory outside with a secret in it, which nothing may read or change."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    yield outside
    assert [found.name for found in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert (outside / "secret").stat().st_uid == 0


@pytest.fixture(params=["kernel", "steps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to open a path: openat2, and step by step where it is missing."""
    monkeypatch.setattr(opener, "_kernel_resolves", lambda: request.param == "kernel")
    return str(request.param)


@pytest.fixture(autouse=True)
def _no_descriptor_is_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    end = time.monotonic() + 5  # a scan in the background may be looking
    while len(os.listdir("/proc/self/fd")) > before:
        assert time.monotonic() < end
        time.sleep(0.01)


def put(path: Path, data: bytes = b"data", uid: int = UID) -> Path:
    """A file as a task leaves it, and what is missing of the directories on the way."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir()
            os.chown(parent, uid, uid)
    path.write_bytes(data)
    os.chown(path, uid, uid)
    return path
