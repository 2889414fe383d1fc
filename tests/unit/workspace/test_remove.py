import os
import resource
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from lan_session_manager.errors import ConflictError, NotFoundError, QuotaError, SecurityError, TooManyFilesError
from lan_session_manager.workspace import Quota, Workspace
from lan_session_manager.workspace.emptying import _Emptying
from lan_session_manager.workspace.owner import acting_as
from lan_session_manager.workspace.paths import parse_new_path
from lan_session_manager.workspace.remove import make_directory, remove

from .conftest import UID, put

ROOMY = Quota(1 << 40, 1 << 40)


def delete(workspace: Workspace, text: str) -> None:
    remove(workspace, parse_new_path(text))


def test_a_file_a_link_and_a_pipe_are_deleted_themselves(workspace: Workspace, disk: Path, canary: Path) -> None:
    put(disk / "inputs/file")
    (disk / "inputs/link").symlink_to(canary / "secret")
    (disk / "inputs/way").symlink_to(canary)
    os.link(canary / "secret", disk / "inputs/hard")
    os.mkfifo(disk / "inputs/pipe")
    for name in ("file", "link", "way", "hard", "pipe"):
        delete(workspace, f"inputs/{name}")
    assert os.listdir(disk / "inputs") == []


def test_a_directory_is_deleted_with_everything_in_it_and_nothing_behind_its_links(
    workspace: Workspace, disk: Path, canary: Path
) -> None:
    for n in range(20):
        put(disk / f"outputs/run/{n}/deep/file")
        (disk / f"outputs/run/{n}/link").symlink_to(canary)
        os.link(canary / "secret", disk / f"outputs/run/{n}/hard")
    put(disk / "outputs/kept")
    delete(workspace, "outputs/run")
    assert os.listdir(disk / "outputs") == ["kept"]


@pytest.mark.parametrize("top", ["inputs", "outputs", "temp"])
def test_the_three_directories_are_emptied_and_stay(workspace: Workspace, disk: Path, top: str) -> None:
    put(disk / top / "a/b")
    put(disk / top / "c")
    before = (disk / top).stat().st_ino
    delete(workspace, top)
    assert os.listdir(disk / top) == []
    assert (disk / top).stat().st_ino == before


def test_a_link_in_the_place_of_one_of_the_three_is_not_emptied(workspace: Workspace, disk: Path, canary: Path) -> None:
    (disk / "temp").rmdir()
    (disk / "temp").symlink_to(canary)
    with pytest.raises(SecurityError):
        delete(workspace, "temp")


def test_nothing_is_deleted_behind_a_link(workspace: Workspace, disk: Path, canary: Path) -> None:
    (disk / "inputs/way").symlink_to(canary)
    with pytest.raises(SecurityError):
        delete(workspace, "inputs/way/secret")


def test_a_directory_that_becomes_a_link_after_it_was_looked_at_is_not_emptied(
    workspace: Workspace, disk: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk / "temp/swapped/file")
    actual = os.stat
    swaps = [True]

    def then_swapped(path: int | bytes, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        found = actual(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        if path == b"swapped" and swaps:
            swaps.clear()
            os.rename("swapped", "moved", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.symlink(canary, "swapped", dir_fd=dir_fd)
        return found

    monkeypatch.setattr(os, "stat", then_swapped)
    delete(workspace, "temp/swapped")
    assert sorted(os.listdir(disk / "temp")) == ["moved"]


def test_a_directory_below_that_becomes_a_link_is_not_emptied(
    workspace: Workspace, disk: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk / "temp/all/swapped/file")
    actual = _Emptying._sweep

    def then_swapped(emptying: _Emptying, fd: int) -> list[bytes]:
        waiting = actual(emptying, fd)
        if waiting == [b"swapped"]:
            os.rename("swapped", "../moved", src_dir_fd=fd, dst_dir_fd=fd)
            os.symlink(canary, "swapped", dir_fd=fd)
        return waiting

    monkeypatch.setattr(_Emptying, "_sweep", then_swapped)
    delete(workspace, "temp/all")
    assert os.listdir(disk / "temp") == ["moved"]


def test_what_is_missing_is_not_found(workspace: Workspace) -> None:
    for text in ("inputs/no", "no", "no/no"):
        with pytest.raises(NotFoundError):
            delete(workspace, text)


def test_directories_far_deeper_than_any_path_are_deleted(workspace: Workspace, disk: Path) -> None:
    at = os.open(disk / "temp", os.O_RDONLY)
    for n in range(3000):
        os.mkdir("d", dir_fd=at)
        os.chown("d", UID, UID, dir_fd=at)
        if n % 100 == 0:
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        step = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = step
    os.close(at)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        delete(workspace, "temp/d")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    delete(workspace, "temp")
    assert os.listdir(disk / "temp") == []


def test_more_directories_than_are_remembered_are_deleted(
    workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lan_session_manager.workspace.emptying._WAITING", 7)
    for n in range(40):
        put(disk / f"temp/all/{n}/{n}/file")
    delete(workspace, "temp/all")
    assert os.listdir(disk / "temp") == []


def test_a_task_that_writes_on_and_on_is_not_waited_for(
    workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lan_session_manager.workspace.emptying._BUDGET", 2_000)
    put(disk / "temp/busy/file")
    stop = threading.Event()
    temp = os.open(disk / "temp", os.O_RDONLY)

    def write() -> None:
        number = 0
        with acting_as(workspace.owner):
            while not stop.is_set():
                number += 1
                try:
                    os.mkdir(f"busy/{number}", dir_fd=temp)
                except FileNotFoundError:
                    with suppress(FileExistsError):
                        os.mkdir("busy", dir_fd=temp)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            with suppress(ConflictError, NotFoundError):
                delete(workspace, "temp/busy")
    finally:
        stop.set()
        writer.join()
        os.close(temp)
    monkeypatch.undo()
    delete(workspace, "temp")
    assert os.listdir(disk / "temp") == []


def test_more_than_can_be_deleted_at_once_is_said_and_can_be_deleted_in_turns(
    workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lan_session_manager.workspace.emptying._BUDGET", 30)
    for n in range(50):
        put(disk / f"temp/all/{n}")
    with pytest.raises(ConflictError, match="Delete again"):
        delete(workspace, "temp/all")
    delete(workspace, "temp/all")
    assert os.listdir(disk / "temp") == []


def test_a_directory_is_made_with_those_on_the_way(workspace: Workspace, disk: Path) -> None:
    make_directory(workspace, ("inputs", "a", "b"), ROOMY)
    make_directory(workspace, ("inputs", "a", "b"), ROOMY)
    info = (disk / "inputs/a/b").stat()
    assert (info.st_uid, info.st_mode & 0o777) == (UID, 0o700)
    put(disk / "inputs/file")
    with pytest.raises(ConflictError):
        make_directory(workspace, ("inputs", "file"), ROOMY)


def test_no_directory_is_made_behind_a_link(workspace: Workspace, disk: Path, canary: Path) -> None:
    (disk / "inputs/way").symlink_to(canary)
    for path in (("inputs", "way"), ("inputs", "way", "new")):
        with pytest.raises(SecurityError):
            make_directory(workspace, path, ROOMY)


def test_directories_take_a_part_of_the_quota(workspace: Workspace, disk: Path) -> None:
    quota = Quota(1 << 20, 3)
    make_directory(workspace, ("inputs", "a", "b"), quota)
    with pytest.raises(TooManyFilesError):
        make_directory(workspace, ("inputs", "c", "d"), quota)
    assert os.listdir(disk / "inputs") == ["a"]
    make_directory(workspace, ("inputs", "c"), quota)
    make_directory(workspace, ("inputs", "a", "b"), quota)  # it is there: nothing is added
    workspace.meter.scan()
    with pytest.raises(TooManyFilesError):
        make_directory(workspace, ("temp", "d"), quota)
    delete(workspace, "inputs/a")
    workspace.meter.scan()
    make_directory(workspace, ("temp", "d"), quota)
    with pytest.raises(QuotaError):
        make_directory(workspace, ("temp", "e"), Quota(4096, 1000))


def test_a_directory_that_could_not_be_made_takes_nothing_of_the_quota(workspace: Workspace, disk: Path) -> None:
    put(disk / "temp/locked/file", uid=UID + 1)
    for _ in range(5):
        with pytest.raises(ConflictError):
            make_directory(workspace, ("temp", "locked", "a"), Quota(1 << 20, 3))
    with pytest.raises(TooManyFilesError):
        make_directory(workspace, ("temp", "b"), Quota(1 << 20, 2))
    make_directory(workspace, ("temp", "b"), Quota(1 << 20, 3))
