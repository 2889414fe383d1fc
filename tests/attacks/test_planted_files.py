"""A task leaves links, pipes, devices and strange trees for the server: it reads and changes nothing outside for them.

A task plants them in a real box; then the server's own file room works on them, as root.
"""

import asyncio
import contextlib
import io
import json
import os
import stat
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.errors import ConflictError, LSMError, SecurityError
from lan_session_manager.sandbox.box import RANGE_SIZE, TASK_UID, user_range
from lan_session_manager.states import Reason
from lan_session_manager.workspace import Workspace, Workspaces
from lan_session_manager.workspace.archive import archive
from lan_session_manager.workspace.download import Download
from lan_session_manager.workspace.listing import EntryType, list_directory
from lan_session_manager.workspace.paths import parse_path
from lan_session_manager.workspace.remove import remove
from lan_session_manager.workspace.upload import Upload
from lan_session_manager.workspace.usage import Quota, measure
from tests.attacks.tries import HELPERS, run_python, wait_for_words
from tests.integration.sandbox.room import FIRST_SLOT, MB, Room

pytestmark = pytest.mark.root

SECRET = b"the canary's song"
BASE = user_range(FIRST_SLOT)
ROOMY = Quota(bytes=1 << 40, files=1 << 40)


class Outside:
    """A directory of the host that nobody may read or change through a workspace."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "sub").mkdir(parents=True)
        (path / "secret").write_bytes(SECRET)
        (path / "sub" / "secret").write_bytes(SECRET)
        self.before = self.facts()

    def facts(self) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        for path in (self.path, *sorted(self.path.rglob("*"))):
            info = path.lstat()
            found.append((path.name, info.st_ino, info.st_mode, info.st_uid, info.st_size, info.st_mtime_ns))
        return [*found, ((self.path / "secret").read_bytes(),)]


@dataclass(frozen=True)
class Planted:
    """A workspace that the server has made and a task may spoil."""

    room: Room
    runtime: str
    workspace: Workspace
    outside: Outside

    def by_task(self, program: str) -> str:
        """Have a task plant something; what it printed."""
        ran = run_python(self.room, program, str(self.outside.path), runtime=self.runtime)
        assert ran.code == 0, ran
        return ran.out

    def refused(self, work: Callable[[], object], *kinds: type[LSMError]) -> None:
        """The server refuses, with one of these errors, and nothing outside has changed."""
        with pytest.raises(LSMError) as caught:
            work()
        assert isinstance(caught.value, kinds), repr(caught.value)
        assert str(self.outside.path) not in str(caught.value)
        self.unchanged()

    def unchanged(self) -> None:
        assert self.outside.facts() == self.outside.before

    def read(self, path: str) -> bytes:
        with Download(self.workspace, parse_path(path)) as opened:
            return b"".join(opened.read())


@pytest.fixture
def planted(room: Room, runtime: str, tmp_path: Path) -> Planted:
    workspaces = Workspaces(room.data_dir)
    workspaces.prepare()
    room.workspace()
    workspace = workspaces.workspace("10_0_0_1", BASE + TASK_UID, range(BASE, BASE + RANGE_SIZE))
    with contextlib.suppress(FileNotFoundError):
        for entry in list_directory(workspace, ()).entries:
            os.rename(room.workspace() / entry.name, tmp_path / entry.name)
    workspace.create()
    return Planted(room, runtime, workspace, Outside(tmp_path / "outside"))


def test_outputs_that_are_a_link_to_the_host_are_not_followed(planted: Planted) -> None:
    planted.by_task("os.rmdir('outputs'); os.symlink(sys.argv[1], 'outputs')")
    planted.refused(lambda: list_directory(planted.workspace, ("outputs",)), SecurityError)
    planted.refused(lambda: planted.read("outputs/secret"), SecurityError)
    planted.refused(lambda: planted.workspace.outputs_since(0), SecurityError)
    planted.workspace.create()
    assert list_directory(planted.workspace, ("outputs",)).entries == ()
    planted.unchanged()


@pytest.mark.parametrize(
    "target", ["sys.argv[1] + '/secret'", "'/proc/self/root' + sys.argv[1] + '/secret'", "'/etc/passwd'"]
)
def test_a_link_to_a_file_of_the_host_is_not_downloaded(planted: Planted, target: str) -> None:
    planted.by_task(f"os.symlink({target}, 'outputs/link')")
    planted.refused(lambda: planted.read("outputs/link"), SecurityError)


def test_a_link_to_a_directory_of_the_host_is_not_walked(planted: Planted) -> None:
    planted.by_task("os.symlink(sys.argv[1], 'outputs/way'); os.symlink('../' * 30, 'outputs/up')")
    for path in ("outputs/way/secret", "outputs/way/sub/secret", f"outputs/up{planted.outside.path}/secret"):
        planted.refused(lambda path=path: planted.read(path), SecurityError)  # type: ignore[misc]
    planted.refused(lambda: list_directory(planted.workspace, ("outputs", "way")), SecurityError)


CONTROL_FILES = """
facts = {"session_id": "another", "ip": "127.0.0.1", "permissions": {"role": "admin"}}
for name in ("session.json", "settings.toml", "admin-token", "exit", "log", "ctl", "attach", "box.pid", "monitor.pid"):
    for place in (".", ".lan_session_manager", "boxes", "exits", "inputs"):
        os.makedirs(place, exist_ok=True)
        with open(f"{place}/{name}", "w") as file:
            json.dump(facts, file)
print("planted", flush=True)
os._exit(3)
"""


def test_files_with_the_names_of_the_servers_own_are_files_like_any_other(planted: Planted) -> None:
    state_dir = planted.room.data_dir / ".lan_session_manager"
    before = {path.name for path in state_dir.iterdir()}
    ran = run_python(planted.room, CONTROL_FILES, runtime=planted.runtime)
    assert (ran.ending.reason, ran.code, ran.out) == (Reason.EXIT, 3, "planted\n")
    assert {path.name for path in state_dir.iterdir()} == before
    planted.workspace.write_facts({"session_id": "own"})
    assert json.loads((planted.room.workspace() / "session.json").read_text()) == {"session_id": "own"}
    again = run_python(planted.room, "print('again')", runtime=planted.runtime)
    assert (again.code, again.out) == (0, "again\n")


def test_session_json_that_is_a_link_is_replaced_and_its_target_kept(planted: Planted) -> None:
    planted.by_task("os.symlink(sys.argv[1] + '/secret', 'session.json')")
    planted.workspace.write_facts({"session_id": "own"})
    planted.unchanged()
    written = planted.room.workspace() / "session.json"
    assert not written.is_symlink()
    assert json.loads(written.read_text()) == {"session_id": "own"}


def test_session_json_that_is_a_directory_is_moved_aside(planted: Planted) -> None:
    planted.by_task("os.mkdir('session.json'); open('session.json/kept', 'w').close()")
    planted.workspace.write_facts({"session_id": "own"})
    assert json.loads((planted.room.workspace() / "session.json").read_text()) == {"session_id": "own"}
    assert (planted.room.workspace() / "session.json.1" / "kept").exists()


def test_an_upload_replaces_a_link_and_not_what_it_names(planted: Planted) -> None:
    planted.by_task("os.symlink(sys.argv[1] + '/secret', 'inputs/data')")
    with Upload(planted.workspace, parse_path("inputs/data"), limit_bytes=MB, quota=ROOMY, reserve_bytes=0) as arriving:
        arriving.write(b"from a client")
        arriving.commit()
    planted.unchanged()
    assert planted.read("inputs/data") == b"from a client"


def test_an_upload_does_not_go_through_a_directory_that_is_a_link(planted: Planted) -> None:
    planted.by_task("os.rmdir('inputs'); os.symlink(sys.argv[1], 'inputs')")

    def upload() -> None:
        with Upload(
            planted.workspace, parse_path("inputs/new"), limit_bytes=MB, quota=ROOMY, reserve_bytes=0
        ) as arriving:
            arriving.write(b"from a client")
            arriving.commit()

    planted.refused(upload, SecurityError, ConflictError)
    assert not (planted.outside.path / "new").exists()


def test_what_is_removed_is_the_link_and_never_its_target(planted: Planted) -> None:
    planted.by_task(
        "os.symlink(sys.argv[1] + '/secret', 'outputs/link')\n"
        "os.makedirs('outputs/tree/deep')\n"
        "os.symlink(sys.argv[1], 'outputs/tree/deep/way')\n"
        "os.symlink(sys.argv[1] + '/sub', 'outputs/tree/sub')"
    )
    remove(planted.workspace, parse_path("outputs/link"))
    remove(planted.workspace, parse_path("outputs/tree"))
    assert list_directory(planted.workspace, ("outputs",)).entries == ()
    planted.unchanged()


def test_an_archive_has_nothing_that_a_link_names(planted: Planted) -> None:
    planted.by_task(
        "os.symlink(sys.argv[1], 'outputs/way'); os.symlink(sys.argv[1] + '/secret', 'outputs/secret')\n"
        "os.symlink('.', 'outputs/loop'); open('outputs/own', 'w').write('own')"
    )
    data = b"".join(archive(planted.workspace, ("outputs",)))
    assert SECRET not in data
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        assert [name.rpartition("/")[2] for name in made.namelist() if not name.endswith("/")] == ["own"]
        assert made.testzip() is None


SPECIAL = """
os.mkfifo('outputs/pipe')
made = socket.socket(socket.AF_UNIX)
made.bind('outputs/socket')
try:
    os.mknod('outputs/device', 0o20666, 0)  # a whiteout: the one device that everybody may make
except PermissionError:
    os.mkfifo('outputs/device')
"""


@pytest.mark.parametrize("name", ["pipe", "socket", "device"])
def test_a_pipe_a_socket_and_a_device_are_never_opened_and_nobody_waits_for_them(planted: Planted, name: str) -> None:
    planted.by_task(SPECIAL)
    planted.refused(lambda: planted.read(f"outputs/{name}"), ConflictError)
    assert {entry.type for entry in list_directory(planted.workspace, ("outputs",)).entries} == {EntryType.OTHER}
    assert SECRET not in b"".join(archive(planted.workspace, ("outputs",)))
    remove(planted.workspace, parse_path(f"outputs/{name}"))


def test_a_hard_link_to_another_users_file_is_not_the_sessions(planted: Planted) -> None:
    # A task cannot make one; an older kernel's task, or a careless host, could.
    os.link(planted.outside.path / "secret", planted.room.workspace() / "outputs" / "hard")
    planted.outside.before = planted.outside.facts()
    planted.by_task("os.rename('outputs/hard', 'outputs/renamed')")
    planted.refused(lambda: planted.read("outputs/renamed"), ConflictError)
    assert SECRET not in b"".join(archive(planted.workspace, ("outputs",)))
    assert (planted.outside.path / "secret").stat().st_uid == 0


def test_a_sparse_file_counts_as_what_it_takes(planted: Planted) -> None:
    planted.by_task("open('outputs/sparse', 'w').truncate(60 << 20)")
    with planted.workspace.opened() as root:
        assert measure(root).bytes < MB


def test_names_made_to_confuse_are_told_so_that_they_can_be_read_and_found_again(planted: Planted) -> None:
    planted.by_task(
        "for name in (\n"
        "    b'a\\nb', b'\\xff\\xfe', b'\\x1b[2Jx', b'..\\\\up', b'<img src=x>', '\\u202etxt.exe'.encode(), b' '\n"
        "):\n"
        "    open(b'outputs/' + name, 'w').write('own')"
    )
    entries = list_directory(planted.workspace, ("outputs",)).entries
    assert len(entries) == 7
    for entry in entries:
        json.dumps(entry.name).encode()
        assert planted.read(f"outputs/{entry.name}") == b"own"


def test_a_tree_deeper_than_any_path_is_measured_and_removed(planted: Planted) -> None:
    # Deeper than a function may call itself, and longer by its path than the kernel takes one.
    planted.by_task("os.chdir('outputs')\nfor _ in range(1200):\n    os.mkdir('deep')\n    os.chdir('deep')")
    with planted.workspace.opened() as root:
        measure(root)
    with contextlib.suppress(LSMError):
        planted.workspace.outputs_since(0)
    remove(planted.workspace, parse_path("outputs/deep"))
    assert list_directory(planted.workspace, ("outputs",)).entries == ()


def test_a_task_that_opens_or_locks_its_workspace_changes_nothing_for_the_server(planted: Planted) -> None:
    planted.by_task("open('outputs/own', 'w').write('own'); os.chmod('outputs', 0); os.chmod('/workspace', 0o777)")
    assert stat.S_IMODE(planted.room.data_dir.stat().st_mode) == 0o700  # nobody else comes as far as the workspace
    assert planted.read("outputs/own") == b"own"
    planted.workspace.create()
    assert stat.S_IMODE(planted.room.workspace().stat().st_mode) == 0o700


def test_a_task_that_holds_a_lease_on_its_file_does_not_hold_the_server(planted: Planted) -> None:
    program = """
own = os.open("outputs/own", os.O_CREAT | os.O_RDWR)
os.write(own, b"own")
signal.signal(signal.SIGIO, signal.SIG_IGN)
fcntl.fcntl(own, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
time.sleep(40)
"""
    job = planted.room.job("/usr/bin/python3", "-c", HELPERS + program)

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        assert "leased" in await wait_for_words(engine, job, "leased")
        begun = time.monotonic()
        with contextlib.suppress(LSMError):
            planted.read("outputs/own")
        assert time.monotonic() - begun < 30  # a lease is broken by force after 45 s (/proc/sys/fs/lease-break-time)
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        await asyncio.wait_for(engine.ended(job.task_id), 20)

    planted.room.with_engine(work, planted.runtime)


def test_inputs_that_become_a_link_while_the_server_lists_them_show_nothing(planted: Planted) -> None:
    program = """
os.mkdir("inputs/own-directory")
os.symlink(sys.argv[1], "way")
swap = ctypes.CDLL(None).renameat2
print("swaps", flush=True)
signal.alarm(30)
while True:
    swap(-100, b"way", -100, b"inputs", 2)  # AT_FDCWD, RENAME_EXCHANGE
"""
    job = planted.room.job("/usr/bin/python3", "-c", HELPERS + program, str(planted.outside.path))
    seen: dict[str, int] = {}

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        assert "swaps" in await wait_for_words(engine, job, "swaps")
        end = time.monotonic() + 20
        while time.monotonic() < end and (len(seen) < 2 or sum(seen.values()) < 1000):
            try:
                names = [entry.name for entry in list_directory(planted.workspace, ("inputs",)).entries]
            except LSMError as error:
                names = [error.code]
            for name in names:
                seen[name] = seen.get(name, 0) + 1
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        await asyncio.wait_for(engine.ended(job.task_id), 20)

    planted.room.with_engine(work, planted.runtime)
    assert seen.keys() == {"own-directory", SecurityError.code}  # both were met, and nothing else
    planted.unchanged()
