import os
import stat
import subprocess
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lan_session_manager.errors import (
    ConflictError,
    LSMError,
    QuotaError,
    SecurityError,
    StorageError,
    TooLargeError,
    TooManyFilesError,
)
from lan_session_manager.workspace import Quota, Workspace, Workspaces
from lan_session_manager.workspace.listing import EntryType
from lan_session_manager.workspace.paths import Parts, parse_new_path
from lan_session_manager.workspace.upload import Upload

from .conftest import NAME, UID, put, staged

MB = 1024 * 1024


def begin(
    workspace: Workspace,
    text: str = "inputs/a.txt",
    *,
    limit_bytes: int = 10 * MB,
    quota_bytes: int = 10 * MB,
    reserve_bytes: int = 0,
    size: int | None = None,
    overwrite: bool = True,
) -> Upload:
    return Upload(
        workspace,
        parse_new_path(text),
        limit_bytes=limit_bytes,
        quota=Quota(quota_bytes, 1000),
        reserve_bytes=reserve_bytes,
        size=size,
        overwrite=overwrite,
    )


def send(workspace: Workspace, text: str, data: bytes, *, overwrite: bool = True) -> None:
    with begin(workspace, text, overwrite=overwrite) as arriving:
        arriving.write(data)
        arriving.commit()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(workspaces: Workspaces) -> Iterator[None]:
    yield
    assert staged(workspaces) == []


def everything(disk: Path) -> list[str]:
    return sorted(str(path.relative_to(disk)) for path in disk.rglob("*") if path.parent != disk)


def test_a_file_is_in_its_place_when_it_is_complete_and_not_before(workspace: Workspace, disk: Path) -> None:
    with begin(workspace) as arriving:
        arriving.write(b"hello ")
        assert everything(disk) == []
        arriving.write(memoryview(b"world"))
        assert everything(disk) == []
        entry = arriving.commit()
    assert (disk / "inputs/a.txt").read_bytes() == b"hello world"
    info = (disk / "inputs/a.txt").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, info.st_nlink) == (0o600, UID, UID, 1)
    assert (entry.name, entry.type, entry.size, entry.modified) == ("a.txt", EntryType.FILE, 11, info.st_mtime)


def test_the_directories_on_the_way_are_made_in_the_sessions_name(workspace: Workspace, disk: Path) -> None:
    send(workspace, "inputs/new/er/file", b"")
    for path in ("inputs/new", "inputs/new/er"):
        info = (disk / path).stat()
        assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o700, UID, UID)
    assert (disk / "inputs/new/er/file").read_bytes() == b""


def test_an_upload_that_is_given_up_leaves_nothing(workspace: Workspace, disk: Path) -> None:
    with begin(workspace, "inputs/new/file") as arriving:
        arriving.write(b"half")
    assert everything(disk) == []
    arriving.abort()
    send(workspace, "inputs/again", b"x" * 10 * MB)  # the whole quota is free again


def test_a_file_is_replaced_at_once(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/a.txt", b"old")
    with (disk / "inputs/a.txt").open("rb") as reader:
        send(workspace, "inputs/a.txt", b"new")
        assert reader.read() == b"old"
    assert (disk / "inputs/a.txt").read_bytes() == b"new"


def test_a_file_is_kept_when_the_client_wants_that(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/a.txt", b"old")
    with pytest.raises(ConflictError, match="file of that name"):
        begin(workspace, overwrite=False)
    (disk / "inputs/a.txt").unlink()
    with begin(workspace, overwrite=False) as arriving:
        put(disk / "inputs/a.txt", b"old")
        with pytest.raises(ConflictError, match="file of that name"):
            arriving.commit()
    assert (disk / "inputs/a.txt").read_bytes() == b"old"
    send(workspace, "inputs/b.txt", b"new", overwrite=False)
    assert (disk / "inputs/b.txt").stat().st_nlink == 1


def test_a_directory_is_never_replaced(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/a.txt/inner")
    with pytest.raises(ConflictError, match="directory of that name"):
        begin(workspace)
    with begin(workspace, "inputs/b.txt") as arriving:
        (disk / "inputs/b.txt").mkdir()
        with pytest.raises(ConflictError, match="directory of that name"):
            arriving.commit()
    assert (disk / "inputs/a.txt/inner").exists()


def test_a_file_on_the_way_is_in_the_way(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/file")
    with pytest.raises(ConflictError, match="part of this path is a file"):
        begin(workspace, "inputs/file/a")
    with begin(workspace, "inputs/late/a") as arriving:
        put(disk / "inputs/late")
        with pytest.raises(ConflictError, match="part of this path is a file"):
            arriving.commit()


def test_nothing_is_written_through_a_link(workspace: Workspace, disk: Path, canary: Path) -> None:
    (disk / "inputs/link").symlink_to(canary / "secret")
    send(workspace, "inputs/link", b"mine")
    assert (disk / "inputs/link").read_bytes() == b"mine"
    assert not (disk / "inputs/link").is_symlink()
    (disk / "inputs/way").symlink_to(canary)
    with pytest.raises(SecurityError):
        begin(workspace, "inputs/way/secret")
    with begin(workspace, "inputs/later/secret") as arriving:
        (disk / "inputs/later").symlink_to(canary)
        with pytest.raises(SecurityError):
            arriving.commit()
    os.link(canary / "secret", disk / "inputs/hard")
    send(workspace, "inputs/hard", b"mine")


def test_a_file_has_a_largest_size_whatever_was_announced(workspace: Workspace, disk: Path) -> None:
    with pytest.raises(TooLargeError, match="larger than 2 MB"):
        begin(workspace, limit_bytes=2 * MB, size=2 * MB + 1)
    with begin(workspace, limit_bytes=2 * MB, size=5) as arriving:
        arriving.write(b"x" * 2 * MB)
        with pytest.raises(TooLargeError, match="larger than 2 MB"):
            arriving.write(b"x")
    assert everything(disk) == []


def test_what_does_not_fit_into_the_quota_is_refused_before_it_is_sent(workspace: Workspace, disk: Path) -> None:
    put(disk / "outputs/big", b"x" * 6 * MB)
    with pytest.raises(QuotaError, match="10 MB may be used"):
        begin(workspace, size=5 * MB)
    send(workspace, "inputs/fits", b"x" * 3 * MB)


def test_what_was_not_announced_is_refused_when_it_does_not_fit_any_more(workspace: Workspace, disk: Path) -> None:
    with begin(workspace, quota_bytes=2 * MB) as arriving:
        arriving.write(b"x" * 2 * MB)
        with pytest.raises(QuotaError):
            arriving.write(b"x")
    assert everything(disk) == []


def test_two_uploads_do_not_both_get_the_same_free_space(workspace: Workspace, workspaces: Workspaces) -> None:
    same = workspaces.workspace(NAME, UID)
    with begin(workspace, "inputs/a", size=6 * MB) as first:
        with pytest.raises(QuotaError):
            begin(same, "inputs/b", size=6 * MB)
        with begin(same, "inputs/c", size=4 * MB):
            pass
        first.write(b"x" * 6 * MB)
        first.commit()
    with pytest.raises(QuotaError):
        begin(same, "inputs/b", size=6 * MB)


def test_of_many_uploads_at_once_only_those_that_fit_arrive(workspace: Workspace, disk: Path) -> None:
    refused: list[LSMError] = []
    ready = threading.Barrier(8)

    def one(number: int) -> None:
        ready.wait()
        try:
            with begin(workspace, f"inputs/{number}") as arriving:
                for _ in range(16):
                    arriving.write(b"x" * (MB // 8))
                arriving.commit()
        except QuotaError as error:
            refused.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    arrived = everything(disk)
    assert len(arrived) + len(refused) == 8
    assert 1 <= len(arrived) <= 5
    assert all((disk / path).stat().st_size == 2 * MB for path in arrived)


def test_the_directories_on_the_way_take_a_part_of_the_quota(workspace: Workspace, disk: Path) -> None:
    def upload(text: str, quota: Quota) -> None:
        with Upload(workspace, parse_new_path(text), limit_bytes=10, quota=quota, reserve_bytes=0) as arriving:
            arriving.commit()

    with pytest.raises(TooManyFilesError):
        upload("inputs/a/b/c", Quota(MB, 2))
    with pytest.raises(QuotaError):
        upload("inputs/a/b/c", Quota(2 * 4096 - 1, 3))
    assert everything(disk) == []
    upload("inputs/a/b/c", Quota(2 * 4096, 3))
    with pytest.raises(TooManyFilesError):
        upload("inputs/a/b/d", Quota(MB, 3))
    upload("inputs/a/b/d", Quota(MB, 4))


def test_a_disk_that_is_almost_full_is_kept_for_the_server(workspace: Workspace) -> None:
    with pytest.raises(StorageError):
        begin(workspace, reserve_bytes=1 << 60)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Workspace]:
    mounted = tmp_path / "small"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", mounted], check=True)
    try:
        workspaces = Workspaces(mounted)
        workspaces.prepare()
        workspace = workspaces.workspace(NAME, UID)
        workspace.create()
        workspace.meter.scan()
        yield workspace
        assert staged(workspaces) == []
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


def test_a_full_disk_is_said_and_nothing_is_left(small_disk: Workspace) -> None:
    with begin(small_disk) as arriving:
        arriving.write(b"x" * 100_000)
        with pytest.raises(StorageError):
            arriving.write(b"x" * 1_000_000)
    assert everything(small_disk.data_dir / NAME) == []


@pytest.mark.parametrize("path", ["inputs", "outputs", "session.json"])
def test_what_the_server_keeps_is_not_replaced(workspace: Workspace, path: str) -> None:
    with pytest.raises(LSMError, match="read-only"):
        begin(workspace, path)


def test_an_upload_takes_constant_memory(workspace: Workspace, disk: Path) -> None:
    chunk = b"x" * (256 * 1024)
    tracemalloc.start()
    with begin(workspace, limit_bytes=100 * MB, quota_bytes=100 * MB) as arriving:
        for _ in range(320):
            arriving.write(chunk)
        arriving.commit()
    assert (disk / "inputs/a.txt").stat().st_size == 80 * MB
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * MB


def test_an_upload_that_ended_touches_no_descriptor_any_more(workspace: Workspace, disk: Path) -> None:
    for end in (Upload.abort, Upload.commit):
        arriving = begin(workspace)
        end(arriving)
        other = os.open(disk / "other", os.O_CREAT | os.O_RDWR)  # it has the number that was free
        with pytest.raises(ConflictError, match="ended already"):
            arriving.write(b"late")
        with pytest.raises(ConflictError, match="ended already"):
            arriving.commit()
        arriving.abort()
        assert os.fstat(other).st_size == 0
        os.close(other)


def test_an_upload_that_is_given_up_while_it_is_written_ends_after_that(workspace: Workspace, disk: Path) -> None:
    def write(arriving: Upload) -> None:
        with suppress(ConflictError):
            arriving.write(b"x" * 8 * MB)

    for _ in range(20):
        arriving = begin(workspace)
        writer = threading.Thread(target=write, args=(arriving,))
        writer.start()
        arriving.abort()
        writer.join()
    assert everything(disk) == []


def test_a_path_of_parts_is_all_that_an_upload_takes(workspace: Workspace, disk: Path) -> None:
    path: Parts = ("temp", "x")
    with Upload(workspace, path, limit_bytes=1, quota=Quota(MB, 10), reserve_bytes=0) as arriving:
        arriving.write(b"1")
        arriving.commit()
        arriving.abort()  # too late, and harmless
    assert (disk / "temp/x").read_bytes() == b"1"
