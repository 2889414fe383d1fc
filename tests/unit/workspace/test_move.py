"""Renaming within a workspace: never over anything, never out of it, whatever the names are."""

import ctypes
import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lan_session_manager.errors import ConflictError, LSMError, NotFoundError, ReadOnlyError, SecurityError
from lan_session_manager.workspace import Workspace, Workspaces, renaming
from lan_session_manager.workspace.move import move
from lan_session_manager.workspace.paths import parse_new_path, parse_path, shown
from tests.unit.workspace.conftest import NAME, UID, put


def _move(workspace: Workspace, source: str, target: str) -> None:
    move(workspace, parse_path(source), parse_new_path(target))


def test_files_folders_and_links_get_other_names(workspace: Workspace, disk: Path, canary: Path, way: str) -> None:
    put(disk / "inputs/a.txt", b"1")
    put(disk / "inputs/deep/b.txt", b"2")
    (disk / "temp/link").symlink_to(canary)
    _move(workspace, "inputs/a.txt", "inputs/b.txt")
    _move(workspace, "inputs/deep", "outputs/flat")
    _move(workspace, "temp/link", "temp/other")
    assert (disk / "inputs/b.txt").read_bytes() == b"1"
    assert (disk / "outputs/flat/b.txt").read_bytes() == b"2"
    assert (disk / "temp/other").is_symlink()


@pytest.mark.parametrize("flag", [True, False])
def test_nothing_is_replaced(
    workspace: Workspace, disk: Path, canary: Path, flag: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not flag:

        class NoFlag:
            @staticmethod
            def renameat2(*_: object) -> int:
                ctypes.set_errno(errno.EINVAL)
                return -1

        monkeypatch.setattr(renaming, "_libc", NoFlag)
    put(disk / "inputs/a.txt", b"1")
    put(disk / "inputs/folder/x", b"2")
    put(disk / "inputs/taken", b"3")
    put(disk / "inputs/full/y", b"4")
    (disk / "inputs/link").symlink_to(canary / "nothing")
    for source in ("inputs/a.txt", "inputs/folder"):
        for target in ("inputs/taken", "inputs/full", "inputs/link"):
            with pytest.raises(ConflictError):
                _move(workspace, source, target)
    assert sorted(path.name for path in (disk / "inputs").iterdir()) == ["a.txt", "folder", "full", "link", "taken"]
    _move(workspace, "inputs/a.txt", "inputs/b.txt")
    _move(workspace, "inputs/folder", "inputs/other")
    assert (disk / "inputs/b.txt").read_bytes() + (disk / "inputs/other/x").read_bytes() == b"12"


@pytest.mark.parametrize("target", ["inputs/d", "inputs/d/d", "inputs/d/new/d", "inputs/d/deep/e"])
def test_a_folder_does_not_go_into_itself(workspace: Workspace, disk: Path, target: str) -> None:
    put(disk / "inputs/d/deep/x")
    with pytest.raises(ConflictError):
        _move(workspace, "inputs/d", target)
    assert (disk / "inputs/d/deep/x").exists()


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("inputs", "temp/inputs"), ("inputs/a", "outputs"), ("inputs/a", "session.json"), ("", "inputs/x"),
        ("session.json", "inputs/x"), ("inputs/../../x", "inputs/x"), ("inputs/a", "../x"), ("inputs/a", "inputs/a\n"),
        ("inputs/a", "inputs/" + "x" * 256), ("inputs/a", "inputs/nothing/x"), ("inputs/none", "inputs/x"),
        ("inputs/a", "inputs/a/b"), ("inputs/a/b", "inputs/x"),
    ],
)  # fmt: skip
def test_what_may_not_be_moved_stays(workspace: Workspace, disk: Path, source: str, target: str) -> None:
    put(disk / "inputs/a", b"1")
    with pytest.raises(LSMError):
        _move(workspace, source, target)
    assert (disk / "inputs/a").read_bytes() == b"1"


def test_whatever_bytes_a_task_named_it_by(workspace: Workspace, disk: Path) -> None:
    for name in (b"a\nb", b"\xff\xfe", b"x" * 255, b"-rf", b" "):
        path = os.fsencode(disk / "inputs") + b"/" + name
        put(Path(os.fsdecode(path)), b"whale")
        _move(workspace, f"inputs/{shown(name)}", "inputs/plain")
        assert (disk / "inputs/plain").read_bytes() == b"whale"
        (disk / "inputs/plain").unlink()


def test_what_is_locked_is_moved(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/d/x")
    (disk / "inputs/d").chmod(0)
    (disk / "outputs").chmod(0o500)
    _move(workspace, "inputs/d", "outputs/d")
    assert (disk / "outputs/d/x").exists()


def test_shared_resources_stay(workspace: Workspace) -> None:
    shared = Workspaces(workspace.data_dir).shared(workspace.owner)
    put(workspace.data_dir / "shared/templates/t", uid=0)
    with pytest.raises(ReadOnlyError):
        move(shared, ("templates", "t"), ("templates", "u"))


def test_a_link_that_is_swapped_in_meanwhile_leads_nowhere(workspace: Workspace, disk: Path, canary: Path) -> None:
    put(disk / "inputs/a")
    (disk / "temp/real").mkdir()
    os.chown(disk / "temp/real", workspace.owner.uid, workspace.owner.gid)
    (disk / "temp/fake").symlink_to(canary)
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            renaming._libc.renameat2(
                -100, os.fsencode(disk / "temp/real"), -100, os.fsencode(disk / "temp/fake"), 2
            )  # RENAME_EXCHANGE

    swapper = threading.Thread(target=swap)
    swapper.start()
    moved = refused = 0
    try:
        while (moved < 50 or refused < 50) and moved + refused < 20_000:
            for source, target in (("inputs/a", "temp/real/a"), ("temp/real/a", "inputs/a")):
                try:
                    _move(workspace, source, target)
                    moved += 1
                except (SecurityError, NotFoundError, ConflictError):
                    refused += 1
    finally:
        over.set()
        swapper.join()
    assert moved
    assert refused
    assert len(list(disk.rglob("a"))) == 1


@settings(max_examples=200, deadline=None)
@given(
    source=st.text(st.sampled_from("ab./\n\0é\uef80"), max_size=12),
    target=st.text(st.sampled_from("ab./\n\0é\uef80"), max_size=12),
)
def test_no_path_leads_out(tmp_path_factory: pytest.TempPathFactory, source: str, target: str) -> None:
    workspaces = Workspaces(tmp_path_factory.getbasetemp() / "property")
    workspaces.prepare()
    workspace = workspaces.workspace(NAME, UID)
    workspace.create()
    outside = {path.name for path in workspace.data_dir.iterdir()}
    put(workspace.data_dir / NAME / "a/b", b"1")
    with suppress(LSMError):
        _move(workspace, source, target)
    assert {path.name for path in workspace.data_dir.iterdir()} == outside
    assert {path.name for path in (workspace.data_dir / NAME).iterdir()} >= {"inputs", "outputs", "temp"}
