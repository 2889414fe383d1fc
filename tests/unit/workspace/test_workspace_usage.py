import os
import time
from pathlib import Path

import pytest

from lan_session_manager.errors import LSMError
from lan_session_manager.workspace import Usage, Workspace, walk
from lan_session_manager.workspace.usage import measure

from .conftest import UID, put

KB = 1024


def usage(workspace: Workspace) -> Usage:
    with workspace.opened() as root:
        return measure(root)


def test_an_empty_workspace_takes_nothing(workspace: Workspace) -> None:
    assert usage(workspace) == Usage()
    workspace.write_facts({"total_tasks": 0})
    assert usage(workspace) == Usage()


def test_files_count_with_what_they_take_on_the_disk(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/a", b"x" * 8 * KB)
    put(disk / "outputs/b", b"x")
    put(disk / "temp/c/d", b"x" * 4 * KB)
    put(disk / "own", b"x" * 4 * KB)
    directory = (disk / "temp/c").stat().st_blocks * 512  # nothing on a tmpfs
    taken = (8 * KB, 4 * KB, 4 * KB + directory)
    assert usage(workspace) == Usage(sum(taken) + 4 * KB, 4, *taken, directories=1)
    with put(disk / "temp/sparse", b"").open("wb") as file:
        file.truncate(1 << 40)
    assert usage(workspace) == Usage(sum(taken) + 4 * KB, 5, *taken, directories=1)


def test_a_file_with_two_names_counts_once(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/a", b"x" * 8 * KB)
    os.link(disk / "inputs/a", disk / "inputs/b")
    found = usage(workspace)
    assert (found.bytes, found.files) == (8 * KB, 1)


def test_what_a_task_puts_in_the_place_of_the_facts_counts(workspace: Workspace, disk: Path) -> None:
    put(disk / "session.json", b"x" * 100 * KB)
    assert usage(workspace).bytes == 100 * KB


def test_nothing_is_counted_behind_a_link(workspace: Workspace, disk: Path, tmp_path: Path) -> None:
    put(tmp_path / "outside/big", b"x" * 100 * KB)
    (disk / "inputs/way").symlink_to(tmp_path / "outside")
    (disk / "inputs/round").symlink_to("..")
    (disk / "temp").rmdir()
    (disk / "temp").symlink_to(tmp_path / "outside")
    found = usage(workspace)
    assert found.bytes < 100 * KB
    assert found.files == 3


def test_a_directory_that_becomes_a_link_while_it_is_walked_is_not_followed(
    workspace: Workspace, disk: Path, canary: Path
) -> None:
    put(disk / "temp/a")
    found = []
    with workspace.opened() as root:
        for path, _ in walk.Walk(root):
            found.append(path)
            if path == b"temp":
                os.rename("temp", "moved", src_dir_fd=root, dst_dir_fd=root)
                os.symlink(canary, "temp", dir_fd=root)
    assert not {b"temp/secret", b"temp/a"} & set(found)


def test_more_than_a_scan_looks_at_is_said(workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usage(workspace).complete
    put(disk / "temp" / "/".join("d" * 62) / "bottom")
    assert usage(workspace).complete
    put(disk / "temp" / "/".join("d" * 64) / "bottom", b"x" * 100 * KB)
    assert not usage(workspace).complete


def test_more_entries_than_a_scan_looks_at_are_said(workspace: Workspace, disk: Path) -> None:
    for n in range(5):
        put(disk / f"temp/{n}")
    with workspace.opened() as root:
        cut = walk.Walk(root, 7)
        assert len(list(cut)) == 7
        assert not cut.complete
        whole = walk.Walk(root, 8)
        assert len(list(whole)) == 8
        assert whole.complete


def test_the_outputs_of_a_task_are_those_that_changed_since_it_began(workspace: Workspace, disk: Path) -> None:
    put(disk / "outputs/old")
    put(disk / "outputs/changed")
    time.sleep(0.1)
    since = time.time()
    put(disk / "outputs/b/new", b"12345")
    os.utime(disk / "outputs/b/new", (0, 0))  # whatever time a task gives it
    with (disk / "outputs/changed").open("ab") as file:
        file.write(b"+")
    put(disk / "inputs/elsewhere")
    (disk / "outputs/link").symlink_to("changed")
    os.mkfifo(disk / "outputs/pipe")
    name = os.fsencode(disk) + b"/outputs/\xff"
    Path(os.fsdecode(name)).touch()
    assert workspace.outputs_since(since) == (
        [("outputs/b/new", 5), ("outputs/changed", 5), ("outputs/\uefff", 0)],
        3,
    )
    assert workspace.outputs_since(since, 1) == ([("outputs/b/new", 5)], 3)
    assert workspace.outputs_since(0)[1] == 4
    assert workspace.outputs_since(time.time() + 10) == ([], 0)


def test_outputs_that_are_no_directory_are_an_error_for_the_caller(
    workspace: Workspace, disk: Path, canary: Path
) -> None:
    (disk / "outputs").rmdir()
    with pytest.raises(LSMError):
        workspace.outputs_since(0)
    (disk / "outputs").symlink_to(canary)
    with pytest.raises(LSMError):
        workspace.outputs_since(0)
    (disk / "outputs").unlink()
    os.mkfifo(disk / "outputs")
    os.chown(disk / "outputs", UID, UID)
    with pytest.raises(LSMError):
        workspace.outputs_since(0)
