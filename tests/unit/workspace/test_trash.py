"""What is thrown away comes back whole, wherever the server was killed, and is in nobody's way until then."""

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lan_session_manager.errors import ConflictError, LSMError, NotFoundError, QuotaError, ReadOnlyError, SecurityError
from lan_session_manager.workspace import Quota, Workspace, Workspaces
from lan_session_manager.workspace import bin as bins
from lan_session_manager.workspace import move as moves
from lan_session_manager.workspace import trash as trashes
from lan_session_manager.workspace.listing import list_directory
from lan_session_manager.workspace.move import move
from lan_session_manager.workspace.paths import parse_path
from lan_session_manager.workspace.renaming import rename_new
from lan_session_manager.workspace.trash import contents, purge, restore, throw_away
from lan_session_manager.workspace.upload import Upload
from tests.unit.workspace.conftest import NAME, UID, put

MB = 1 << 20
QUOTA = Quota(100 * MB, 10_000)


def _ids(workspace: Workspace) -> list[str]:
    return [deleted.kept.id for deleted in contents(workspace)[0]]


def _tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): b"" if path.is_dir() and not path.is_symlink() else path.read_bytes()
        for path in directory.rglob("*")
        if not path.is_symlink()
    }


def test_a_file_a_folder_and_a_link_come_back_as_they_were(workspace: Workspace, disk: Path, canary: Path) -> None:
    put(disk / "inputs/a.txt", b"whale")
    put(disk / "inputs/deep/er/b.txt", b"crab")
    (disk / "inputs/link").symlink_to(canary)
    before = _tree(disk)
    for name in ("inputs/a.txt", "inputs/deep", "inputs/link"):
        throw_away(workspace, parse_path(name))
    assert [entry.name for entry in list_directory(workspace, ("inputs",)).entries] == []
    assert [deleted.size > 0 for deleted in contents(workspace)[0]] == [False, True, True]
    for kept_id in _ids(workspace):
        restore(workspace, kept_id, QUOTA)
    assert _tree(disk) == before
    assert (disk / "inputs/link").is_symlink()
    assert _ids(workspace) == []


def test_what_the_session_has_locked_goes_and_comes_back(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/deep/er/b.txt", b"crab")
    (disk / "inputs/deep").chmod(0)
    (disk / "inputs").chmod(0o500)
    restore(workspace, throw_away(workspace, ("inputs", "deep")).id, QUOTA)
    assert (disk / "inputs/deep/er/b.txt").read_bytes() == b"crab"


def test_all_of_temp_goes_and_comes_back_and_never_over_anything(workspace: Workspace, disk: Path) -> None:
    put(disk / "temp/a", b"1")
    put(disk / "temp/d/b", b"2")
    kept = throw_away(workspace, ("temp",))
    assert list((disk / "temp").iterdir()) == []
    put(disk / "temp/a", b"new")
    with pytest.raises(ConflictError):
        restore(workspace, kept.id, QUOTA)
    assert _tree(disk / "temp") == {"a": b"new"}
    restore(workspace, kept.id, QUOTA, ("temp", "old"))
    assert _tree(disk / "temp") == {"a": b"new", "old": b"", "old/a": b"1", "old/d": b"", "old/d/b": b"2"}
    kept = throw_away(workspace, ("temp",))
    restore(workspace, kept.id, QUOTA)
    assert (disk / "temp/old/d/b").read_bytes() == b"2"


def test_restoring_never_replaces_and_takes_another_name(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/deep/a.txt", b"old")
    kept = throw_away(workspace, ("inputs", "deep", "a.txt"))
    put(disk / "inputs/deep/a.txt", b"new")
    with pytest.raises(ConflictError):
        restore(workspace, kept.id, QUOTA)
    restore(workspace, kept.id, QUOTA, ("inputs", "deep", "a-2.txt"))
    assert _tree(disk / "inputs/deep") == {"a.txt": b"new", "a-2.txt": b"old"}


def test_its_folder_is_made_again(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/deep/er/a.txt", b"old")
    kept = throw_away(workspace, ("inputs", "deep", "er", "a.txt"))
    throw_away(workspace, ("inputs", "deep"))
    restore(workspace, kept.id, QUOTA)
    assert (disk / "inputs/deep/er/a.txt").read_bytes() == b"old"


@pytest.mark.parametrize("path", ["", "session.json", "nothing", "inputs/nothing", "inputs/a.txt/b"])
def test_what_cannot_go_stays(workspace: Workspace, disk: Path, path: str) -> None:
    put(disk / "inputs/a.txt")
    with pytest.raises((SecurityError, ReadOnlyError, NotFoundError)):
        throw_away(workspace, parse_path(path))
    assert _ids(workspace) == []


def test_a_link_leads_nowhere(workspace: Workspace, disk: Path, canary: Path) -> None:
    (disk / "inputs/out").symlink_to(canary)
    with pytest.raises(SecurityError):
        throw_away(workspace, ("inputs", "out", "secret"))
    put(disk / "inputs/a.txt")
    with pytest.raises(LSMError):
        move(workspace, ("inputs", "a.txt"), ("inputs", "out", "a.txt"))
    kept = throw_away(workspace, ("inputs", "a.txt"))
    with pytest.raises(LSMError):
        restore(workspace, kept.id, QUOTA, ("inputs", "out", "a.txt"))
    assert _ids(workspace) == [kept.id]


@pytest.mark.parametrize("kept_id", ["", "..", "0" * 16, "../trash", "a" * 15, "A" * 16, "0" * 16 + "\n"])
def test_an_id_that_is_none_finds_nothing(workspace: Workspace, disk: Path, kept_id: str) -> None:
    with pytest.raises(NotFoundError):
        restore(workspace, kept_id, QUOTA)
    put(disk / "inputs/a.txt")
    throw_away(workspace, ("inputs", "a.txt"))
    with pytest.raises(NotFoundError):
        restore(workspace, kept_id, QUOTA)
    with pytest.raises(NotFoundError):
        purge(workspace, kept_id)


def test_it_counts_beside_the_files_and_goes_when_its_room_is_needed(workspaces: Workspaces) -> None:
    quota = Quota(10 * MB, 100)
    workspace = workspaces.workspace(NAME, UID, quota=lambda: quota)
    workspace.create()
    disk = workspace.data_dir / workspace.name
    put(disk / "inputs/large", os.urandom(6 * MB))
    throw_away(workspace, ("inputs", "large"))
    usage = workspace.meter.scan()
    assert (usage.bytes < MB, usage.files, usage.trash_bytes >= 6 * MB, usage.trash_files) == (True, 0, True, 1)

    def arriving(name: str, size: int) -> Upload:
        path = ("inputs", name)
        return Upload(workspace, path, limit_bytes=100 * MB, quota=quota, reserve_bytes=0, size=size)

    with arriving("small", 2 * MB) as upload:
        upload.write(os.urandom(2 * MB))
        upload.commit()
    assert len(_ids(workspace)) == 1
    with arriving("more", 5 * MB) as upload:
        assert _ids(workspace) == []
        upload.write(os.urandom(5 * MB))
        upload.commit()
    with pytest.raises(QuotaError):
        arriving("too much", 5 * MB)


def test_a_task_that_writes_takes_its_room_at_the_next_scan(workspaces: Workspaces) -> None:
    quota = Quota(10 * MB, 100)
    workspace = workspaces.workspace(NAME, UID, quota=lambda: quota)
    workspace.create()
    disk = workspace.data_dir / workspace.name
    put(disk / "inputs/large", os.urandom(6 * MB))
    throw_away(workspace, ("inputs", "large"))
    put(disk / "outputs/large", os.urandom(6 * MB))
    assert workspace.meter.scan().trash_bytes == 0
    assert _ids(workspace) == []
    assert (disk / "outputs/large").exists()


def test_restoring_is_promised_of_the_quota(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/large", os.urandom(2 * MB))
    kept = throw_away(workspace, ("inputs", "large"))
    workspace.meter.scan()
    with pytest.raises(QuotaError):
        restore(workspace, kept.id, Quota(MB, 100))
    assert _ids(workspace) == [kept.id]
    restore(workspace, kept.id, QUOTA)
    assert workspace.meter.uploads[0][0] >= 2 * MB  # no task is held for it


def test_the_old_goes_by_age_and_number(
    workspaces: Workspaces, workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bins, "MOST", 3)
    for number in range(5):
        put(disk / f"inputs/{number}")
        throw_away(workspace, ("inputs", str(number)))
    assert [deleted.kept.path[1] for deleted in contents(workspace)[0]] == ["4", "3", "2"]
    workspaces.sweep()
    assert len(_ids(workspace)) == 3
    bin_directory = workspace.staging / "trash"
    os.utime(bin_directory / _ids(workspace)[-1], (1, 1))
    workspaces.sweep()
    assert [deleted.kept.path[1] for deleted in contents(workspace)[0]] == ["4", "3"]
    workspaces.sweep(reserve_bytes=1 << 60)
    assert list(bin_directory.iterdir()) == []


STEPS = ("mkdir", "rename", "unlink", "rmdir", "write", "fsync")


def _killed_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in a process that dies at the start of its `step`-th change of the disk; whether it came so far."""
    child = os.fork()
    if not child:
        left = step

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def call(*given: object, **named: object) -> object:
                nonlocal left
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given, **named)

            return call

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        for module in (moves, trashes):
            module.rename_new = counted(module.rename_new)  # type: ignore[attr-defined]
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("path", [("inputs", "deep"), ("temp",)])
def test_a_server_that_is_killed_at_any_step_loses_nothing(
    workspaces: Workspaces, workspace: Workspace, disk: Path, path: tuple[str, ...]
) -> None:
    put(disk / "inputs/deep/er/a", b"1")
    put(disk / "temp/b", b"2")
    put(disk / "temp/d/c", b"3")
    whole = _tree(disk)

    def back() -> None:
        for kept_id in _ids(workspace):
            restore(workspace, kept_id, QUOTA)
        assert _tree(disk) == whole

    for step in range(1, 100):
        killed = _killed_at(step, lambda: throw_away(workspace, path))
        back()
        if not killed:
            break
    else:
        pytest.fail("it never ended")
    for step in range(1, 100):
        kept = throw_away(workspace, path)
        killed = _killed_at(step, lambda kept=kept: restore(workspace, kept.id, QUOTA))  # type: ignore[misc]
        back()
        if not killed:
            break
    else:
        pytest.fail("it never ended")
    for step in range(1, 100):
        throw_away(workspace, ("inputs", "deep"))
        killed = _killed_at(step, workspace.empty_trash)
        back_or_gone = _ids(workspace)
        for kept_id in back_or_gone:
            restore(workspace, kept_id, QUOTA)
        if back_or_gone:  # never half of it
            assert _tree(disk) == whole
        else:
            assert not (disk / "inputs/deep").exists()
            put(disk / "inputs/deep/er/a", b"1")
        if not killed:
            break
    else:
        pytest.fail("it never ended")
    for found in (workspace.staging / "trash").iterdir():
        os.utime(found, (1, 1))
    workspaces.sweep()
    assert list((workspace.staging / "trash").iterdir()) == []


def test_what_cannot_go_as_a_whole_stays_as_a_whole(workspace: Workspace, disk: Path) -> None:
    for name in "abcdefgh":
        put(disk / "outputs" / name, name.encode())
    (disk / "outputs/of-root").mkdir()  # of nobody in the session: it can be moved by none of its tasks
    (disk / "outputs/of-root").chmod(0o700)
    before = _tree(disk)
    with pytest.raises(LSMError):
        throw_away(workspace, ("outputs",))
    assert _tree(disk) == before
    assert _ids(workspace) == []


def test_what_was_moved_and_cannot_go_back_stays_in_the_trash(
    workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk / "outputs/a", b"1")
    put(disk / "outputs/b", b"2")
    done = 0

    def fails(source: int, name: bytes, target: int, new: bytes) -> None:
        nonlocal done
        done += 1
        if done > 1:
            raise OSError(errno.ENOSPC, "no room")
        rename_new(source, name, target, new)

    monkeypatch.setattr("lan_session_manager.workspace.trash.rename_new", fails)
    with pytest.raises(ConflictError, match="in the trash"):
        throw_away(workspace, ("outputs",))
    monkeypatch.undo()
    [kept_id] = _ids(workspace)
    assert len(_tree(disk / "outputs")) == 1
    restore(workspace, kept_id, QUOTA)
    assert _tree(disk / "outputs") == {"a": b"1", "b": b"2"}


def test_a_file_with_many_names_counts_once(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/d/0", os.urandom(2 * MB))
    for number in range(1, 9):
        (disk / f"inputs/d/{number}").hardlink_to(disk / "inputs/d/0")
    throw_away(workspace, ("inputs", "d"))
    assert workspace.meter.scan().trash_bytes < 3 * MB
    assert contents(workspace)[0][0].size < 3 * MB


def _is_emptied(workspace: Workspace) -> None:
    """Nothing is left of what was to be removed, after some scans."""
    end = time.monotonic() + 20
    while bins.count(workspace.staging, workspace.owner).leaving:
        assert time.monotonic() < end
        workspace.meter.scan()
        time.sleep(0.05)


def test_who_stays_in_what_was_removed_and_writes_on_uses_up_the_quota(workspaces: Workspaces) -> None:
    quota = Quota(10 * MB, 1_000)
    workspace = workspaces.workspace(NAME, UID, quota=lambda: quota)
    workspace.create()
    disk = workspace.data_dir / workspace.name
    put(disk / "inputs/d/first", os.urandom(6 * MB))
    put(disk / "inputs/d/e/second", b"2")
    inside = os.open(disk / "inputs/d/e", os.O_RDONLY)  # as the current directory of a task
    above = os.open(disk / "inputs/d", os.O_RDONLY)
    try:
        throw_away(workspace, ("inputs", "d"))
        put(disk / "inputs/more", os.urandom(6 * MB))  # both do not fit
        os.fchown(above, 0, 0)  # somebody else's: it cannot be emptied
        os.fchmod(above, 0o500)
        os.fchown(inside, 0, 0)
        usage = workspace.meter.scan()
        assert quota.holds(usage), "what was there before is no growth"
        with open("grown", "wb", opener=lambda name, flags: os.open(name, flags, dir_fd=inside)) as file:
            file.write(os.urandom(8 * MB))
        assert not quota.holds(workspace.meter.scan())
        os.fchown(above, UID, UID)
        os.fchown(inside, UID, UID)
        _is_emptied(workspace)
        usage = workspace.meter.scan()
        assert quota.holds(usage)
        assert (usage.trash_bytes, usage.trash_files) == (0, 0)
    finally:
        os.close(inside)
        os.close(above)


def test_a_removal_that_takes_too_long_is_left_and_gone_on_with(workspace: Workspace, disk: Path) -> None:
    for number in range(300):
        put(disk / f"inputs/d/{number}", b"")
    throw_away(workspace, ("inputs", "d"))
    assert bins.purge(workspace.staging, workspace.owner, seconds=0.0) == 1
    assert _ids(workspace) == []
    [leaving] = bins.count(workspace.staging, workspace.owner).leaving.values()
    assert leaving.files > 200
    _is_emptied(workspace)


def test_a_clock_that_is_set_makes_nothing_old(
    workspaces: Workspaces, workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk / "inputs/a", b"1")
    throw_away(workspace, ("inputs", "a"))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 25 * 3600)
    workspaces.sweep()
    workspaces.sweep()
    assert len(_ids(workspace)) == 1
    monkeypatch.setattr(time, "time", lambda: now() + 50 * 3600)
    monkeypatch.setattr(time, "monotonic", lambda real=time.monotonic: real() + 25 * 3600)
    workspaces.sweep()
    assert _ids(workspace) == [], "a day has really passed"


def test_one_bin_that_cannot_be_swept_keeps_no_other_and_no_start_waiting(
    workspaces: Workspaces, workspace: Workspace, disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(disk / "inputs/a", b"1")
    throw_away(workspace, ("inputs", "a"))
    other = workspaces.workspace("another", UID + 65536)
    other.create()
    put(other.data_dir / "another/inputs/a", b"1")
    throw_away(other, ("inputs", "a"))
    bad = other.staging / "trash"
    bad.rename(bad.with_name("moved"))
    bad.write_text("no directory")
    workspaces.sweep(reserve_bytes=1 << 62)
    assert _ids(workspace) == []
    assert "could not be removed" in caplog.text
