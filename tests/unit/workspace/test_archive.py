import io
import os
import stat
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from lan_session_manager.errors import NotFoundError, SecurityError
from lan_session_manager.workspace import Workspace
from lan_session_manager.workspace.archive import archive

from .conftest import put

MB = 1024 * 1024


def unpacked(workspace: Workspace, *path: str) -> zipfile.ZipFile:
    made = zipfile.ZipFile(io.BytesIO(b"".join(archive(workspace, path))))
    assert made.testzip() is None
    return made


def test_a_directory_is_a_zip_of_its_files(workspace: Workspace, disk: Path) -> None:
    put(disk / "outputs/a.txt", b"hello")
    put(disk / "outputs/deep/er/größe", b"x" * 3_000_000)
    (disk / "outputs/empty").mkdir()
    os.utime(disk / "outputs/a.txt", (1_700_000_000, 1_700_000_000))
    os.chmod(disk / "outputs/a.txt", 0o4755)
    put(disk / "inputs/not in it")
    made = unpacked(workspace, "outputs")
    assert sorted(made.namelist()) == [
        "outputs/a.txt",
        "outputs/deep/",
        "outputs/deep/er/",
        "outputs/deep/er/größe",
        "outputs/empty/",
    ]
    assert made.read("outputs/a.txt") == b"hello"
    assert made.read("outputs/deep/er/größe") == b"x" * 3_000_000
    info = made.getinfo("outputs/a.txt")
    assert info.date_time[0] == 2023
    assert info.external_attr >> 16 == stat.S_IFREG | 0o644


def test_a_zip_of_the_workspace_or_of_a_directory_in_it_has_its_name(workspace: Workspace, disk: Path) -> None:
    put(disk / "outputs/run 1/a")
    assert "192_168_1_100/outputs/run 1/a" in unpacked(workspace).namelist()
    assert unpacked(workspace, "outputs", "run 1").namelist() == ["run 1/a"]


def test_an_empty_directory_is_an_empty_zip(workspace: Workspace) -> None:
    assert unpacked(workspace, "temp").namelist() == []


def test_links_pipes_and_foreign_files_are_left_out(workspace: Workspace, disk: Path, canary: Path) -> None:
    put(disk / "outputs/real")
    (disk / "outputs/link").symlink_to(canary / "secret")
    (disk / "outputs/way").symlink_to(canary)
    (disk / "outputs/round").symlink_to(".")
    os.link(canary / "secret", disk / "outputs/hard")
    os.mkfifo(disk / "outputs/pipe")
    assert unpacked(workspace, "outputs").namelist() == ["outputs/real"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        (b"..\\..\\evil.exe", "..%5C..%5Cevil.exe"),
        (b"C:evil", "C%3Aevil"),
        (b"new\nline", "new%0Aline"),
        (b"bad\xff", "bad%FF"),
        (b"...", "%2E%2E%2E"),
        (b"dot.", "dot%2E"),
        (b"100%", "100%25"),
        ("sep\u2028".encode(), "sep%E2%80%A8"),
    ],
)
def test_a_name_means_the_same_wherever_it_is_unpacked(
    workspace: Workspace, disk: Path, name: bytes, safe: str
) -> None:
    put(Path(os.fsdecode(os.path.join(os.fsencode(disk), b"outputs", name))))
    assert unpacked(workspace, "outputs").namelist() == [f"outputs/{safe}"]


def test_a_time_that_a_zip_cannot_tell_is_moved_to_one_that_it_can(workspace: Workspace, disk: Path) -> None:
    for number, when in enumerate((-(10**9), 0, 2**33)):
        os.utime(put(disk / f"outputs/{number}"), (when, when))
    years = [info.date_time[0] for info in sorted(unpacked(workspace, "outputs").infolist(), key=lambda i: i.filename)]
    assert years == [1980, 1980, 2106]


def test_a_file_that_changes_meanwhile_does_not_break_the_archive(workspace: Workspace, disk: Path) -> None:
    for name in ("a", "b", "c"):
        put(disk / "outputs" / name, b"x" * 4 * MB)
    taken = []
    for number, chunk in enumerate(archive(workspace, ("outputs",))):
        taken.append(chunk)
        for name in ("a", "b", "c"):
            if number == 1:
                with (disk / "outputs" / name).open("ab") as file:
                    file.write(b"more")
            if number == 2:
                os.truncate(disk / "outputs" / name, 1 * MB)
    made = zipfile.ZipFile(io.BytesIO(b"".join(taken)))
    assert made.testzip() is None
    assert len(made.namelist()) == 3


def test_a_file_that_grows_on_and_on_ends_in_the_archive(workspace: Workspace, disk: Path) -> None:
    path = put(disk / "outputs/a", b"x" * (3 * MB + 5))
    stream = archive(workspace, ("outputs",))
    taken = [next(stream)]
    with path.open("ab") as file:
        file.write(b"more" * MB)
    made = zipfile.ZipFile(io.BytesIO(b"".join([*taken, *stream])))
    assert made.read("outputs/a") == b"x" * (3 * MB + 5)


def test_what_is_beyond_the_bounds_is_said_in_the_archive(
    workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lan_session_manager.workspace.archive.MOST", 3)
    for n in range(3):
        put(disk / f"outputs/{n}")
    assert "outputs/ARCHIVE-INCOMPLETE.txt" not in unpacked(workspace, "outputs").namelist()
    put(disk / "outputs/4")
    made = unpacked(workspace, "outputs")
    assert len(made.namelist()) == 4
    assert b"does not hold everything" in made.read("outputs/ARCHIVE-INCOMPLETE.txt")


def test_directories_without_end_are_cut(workspace: Workspace, disk: Path) -> None:
    put(disk / "outputs" / "/".join("d" * 70) / "bottom")
    names = unpacked(workspace, "outputs").namelist()
    assert len(names) == 65
    assert "outputs/ARCHIVE-INCOMPLETE.txt" in names


def test_an_archive_takes_constant_memory(workspace: Workspace, disk: Path) -> None:
    with put(disk / "outputs/big", b"").open("wb") as file:
        file.truncate(200 * MB)
    tracemalloc.start()
    sent = sum(map(len, archive(workspace, ("outputs",))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 200 * MB < sent < 201 * MB
    assert peak < 8 * MB


def test_an_archive_that_nobody_takes_to_its_end_leaves_nothing_open(workspace: Workspace, disk: Path) -> None:
    put(disk / "outputs/big", b"x" * 5 * MB)
    unused = archive(workspace, ("outputs",))
    begun = archive(workspace, ("outputs",))
    next(begun)
    for stream in (unused, begun):
        stream.close()


def test_what_is_no_directory_is_refused_at_once(workspace: Workspace, disk: Path, canary: Path) -> None:
    put(disk / "outputs/file")
    (disk / "outputs/link").symlink_to(canary)
    with pytest.raises(NotFoundError):
        archive(workspace, ("outputs", "file"))
    with pytest.raises(NotFoundError):
        archive(workspace, ("missing",))
    with pytest.raises(SecurityError):
        archive(workspace, ("outputs", "link"))
