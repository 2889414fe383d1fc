"""A task swaps a name in its workspace as fast as it can, while the server works on that name.

The task is a process with the user id of a session. What it swaps in are a file, links to a file and to a directory
outside, a directory, a pipe, and a hard link to a file outside (made by the test: a task cannot make one, but it may
move one).
"""

import io
import itertools
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lan_session_manager.errors import LSMError
from lan_session_manager.workspace import Quota, Workspace, Workspaces, opener
from lan_session_manager.workspace.archive import archive
from lan_session_manager.workspace.download import Download
from lan_session_manager.workspace.listing import list_directory
from lan_session_manager.workspace.paths import parse_path
from lan_session_manager.workspace.remove import make_directory, remove
from lan_session_manager.workspace.upload import Upload
from lan_session_manager.workspace.usage import measure

UID = 1_001_000
NAME = "192_168_1_100"
SECRET = b"the canary's song"
LEAST, MOST = 3.0, 20.0  # seconds: until the race was one, which takes longer on a busy machine
HANG = 30.0
REFUSED = {"list", "download", "upload", "zip", "remove", "make"}  # what names out.txt and must meet refusals

# Everything that can stand at outputs/out.txt waits in outputs/stash and is exchanged with it; what the server deletes
# or replaces is made again.
SWAPPER = """
import ctypes, itertools, os, signal, sys, time
signal.alarm(60)
outside, uid = sys.argv[1], int(sys.argv[2])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
def make(kind, path):
    if kind == "file":
        with open(path, "wb") as file:
            file.write(b"own" * 50_000)
    elif kind == "link":
        os.symlink(outside + "/secret", path)
    elif kind == "way":
        os.symlink(outside, path)
    elif kind == "loop":
        os.symlink(".", path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        os.makedirs(path + "/sub")
        with open(path + "/secret", "wb") as file:
            file.write(b"own")
kinds = ["file", "link", "file", "way", "directory", "loop", "pipe", "hard"]
print("swaps", flush=True)
for kind in itertools.cycle(kinds):
    stashed = "stash/" + kind
    try:
        if not os.path.lexists(stashed):
            make(kind, stashed)
        if not os.path.lexists("out.txt"):
            os.rename(stashed, "out.txt")
        elif renameat2(-100, stashed.encode(), -100, b"out.txt", 2) == 0:  # AT_FDCWD, RENAME_EXCHANGE
            renameat2(-100, stashed.encode(), -100, b"out.txt", 2)
    except OSError:
        os.makedirs("stash", exist_ok=True)
"""


class Outside:
    """A directory that nobody may read or change through the workspace."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        (path / "secret").write_bytes(SECRET)
        (path / "sub").mkdir()
        os.utime(path, (1000, 1000))
        os.utime(path / "sub", (1000, 1000))
        self.before = self.facts()

    def facts(self) -> list[tuple[object, ...]]:
        found = []
        for path in (self.path, *sorted(self.path.rglob("*"))):
            info = path.lstat()
            found.append((path.name, info.st_ino, info.st_mode, info.st_uid, info.st_gid, info.st_size, info.st_mtime))
        return [*found, ((self.path / "secret").read_bytes(),)]


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path / "outside")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspaces = Workspaces(tmp_path / "user_sessions")
    workspaces.prepare()
    made = workspaces.workspace(NAME, UID)
    made.create()
    return made


@pytest.fixture
def swapper(workspace: Workspace, outside: Outside) -> Iterator[subprocess.Popen[bytes]]:
    outputs = workspace.data_dir / NAME / "outputs"
    stash = outputs / "stash"
    stash.mkdir()
    os.chown(stash, UID, UID)
    os.link(outside.path / "secret", stash / "hard")
    swaps = subprocess.Popen(
        [sys.executable, "-c", SWAPPER, str(outside.path), str(UID)], cwd=outputs, stdout=subprocess.PIPE
    )
    assert swaps.stdout is not None
    assert swaps.stdout.readline() == b"swaps\n"
    yield swaps
    swaps.kill()
    swaps.communicate()


class Work:
    """What the server does, over and over in threads; it may be refused, and must neither fail nor hang nor leak."""

    def __init__(self, workspace: Workspace, outside: Outside) -> None:
        self.workspace = workspace
        self.workspaces = Workspaces(workspace.data_dir)
        self.outside = outside
        self.outcomes: dict[str, Counter[str]] = {}
        self.faults: list[BaseException] = []
        self.seen: list[str] = []

    def run(self) -> None:
        """Do all of it until the race was one, or for MOST. Whatever does not end by itself is a hang."""
        end = time.monotonic() + MOST
        jobs = (self.list, self.download, self.upload, self.zip, self.remove, self.make, self.measure, self.validate)
        threads = [threading.Thread(target=self._repeat, args=(job, end), daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end + HANG - time.monotonic()))
        assert [thread.name for thread in threads if thread.is_alive()] == []
        assert self.faults == []
        assert self.seen == []

    def _repeat(self, job: Callable[[str], None], end: float) -> None:
        outcomes = self.outcomes.setdefault(job.__name__, Counter())
        paths = itertools.cycle(["outputs/out.txt", "outputs/out.txt/secret", "outputs/out.txt/sub", "outputs"])
        least = end - MOST + LEAST
        while (now := time.monotonic()) < end and not self.faults and (now < least or self.missed()):
            try:
                job(next(paths))
                outcomes["done"] += 1
            except LSMError as error:
                outcomes[error.code] += 1
            except BaseException as error:  # noqa: BLE001 - reported by run
                self.faults.append(error)

    def missed(self) -> list[str]:
        """The kinds of work that did not both come through and meet two kinds of refusal."""
        return [
            job
            for job, outcomes in list(self.outcomes.items())
            if outcomes["done"] <= 10 or (job in REFUSED and len(outcomes.keys() - {"done"}) < 2)
        ]

    def _look(self, what: str, data: bytes) -> None:
        if SECRET in data:
            self.seen.append(what)

    def list(self, path: str) -> None:
        list_directory(self.workspace, parse_path(path))

    def download(self, path: str) -> None:
        with Download(self.workspace, parse_path(path)) as opened:
            self._look(path, b"".join(opened.read()))

    def upload(self, path: str) -> None:
        if path == "outputs":
            path = "outputs/stash/new"
        with Upload(
            self.workspace, parse_path(path), limit_bytes=1 << 20, quota=Quota(1 << 40, 10**6), reserve_bytes=0
        ) as arriving:
            arriving.write(b"from a client")
            arriving.commit()

    def zip(self, path: str) -> None:
        data = b"".join(archive(self.workspace, parse_path(path)))
        self._look(path, data)
        assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None

    def remove(self, path: str) -> None:
        if path != "outputs":
            remove(self.workspace, parse_path(path))

    def make(self, path: str) -> None:
        make_directory(self.workspace, parse_path(f"{path}/made"), Quota(1 << 40, 10**6))

    def measure(self, path: str) -> None:
        self.workspace.create()
        with suppress(FileExistsError, FileNotFoundError):
            os.link(self.outside.path / "secret", self.workspace.data_dir / NAME / "outputs/stash/hard")
        with self.workspace.opened() as root:
            found = measure(root)
        assert found.bytes < 1 << 30
        self.workspace.outputs_since(0)

    def validate(self, path: str) -> None:
        self.workspaces.is_inside(NAME, path)


@pytest.mark.root
@pytest.mark.parametrize("way", ["kernel", "steps"])
def test_a_task_that_swaps_files_gets_nothing_outside_read_or_changed(
    workspace: Workspace,
    outside: Outside,
    swapper: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    monkeypatch.setattr(opener, "_kernel_resolves", lambda: way == "kernel")
    work = Work(workspace, outside)
    work.run()
    assert swapper.poll() is None
    assert outside.facts() == outside.before
    assert work.missed() == [], work.outcomes
    assert os.listdir(workspace.staging) == []
