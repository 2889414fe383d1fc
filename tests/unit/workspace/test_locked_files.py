"""A session locks its own files (chmod 0): they are still shown, counted and deleted for it."""

import io
import os
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lan_session_manager.errors import ConflictError
from lan_session_manager.workspace import Quota, Workspace, Workspaces
from lan_session_manager.workspace.archive import archive
from lan_session_manager.workspace.download import Download
from lan_session_manager.workspace.listing import list_directory
from lan_session_manager.workspace.owner import acting_as
from lan_session_manager.workspace.paths import parse_path
from lan_session_manager.workspace.remove import make_directory, remove
from lan_session_manager.workspace.upload import Upload

from .conftest import NAME, put

pytestmark = pytest.mark.usefixtures("way")

MODES = [0o000, 0o100, 0o400, 0o200, 0o500]
ROOMY = Quota(1 << 40, 1 << 40)


def lock(disk: Path, mode: int = 0) -> None:
    """Everything below outputs/, and outputs/ itself."""
    for path in (*(disk / "outputs").rglob("*"), disk / "outputs"):
        if not path.is_symlink():
            path.chmod(mode)


@pytest.fixture(params=MODES, ids=oct)
def tree(request: pytest.FixtureRequest, disk: Path) -> Path:
    """Locked files and directories in outputs/, in one of the ways."""
    put(disk / "outputs/a/b/file", b"x" * 5000)
    put(disk / "outputs/top", b"x" * 100)
    (disk / "outputs/a/link").symlink_to("b/file")
    lock(disk, request.param)
    return disk / "outputs"


def test_they_are_downloaded(workspace: Workspace, tree: Path) -> None:
    with Download(workspace, parse_path("outputs/a/b/file")) as opened:
        assert opened.size == 5000
        assert b"".join(opened.read()) == b"x" * 5000


def test_they_are_listed(workspace: Workspace, tree: Path) -> None:
    assert [entry.name for entry in list_directory(workspace, ("outputs",)).entries] == ["a", "top"]
    assert [entry.name for entry in list_directory(workspace, ("outputs", "a", "b")).entries] == ["file"]


def test_they_are_in_an_archive(workspace: Workspace, tree: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(archive(workspace, ("outputs",))))) as made:
        assert sorted(made.namelist()) == ["outputs/a/", "outputs/a/b/", "outputs/a/b/file", "outputs/top"]


def test_they_are_counted_and_left_as_they_are(workspace: Workspace, tree: Path) -> None:
    before = {path: path.lstat().st_mode for path in (tree, *tree.rglob("*"))}
    found = workspace.meter.scan()
    assert (found.files, found.directories, found.complete) == (3, 2, True)
    assert found.outputs_bytes >= 8192 + 4096
    assert {path: path.lstat().st_mode for path in before} == before


def test_what_is_new_among_them_is_found(workspace: Workspace, tree: Path) -> None:
    assert [path for path, _ in workspace.outputs_since(0)[0]] == ["outputs/a/b/file", "outputs/top"]


def test_they_are_deleted_one_by_one_and_together(workspace: Workspace, tree: Path) -> None:
    remove(workspace, parse_path("outputs/a/b/file"))
    assert not (tree / "a/b/file").exists()
    remove(workspace, parse_path("outputs/a"))
    assert os.listdir(tree) == ["top"]
    remove(workspace, parse_path("outputs"))
    assert os.listdir(tree) == []


def test_a_locked_tree_deeper_than_what_is_held_open_is_deleted(workspace: Workspace, disk: Path) -> None:
    put(disk / "outputs" / "/".join("d" * 60) / "file")
    lock(disk)
    remove(workspace, ("outputs",))
    assert os.listdir(disk / "outputs") == []


def test_something_can_be_put_among_them(workspace: Workspace, tree: Path) -> None:
    make_directory(workspace, parse_path("outputs/a/new"), ROOMY)
    for path in ("outputs/a/b/new", "outputs/a/b/file", "outputs/top"):
        with Upload(workspace, parse_path(path), limit_bytes=10, quota=ROOMY, reserve_bytes=0) as arriving:
            arriving.write(b"new")
            arriving.commit()
        assert (tree.parent / path).read_bytes() == b"new"
    assert (tree / "a/new").is_dir()


def test_a_locked_workspace_is_opened_again(workspaces: Workspaces, workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/a", b"data")
    disk.chmod(0)
    assert workspaces.is_inside(NAME, "inputs/a")
    workspace.write_facts({"total_tasks": 1})
    assert (disk / "session.json").exists()
    disk.chmod(0)
    with Download(workspace, parse_path("inputs/a")) as opened:
        assert b"".join(opened.read()) == b"data"
    (disk / "temp").rmdir()
    disk.chmod(0)
    workspace.create()
    assert (disk / "temp").is_dir()


def test_locked_paths_are_inside(workspaces: Workspaces, tree: Path) -> None:
    assert workspaces.is_inside(NAME, "outputs/a/b/file")
    assert not workspaces.is_inside(NAME, "outputs/a/link")


@pytest.fixture
def locker(workspace: Workspace, disk: Path) -> Iterator[None]:
    """A task that locks outputs/ and what is in it as fast as it can."""
    for number in range(20):
        put(disk / f"outputs/{number}/file", b"x" * 100_000)
    directory = os.open(disk / "outputs", os.O_RDONLY)
    stop = threading.Event()

    def lock_all() -> None:
        with acting_as(workspace.owner):
            while not stop.is_set():
                os.fchmod(directory, 0o700)
                for number in range(20):
                    with suppress(FileNotFoundError):
                        os.chmod(str(number), 0, dir_fd=directory)
                os.fchmod(directory, 0)

    thread = threading.Thread(target=lock_all)
    thread.start()
    yield
    stop.set()
    thread.join()
    os.close(directory)
    remove(workspace, ("outputs",))
    assert os.listdir(disk / "outputs") == []


@pytest.mark.usefixtures("locker")
def test_a_task_that_locks_again_and_again_hides_nothing_from_its_quota(workspace: Workspace) -> None:
    for _ in range(50):
        found = workspace.meter.scan()
        assert (found.files, found.directories, found.complete) == (20, 20, True)
        assert found.bytes >= 20 * 100_000


@pytest.mark.usefixtures("locker")
def test_deleting_what_a_task_locks_meanwhile_ends(workspace: Workspace) -> None:
    for _ in range(5):
        with suppress(ConflictError):
            remove(workspace, ("outputs",))
