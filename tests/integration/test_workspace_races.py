"""A task swaps a name in its workspace as fast as it can, while the server works on that name.

The task is a process with the user id of a session, or a real one in a real box under a real server. What it swaps in
are a file, links to files and to a directory outside, to nothing and to itself, a directory, a pipe, a socket, and a
hard link to a file outside and a device (made by the test: a task cannot make one, but it may move one).
"""

import hashlib
import io
import itertools
import os
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
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
from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, start_server

UID = 1_001_000
NAME = "192_168_1_100"
SECRET = b"the canary's song"
LEAST, MOST = 3.0, 20.0  # seconds: until the race was one, which takes longer on a busy machine
HANG = 30.0
REFUSED = {"list", "download", "upload", "zip", "remove", "make"}  # what names out.txt and must meet refusals

# Everything that can stand at outputs/out.txt waits in outputs/stash and is exchanged with it; what the server deletes
# or replaces is made again. In a box the user id is right already.
SWAPPER = """
import ctypes, itertools, os, signal, socket, sys, time
outside, uid, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
signal.alarm(int(seconds) + 30)
if uid:
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
    elif kind == "shadow":
        os.symlink("/etc/shadow", path)
    elif kind == "nothing":
        os.symlink("nowhere", path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
    elif kind == "directory":
        os.makedirs(path + "/sub")
        with open(path + "/secret", "wb") as file:
            file.write(b"own")
kinds = ["file", "link", "file", "way", "directory", "loop", "pipe", "hard"]
kinds += ["shadow", "file", "nothing", "socket", "directory", "device"]
print("swaps", flush=True)
end, swaps = time.monotonic() + seconds, 0
for kind in itertools.cycle(kinds):
    if time.monotonic() > end:
        break
    stashed = "stash/" + kind
    try:
        if not os.path.lexists(stashed):
            make(kind, stashed)
        if not os.path.lexists("out.txt"):
            os.rename(stashed, "out.txt")
            swaps += 1
        elif renameat2(-100, stashed.encode(), -100, b"out.txt", 2) == 0:  # AT_FDCWD, RENAME_EXCHANGE
            renameat2(-100, stashed.encode(), -100, b"out.txt", 2)
            swaps += 2
    except OSError:
        os.makedirs("stash", exist_ok=True)
print("swapped", swaps, flush=True)
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
        [sys.executable, "-c", SWAPPER, str(outside.path), str(UID), "60"], cwd=outputs, stdout=subprocess.PIPE
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


SECONDS = 30.0
TIMEOUT_S = 60.0  # of each request: whatever takes longer is a hang
ROOM = "/api/workspace/127.0.0.1"
OUT = "outputs/out.txt"


class Requests:
    """What clients of the session ask for all the while, each in a thread of its own."""

    def __init__(self, server: Server, secrets: tuple[bytes, ...]) -> None:
        self.server = server
        self.secrets = secrets
        self.statuses: dict[str, Counter[int]] = {}
        self.faults: list[str] = []

    def run(self, seconds: float) -> None:
        """Ask until the time is over; every request ends."""
        end = time.monotonic() + seconds
        asks = (
            *(self.list, self.read, self.range, self.inside, self.write, self.resume, self.form, self.zip),
            *(self.delete, self.make, self.measure, self.validate),
        )
        threads = [threading.Thread(target=self._repeat, args=(ask, end), daemon=True) for ask in asks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end + 2 * TIMEOUT_S - time.monotonic()))
        self.faults += [f"{thread.name} hangs" for thread in threads if thread.is_alive()]

    def _repeat(self, ask: Callable[[httpx.Client], httpx.Response], end: float) -> None:
        name = ask.__name__
        statuses = self.statuses.setdefault(name, Counter())
        with device(self.server) as client:
            client.timeout = httpx.Timeout(TIMEOUT_S)
            while time.monotonic() < end:
                try:
                    answer = ask(client)
                    statuses[answer.status_code] += 1
                    data = answer.content
                    if name == "zip" and answer.status_code == 200:
                        with zipfile.ZipFile(io.BytesIO(data)) as found:
                            data = b"".join(found.read(each) for each in found.namelist())
                    if any(secret in data for secret in self.secrets):
                        self.faults.append(f"{name} read what is outside")
                    if answer.status_code >= 500:
                        self.faults.append(f"{name}: {answer.status_code} {answer.text}")
                except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                    self.faults.append(f"{name}: {error!r}")
                    return

    def list(self, client: httpx.Client) -> httpx.Response:
        return client.get(f"{ROOM}/files", params={"path": "outputs"})

    def read(self, client: httpx.Client) -> httpx.Response:
        return client.get(f"{ROOM}/files/{OUT}")

    def range(self, client: httpx.Client) -> httpx.Response:
        return client.get(f"{ROOM}/files/{OUT}", headers={"Range": "bytes=0-40000"})

    def inside(self, client: httpx.Client) -> httpx.Response:
        return client.get(f"{ROOM}/files/{OUT}/secret")

    def write(self, client: httpx.Client) -> httpx.Response:
        return client.put(f"{ROOM}/files/{OUT}", content=b"from a client")

    def resume(self, client: httpx.Client) -> httpx.Response:
        begun = client.post(f"{ROOM}/uploads", json={"path": f"{OUT}/secret", "size": 4})
        if begun.status_code != 201:
            return begun
        headers = {"Upload-Offset": "0", "Content-Type": "application/partial-upload"}
        answer = client.patch(begun.headers["location"], content=b"mine", headers=headers)
        if answer.status_code != 201:
            client.delete(begun.headers["location"])
        return answer

    def form(self, client: httpx.Client) -> httpx.Response:
        return client.post(f"{ROOM}/files", params={"path": "outputs"}, files={"file": ("out.txt", b"from a form")})

    def zip(self, client: httpx.Client) -> httpx.Response:
        return client.get(f"{ROOM}/archive", params={"path": "outputs"})

    def delete(self, client: httpx.Client) -> httpx.Response:
        return client.delete(f"{ROOM}/files/{OUT}")

    def make(self, client: httpx.Client) -> httpx.Response:
        return client.post(f"{ROOM}/directory", json={"path": f"{OUT}/made"})

    def measure(self, client: httpx.Client) -> httpx.Response:
        return client.get("/api/dashboard/127.0.0.1")

    def validate(self, client: httpx.Client) -> httpx.Response:
        return client.post(f"{ROOM}/validate", json={"file_path": f"user_sessions/127_0_0_1/{OUT}"})


def _facts(paths: list[Path]) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for path in paths:
        info = path.lstat()
        data = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(info.st_mode) else ""
        times = (info.st_mtime_ns,)  # a hard link changes the other times and the count
        found.append((str(path), info.st_ino, info.st_mode, info.st_uid, info.st_gid, info.st_size, *times, data))
    return found


def _plant(stash: Path, secret: Path, until: threading.Event) -> None:
    """Put there what no task can make, whenever it is gone."""
    while not until.wait(0.02):
        with suppress(FileExistsError, FileNotFoundError):
            os.link(secret, stash / "hard")
        with suppress(FileExistsError, FileNotFoundError):
            os.mknod(stash / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero, which has no end


@pytest.mark.root
def test_whatever_a_running_task_swaps_in_the_server_reads_and_changes_nothing_outside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with start_server(tmp_path) as server, device(server) as client, device(server, "127.0.0.2") as neighbour:
        neighbour.put("/api/workspace/127.0.0.2/files/inputs/secret", content=SECRET)
        theirs = server.data_dir / "127_0_0_2" / "inputs"
        client.put(f"{ROOM}/files/inputs/swap.py", content=SWAPPER.encode())
        command = f"cd outputs; exec python3 ../inputs/swap.py {theirs} 0 {SECONDS + 2}"
        task = submit(client, command, limits={"time_s": 120})
        wait_for(client, task, lambda found: found["status"] == "running")
        shadow = Path("/etc/shadow")
        before = _facts([shadow, theirs, theirs / "secret"])
        requests = Requests(server, (SECRET, shadow.read_bytes().splitlines()[0]))
        over = threading.Event()
        stash = server.data_dir / "127_0_0_1" / "outputs" / "stash"
        planter = threading.Thread(target=_plant, args=(stash, theirs / "secret", over))
        planter.start()
        try:
            requests.run(SECONDS)
        finally:
            over.set()
            planter.join()
        assert ended(client, task)["status"] == "completed"
        log = client.get(f"/api/task/{task}/log").text
        assert requests.faults == []
        assert _facts([shadow, theirs, theirs / "secret"]) == before
        assert neighbour.get("/api/workspace/127.0.0.2/files/inputs/secret").content == SECRET
        assert " ERROR " not in server.output
        assert "Traceback" not in server.output
        for name, statuses in requests.statuses.items():
            assert statuses.total() > 10, (name, statuses)
        # It was a race: the same request came through and was refused.
        for name in ("read", "write", "delete"):
            assert len(requests.statuses[name]) >= 2, requests.statuses[name]
    asked = sum(statuses.total() for statuses in requests.statuses.values())
    with capsys.disabled():
        print(f"\n{asked} requests against {log.split()[-1]} swaps: {requests.statuses}")
