"""A task watches, locks and connects to files that others use as well: it learns nothing of them and holds up nobody.

Each attack is also made by a program of the host, outside of any box: there it works.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import select
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lan_session_manager.engine.base import Job
from lan_session_manager.engine.local import LocalEngine
from tests.attacks.tries import HELPERS, IS_ROOT_OF_THE_HOST, wait_for_words
from tests.integration.sandbox.room import Ran, Room

pytestmark = pytest.mark.root

PATIENCE_S = 20.0

# Watches the places that it is given, says so, and once it is told to stop prints what it saw of others.
WATCH = """
watch = libc.inotify_init1(os.O_NONBLOCK)
# A task's own monitor, which has the box's null device as its output, may write to that.
masks = {place: 0xFFF & ~2 if place == "/dev/null" else 0xFFF for place in sys.argv[1:]}
places = {checked(libc.inotify_add_watch(watch, place.encode(), mask)): place for place, mask in masks.items()}
noted = []
signal.signal(signal.SIGRTMIN, lambda *_: noted.append("dnotify"))
held = []
for place in sys.argv[1:]:
    if os.path.isdir(place):
        held.append(os.open(place, os.O_RDONLY))
try:
    while os.read(watch, 65536):
        pass
except BlockingIOError:
    pass
for fd in held:
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGRTMIN)
    fcntl.fcntl(fd, fcntl.F_NOTIFY, 0x8000003F)  # DN_MULTISHOT and everything
print("ready", flush=True)
while not os.path.exists("stop"):
    time.sleep(0.02)
seen = []
try:
    events = os.read(watch, 65536)
    while events:
        number, mask, _, length = struct.unpack_from("iIII", events)
        seen.append(places[number] + "/" + events[16:16 + length].rstrip(b"\\0").decode())
        events = events[16 + length:]
except BlockingIOError:
    pass
print("saw", *sorted({*seen, *noted}))
"""
SYSTEM = ["/", "/usr", "/usr/bin", "/usr/bin/python3", "/usr/lib", "/etc", "/etc/ld.so.cache", "/etc/passwd", "/bin/sh"]
SHARED = ["/shared", "/shared/file"]
DEVICES = ["/dev/null", "/dev/urandom", "/dev/zero"]


@pytest.fixture
def shared(room: Room) -> Path:
    """A shared file of the owner."""
    directory = room.data_dir / "shared"
    (directory / "file").write_text("owner's")
    return directory


def _while_a_task_runs(room: Room, runtime: str, program: str, *arguments: str, work: Callable[[], None]) -> Ran:
    """Run a program to its `ready`, do `work` then, tell it to stop, and wait for its end."""
    job = room.job("/usr/bin/python3", "-c", HELPERS + program, *arguments, session="10_0_0_1")
    came: list[Ran] = []

    async def follow(engine: LocalEngine) -> None:
        await engine.start(job)
        assert "ready" in await wait_for_words(engine, job, "ready\n")
        await asyncio.to_thread(work)
        _tell(room, "stop")
        came.append(room.printed(engine, job, await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)))

    room.with_engine(follow, runtime)
    (room.workspace() / "stop").unlink()
    assert came[0].code == 0, came[0]
    return came[0]


def _tell(room: Room, word: str) -> None:
    (room.workspace() / word).touch(mode=0o644)


def _neighbour(room: Room, runtime: str) -> Callable[[], None]:
    """Another session's task, in a box of its own, that uses the system, the shared resources and the devices."""
    script = "ls / /usr /etc /shared; cat /shared/file /etc/passwd; head -c 9 /dev/zero /dev/urandom; python3 -c pass"
    job: Job = room.job("/bin/sh", "-c", f"({script}) > /dev/null", session="10_0_0_2")

    def run() -> None:
        assert room.run_job(job, runtime).code == 0

    return run


def _use(*paths: str | Path) -> None:
    """What a program of the host does."""
    for path in map(str, paths):
        if os.path.isdir(path):
            os.listdir(path)
        else:
            with open(path, "rb") as file:
                file.read(1)


def _watch_on_the_host(tmp_path: Path, places: list[str], work: Callable[[], None]) -> str:
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", HELPERS + WATCH, *places], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "ready\n"
        work()
        (tmp_path / "stop").touch()
        return watcher.stdout.read()


def test_the_watches_of_the_next_tests_see_something_where_no_box_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("owner's")
    places = [str(tmp_path), str(tmp_path / "file"), "/usr", "/dev/zero"]
    said = _watch_on_the_host(tmp_path, places, lambda: _use(tmp_path / "file", "/usr", "/dev/zero"))
    assert set(said.split()) >= {f"{tmp_path}/file", f"{tmp_path}/file/", "/usr/", "/dev/zero/", "dnotify"}


def test_a_task_cannot_watch_what_the_host_opens(room: Room, runtime: str, shared: Path) -> None:
    used = [*SYSTEM, str(shared), str(shared / "file")]
    ran = _while_a_task_runs(room, runtime, WATCH, *SYSTEM, *SHARED, work=lambda: _use(*used))
    assert ran.out == "ready\nsaw\n"


def test_a_task_cannot_watch_what_a_neighbours_task_opens(room: Room, runtime: str, shared: Path) -> None:
    places = [*SYSTEM, *SHARED, "/dev/init", "/lib64/ld-linux-x86-64.so.2"]
    places = [place for place in places if place in SHARED or place == "/dev/init" or os.path.exists(place)]
    ran = _while_a_task_runs(room, runtime, WATCH, *places, work=_neighbour(room, runtime))
    assert ran.out == "ready\nsaw\n"


@pytest.mark.skipif(not IS_ROOT_OF_THE_HOST, reason="only the host's root can make devices of a box's own")
def test_a_task_cannot_watch_who_opens_a_device(room: Room, runtime: str) -> None:
    def work() -> None:
        _use("/dev/urandom", "/dev/zero")
        _neighbour(room, runtime)()

    assert _while_a_task_runs(room, runtime, WATCH, *DEVICES, work=work).out == "ready\nsaw\n"


def test_a_task_cannot_watch_when_the_owner_changes_what_is_shared(room: Room, runtime: str, shared: Path) -> None:
    def work() -> None:
        (shared / "new").write_text("new")
        (shared / "file").write_text("changed")
        (shared / "new").unlink()

    assert _while_a_task_runs(room, runtime, WATCH, *SHARED, work=work).out == "ready\nsaw\n"


LOCK = """
for place in sys.argv[1:]:
    fcntl.flock(os.open(place, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
print("ready", flush=True)
while not os.path.exists("stop"):
    time.sleep(0.02)
"""


def _is_locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def test_a_lock_of_a_task_holds_up_nobody_else(room: Room, runtime: str, shared: Path) -> None:
    held: list[bool] = []
    places = {"/shared/file": shared / "file", "/shared": shared, "/usr/bin/env": Path("/usr/bin/env")}
    if IS_ROOT_OF_THE_HOST:
        places["/dev/zero"] = Path("/dev/zero")

    def work() -> None:
        held.extend(_is_locked(path) for path in places.values())

    _while_a_task_runs(room, runtime, LOCK, *places, work=work)
    assert held == [False] * len(places)
    with open(shared / "file") as holder:  # where no box is, such a lock does hold
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert _is_locked(shared / "file")


def test_a_lock_of_the_owner_is_not_seen_by_a_task(room: Room, runtime: str, shared: Path) -> None:
    with open(shared / "file") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        _while_a_task_runs(room, runtime, LOCK, "/shared/file", work=lambda: None)


@pytest.fixture
def planted(shared: Path) -> Iterator[socket.socket]:
    """What a program of the owner may leave among the shared resources: a socket, a pipe that is read, a device."""
    with socket.socket(socket.AF_UNIX) as listener:
        with contextlib.chdir(shared):  # the path of a socket has 108 bytes at most
            listener.bind("socket")
        listener.listen()
        listener.setblocking(False)
        os.mkfifo(shared / "pipe")
        if IS_ROOT_OF_THE_HOST:
            os.mknod(shared / "device", 0o20666, os.makedev(1, 3))
        for path in shared.iterdir():
            path.chmod(0o777)
        yield listener
    for name in ("socket", "pipe", "device"):
        (shared / name).unlink(missing_ok=True)


CONNECT = """
def answer(attack):
    try:
        attack()
        return "done"
    except OSError as error:
        return name_of(error)
print("ready", flush=True)
while not os.path.exists("stop"):
    time.sleep(0.02)
print(
    answer(lambda: connect(socket.AF_UNIX, "/shared/socket")),
    answer(lambda: os.write(os.open("/shared/pipe", os.O_WRONLY | os.O_NONBLOCK), b"attack")),
    answer(lambda: os.open("/shared/device", os.O_RDWR)),
)
"""


def test_a_socket_a_pipe_and_a_device_of_the_owner_lead_to_nobody(
    room: Room, runtime: str, shared: Path, planted: socket.socket
) -> None:
    reader = os.open(shared / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    ran = _while_a_task_runs(room, runtime, CONNECT, work=lambda: None)
    to_socket, to_pipe, to_device = ran.out.split()[1:]
    assert (to_socket, to_pipe) == ("ECONNREFUSED", "ENXIO")
    assert to_device in ("EROFS", "EACCES", "ENOENT")
    with pytest.raises(BlockingIOError):
        planted.accept()
    assert not select.select([reader], [], [], 0)[0]
    # Where no box is, both are reached.
    with socket.socket(socket.AF_UNIX) as client, contextlib.chdir(shared):
        client.connect("socket")
        planted.accept()[0].close()
    os.write(os.open(shared / "pipe", os.O_WRONLY | os.O_NONBLOCK), b"owner")
    assert os.read(reader, 10) == b"owner"
    os.close(reader)


MOUNTS = """
print("ready", flush=True)
while not os.path.exists("stop"):
    time.sleep(0.02)
print(open("/proc/self/mountinfo").read(), end="")
"""


def test_the_list_of_mounts_names_no_place_of_the_host_but_the_tasks_own(room: Room, runtime: str) -> None:
    lines = _while_a_task_runs(room, runtime, MOUNTS, work=lambda: None).out.splitlines()[1:]
    own = [line for line in lines if line.split()[4] == "/workspace"]
    assert len(own) == 1
    assert len(lines) > 10
    known = r"/|/(usr|bin|etc/alternatives|etc/ssl/certs|dev|proc|bus|fs|irq|sys|run/[a-z/-]*lan-session-manager)(/.*)?"
    for line in lines:
        if line in own:
            continue
        before, _, after = line.partition(" - ")
        root, (_, source, options) = before.split()[3], after.split(" ", 2)
        lower = [part for word in options.split(",") if "=/" in word for part in word.split("=")[1].split(":")]
        for path in (root, *lower, *([source] if source.startswith("/") else [])):
            assert re.fullmatch(known, path), line
        for name in (str(room.data_dir), room.data_dir.parent.name, "10_0_0_1", socket.gethostname()):
            assert name not in line


READ = """
print("ready", flush=True)
while not os.path.exists("stop"):
    time.sleep(0.02)
print(open("/shared/file").read(), open("/shared/new").read())
"""


def test_what_the_owner_shares_while_a_task_runs_is_there_for_it(room: Room, runtime: str, shared: Path) -> None:
    def work() -> None:
        (shared / "new").write_text("new")
        (shared / "file").write_text("changed")

    assert _while_a_task_runs(room, runtime, READ, work=work).out == "ready\nchanged new\n"
