import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lan_session_manager.errors import (
    ConflictError,
    LSMError,
    NotFoundError,
    OffsetError,
    QuotaError,
    ReadOnlyError,
    SecurityError,
    StorageError,
    TooLargeError,
    TooManyUploadsError,
)
from lan_session_manager.workspace import Quota, Workspace, Workspaces, unfinished
from lan_session_manager.workspace.paths import parse_new_path
from lan_session_manager.workspace.resumable import Resumable, State
from lan_session_manager.workspace.staging import KEPT_S
from lan_session_manager.workspace.unfinished import MOST, MOST_ENDED
from lan_session_manager.workspace.upload import Upload

from .conftest import NAME, UID, put, staged

MB = 1024 * 1024
QUOTA = Quota(10 * MB, 1000)


def of(workspace: Workspace, *, limit_bytes: int = 10 * MB, reserve_bytes: int = 0) -> Resumable:
    return Resumable(workspace, limit_bytes=limit_bytes, reserve_bytes=reserve_bytes)


def begin(workspace: Workspace, size: int, text: str = "inputs/a.bin", *, overwrite: bool = True) -> State:
    return of(workspace).begin(parse_new_path(text), size, QUOTA, overwrite=overwrite)


def send(workspace: Workspace, upload_id: str, offset: int, data: bytes) -> bool:
    """One request; whether the file is in its place after it."""
    with of(workspace).go_on(upload_id, offset, len(data)) as appending:
        appending.write(data)
        return appending.finish() is not None


def later(workspaces: Workspaces) -> Workspace:
    """The same workspace, as the next server sees it."""
    again = Workspaces(workspaces.data_dir)
    again.prepare()
    return again.workspace(NAME, UID)


def aged(workspaces: Workspaces, seconds: float) -> None:
    """Everything staged is that much older."""
    for path in staged(workspaces):
        at = path.stat().st_mtime - seconds
        os.utime(path, (at, at))


def test_a_file_comes_in_parts_and_is_there_when_the_last_byte_is(workspace: Workspace, disk: Path) -> None:
    upload = begin(workspace, 6, "inputs/new/a.bin")
    assert not send(workspace, upload.id, 0, b"abc")
    assert of(workspace).state(upload.id).offset == 3
    assert [state.id for state in of(workspace).all()] == [upload.id]
    assert list((disk / "inputs").iterdir()) == []
    assert send(workspace, upload.id, 3, b"def")
    assert (disk / "inputs/new/a.bin").read_bytes() == b"abcdef"
    info = (disk / "inputs/new/a.bin").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, info.st_nlink) == (0o600, UID, UID, 1)
    assert of(workspace).all() == []
    assert of(workspace).state(upload.id).is_complete


def test_an_empty_file_is_one_request_without_bytes(workspace: Workspace, disk: Path) -> None:
    assert send(workspace, begin(workspace, 0).id, 0, b"")
    assert (disk / "inputs/a.bin").read_bytes() == b""


@pytest.mark.parametrize("offset", [0, 2, 4, 6])
def test_bytes_that_do_not_go_on_where_the_upload_is_are_refused_with_where_it_is(
    workspace: Workspace, offset: int
) -> None:
    upload = begin(workspace, 6)
    send(workspace, upload.id, 0, b"abc")
    with pytest.raises(OffsetError) as refused:
        of(workspace).go_on(upload.id, offset)
    assert refused.value.facts == {"offset": 3}
    assert of(workspace).state(upload.id).offset == 3


def test_more_than_was_announced_is_refused_and_not_kept(workspace: Workspace) -> None:
    upload = begin(workspace, 6)
    with pytest.raises(TooLargeError, match="6 bytes that were announced"):
        of(workspace).go_on(upload.id, 0, 7)
    with of(workspace).go_on(upload.id, 0) as appending:
        appending.write(b"abc")
        with pytest.raises(TooLargeError):
            appending.write(b"defg")
    assert of(workspace).state(upload.id).offset == 3


def test_of_two_requests_for_one_upload_the_later_goes_on_and_nothing_is_mixed(
    workspace: Workspace, disk: Path
) -> None:
    upload = begin(workspace, 6)
    with of(workspace).go_on(upload.id, 0) as first:
        first.write(b"abc")
        with of(workspace).go_on(upload.id, 3) as second:
            with pytest.raises(ConflictError, match="Another request"):
                first.write(b"xyz")
            with pytest.raises(ConflictError, match="Another request"):
                first.finish()
            first.close()
            second.write(b"def")
            assert second.finish() is not None
    assert (disk / "inputs/a.bin").read_bytes() == b"abcdef"


def test_many_requests_at_once_leave_one_whole_file(workspace: Workspace, disk: Path) -> None:
    data = os.urandom(256 * 1024)
    upload = begin(workspace, len(data))
    faults: list[BaseException] = []

    def client() -> None:
        while not (state := of(workspace).state(upload.id)).is_complete:
            try:
                with of(workspace).go_on(upload.id, state.offset) as appending:
                    for at in range(state.offset, len(data), 4096):
                        appending.write(data[at : at + 4096])
                    appending.finish()
            except (OffsetError, ConflictError, NotFoundError):
                continue
            except BaseException as error:  # noqa: BLE001 - reported below
                faults.append(error)
                return

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []
    assert (disk / "inputs/a.bin").read_bytes() == data


def test_an_upload_that_is_given_up_leaves_nothing_and_stops_who_writes(
    workspace: Workspace, workspaces: Workspaces
) -> None:
    upload = begin(workspace, 10 * MB)
    with of(workspace).go_on(upload.id, 0) as appending:
        appending.write(b"abc")
        of(workspace).give_up(upload.id)
        with pytest.raises(NotFoundError):
            appending.write(b"def")
    assert staged(workspaces) == []
    for gone in (of(workspace).state, of(workspace).give_up, lambda found: of(workspace).go_on(found, 3)):
        with pytest.raises(NotFoundError):
            gone(upload.id)
    begin(workspace, 10 * MB)  # the whole quota is free again


def test_the_quota_is_promised_before_the_first_byte(workspace: Workspace) -> None:
    begin(workspace, 6 * MB)
    with pytest.raises(QuotaError):
        begin(workspace, 5 * MB, "inputs/b.bin")
    with pytest.raises(QuotaError):
        Upload(workspace, ("inputs", "c"), limit_bytes=10 * MB, quota=QUOTA, reserve_bytes=0, size=5 * MB)
    begin(workspace, 4 * MB, "inputs/b.bin")


def test_what_can_be_refused_is_refused_before_the_first_byte(workspace: Workspace, disk: Path, canary: Path) -> None:
    put(disk / "inputs/directory/file")
    (disk / "inputs/way").symlink_to(canary)
    for text, error in (
        ("inputs/directory", ConflictError),
        ("inputs/directory/file/x", ConflictError),
        ("inputs", ReadOnlyError),
        ("session.json", ReadOnlyError),
        ("inputs/way/secret", SecurityError),
    ):
        with pytest.raises(error):
            begin(workspace, 1, text)
    with pytest.raises(ConflictError):
        begin(workspace, 1, "inputs/directory/file", overwrite=False)
    with pytest.raises(TooLargeError):
        of(workspace, limit_bytes=5).begin(("inputs", "a"), 6, QUOTA)
    with pytest.raises(StorageError):
        of(workspace, reserve_bytes=1 << 60).begin(("inputs", "a"), 6, QUOTA)
    assert of(workspace).all() == []


def test_a_session_has_only_so_many_unfinished_uploads(workspace: Workspace) -> None:
    made: list[str] = []
    refused: list[LSMError] = []

    def one(number: int) -> None:
        try:
            made.append(begin(workspace, 1, f"inputs/{number}").id)
        except TooManyUploadsError as error:
            refused.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(MOST + 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (MOST, 3)
    send(workspace, made[0], 0, b"x")
    begin(workspace, 1, "inputs/more")


def test_the_next_server_goes_on_and_keeps_what_was_promised(
    workspace: Workspace, workspaces: Workspaces, disk: Path
) -> None:
    upload = begin(workspace, 6 * MB)
    send(workspace, upload.id, 0, b"a" * MB)
    again = later(workspaces)
    with pytest.raises(QuotaError):  # also for who never asked for the uploads
        Upload(again, ("inputs", "c"), limit_bytes=10 * MB, quota=QUOTA, reserve_bytes=0, size=5 * MB)
    assert of(again).all() == [of(again).state(upload.id)]
    assert of(again).state(upload.id).offset == MB
    assert send(again, upload.id, MB, b"b" * 5 * MB)
    assert (disk / "inputs/a.bin").read_bytes() == b"a" * MB + b"b" * 5 * MB
    assert of(later(workspaces)).state(upload.id).is_complete


def test_bytes_of_before_the_machine_started_again_are_not_trusted(
    workspace: Workspace, workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(workspace, 6)
    send(workspace, upload.id, 0, b"abc")
    monkeypatch.setattr(unfinished, "boot_id", lambda: "another")
    with pytest.raises(NotFoundError):
        of(later(workspaces)).state(upload.id)
    assert staged(workspaces) == []


@pytest.mark.parametrize("facts", [b"", b"{", b"[]", b"{}", b'{"id": "x"}'])
def test_facts_that_were_half_written_are_no_upload(workspace: Workspace, workspaces: Workspaces, facts: bytes) -> None:
    upload = begin(workspace, 6)
    next(path for path in staged(workspaces) if path.suffix == ".facts").write_bytes(facts)
    again = later(workspaces)
    assert of(again).all() == []
    with pytest.raises(NotFoundError):
        of(again).state(upload.id)
    aged(workspaces, KEPT_S + 10)
    later(workspaces)
    assert staged(workspaces) == []


def test_an_upload_that_nobody_goes_on_with_ends_after_a_day(
    workspace: Workspace, workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(workspace, 10 * MB)
    send(workspace, upload.id, 0, b"abc")
    workspaces.sweep()
    assert of(workspace).state(upload.id).offset == 3
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + KEPT_S + 10)
    workspaces.sweep()
    with pytest.raises(NotFoundError):
        of(workspace).state(upload.id)
    assert staged(workspaces) == []
    begin(workspace, 10 * MB)


@pytest.mark.parametrize(("age", "stays"), [(KEPT_S - 600, True), (KEPT_S + 600, False)])
def test_what_an_earlier_server_left_ends_after_a_day(
    workspace: Workspace, workspaces: Workspaces, age: float, stays: bool
) -> None:
    upload = begin(workspace, 6)
    aged(workspaces, age)
    assert [state.id for state in of(later(workspaces)).all()] == ([upload.id] if stays else [])
    assert bool(staged(workspaces)) is stays


def test_what_is_known_of_an_upload_is_as_old_as_its_last_byte(workspace: Workspace, workspaces: Workspaces) -> None:
    upload = begin(workspace, 6)
    aged(workspaces, 2 * KEPT_S)
    send(workspace, upload.id, 0, b"abc")
    assert of(later(workspaces)).state(upload.id).offset == 3


def test_the_uploads_that_ended_are_remembered_for_a_while_and_not_all(
    workspace: Workspace, workspaces: Workspaces
) -> None:
    ids = [begin(workspace, 0, f"inputs/{number}").id for number in range(MOST)]
    for upload_id in ids:
        send(workspace, upload_id, 0, b"")
    for number in range(MOST_ENDED):
        send(workspace, begin(workspace, 0, f"inputs/more{number}").id, 0, b"")
    with pytest.raises(NotFoundError):
        of(workspace).state(ids[0])
    assert len(staged(workspaces)) == MOST_ENDED
    aged(workspaces, KEPT_S + 10)
    later(workspaces)
    assert staged(workspaces) == []


def test_a_last_step_that_is_refused_keeps_the_bytes_for_another_try(workspace: Workspace, disk: Path) -> None:
    upload = begin(workspace, 3)
    (disk / "inputs/a.bin").mkdir()
    with pytest.raises(ConflictError):
        send(workspace, upload.id, 0, b"abc")
    (disk / "inputs/a.bin").rmdir()
    assert send(workspace, upload.id, 3, b"")
    assert (disk / "inputs/a.bin").read_bytes() == b"abc"


def test_a_file_that_came_meanwhile_is_kept_when_the_client_wants_that(workspace: Workspace, disk: Path) -> None:
    upload = begin(workspace, 3, overwrite=False)
    put(disk / "inputs/a.bin", b"old")
    with pytest.raises(ConflictError, match="file of that name"):
        send(workspace, upload.id, 0, b"abc")
    assert (disk / "inputs/a.bin").read_bytes() == b"old"


def test_a_link_that_was_put_there_meanwhile_leads_nowhere(workspace: Workspace, disk: Path, canary: Path) -> None:
    upload = begin(workspace, 3, "inputs/way/secret")
    (disk / "inputs/way").symlink_to(canary)
    with pytest.raises(SecurityError):
        send(workspace, upload.id, 0, b"abc")
    (disk / "inputs/way").unlink()
    other = begin(workspace, 3, "inputs/link")
    (disk / "inputs/link").symlink_to(canary / "secret")
    assert send(workspace, other.id, 0, b"abc")


def test_two_uploads_to_one_name_leave_one_of_them_whole(workspace: Workspace, disk: Path) -> None:
    ids = {data: begin(workspace, MB).id for data in (b"a", b"b")}
    ready = threading.Barrier(2)

    def one(data: bytes) -> None:
        ready.wait()
        for part in range(8):
            send(workspace, ids[data], part * MB // 8, data * (MB // 8))

    threads = [threading.Thread(target=one, args=(data,)) for data in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (disk / "inputs/a.bin").read_bytes() in (b"a" * MB, b"b" * MB)


def test_another_session_does_not_find_it(workspace: Workspace, workspaces: Workspaces) -> None:
    upload = begin(workspace, 3)
    other = workspaces.workspace("192_168_1_101", UID + 65536)
    other.create()
    asks: list[Callable[[str], object]] = [of(other).state, of(other).give_up, lambda found: of(other).go_on(found, 0)]
    for ask in asks:
        with pytest.raises(NotFoundError):
            ask(upload.id)
    assert of(other).all() == []
    assert of(workspace).state(upload.id).offset == 0
