import json
import logging
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from lan_session_manager.errors import NotFoundError, ReadOnlyError, SecurityError, StorageError
from lan_session_manager.workspace import Quota, Workspace, Workspaces
from lan_session_manager.workspace.listing import list_directory
from lan_session_manager.workspace.paths import parse_path
from lan_session_manager.workspace.remove import make_directory, remove
from lan_session_manager.workspace.upload import Upload
from lan_session_manager.workspace.usage import Usage

from .conftest import NAME, UID, put, staged


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_only_the_server_can_look_into_the_data_directory(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "user_sessions"
    Workspaces(data_dir).prepare()
    assert mode(data_dir) == 0o700
    assert mode(data_dir / ".lan_session_manager") == 0o700
    for public in ("shared", "shared/templates", "shared/references"):
        assert mode(data_dir / public) == 0o755
        assert (data_dir / public).stat().st_uid == 0


def test_a_data_directory_that_others_could_read_is_closed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(parents=True)
    (tmp_path / "shared/templates").mkdir(mode=0o700)
    put(tmp_path / "shared/references/book", uid=0)
    tmp_path.chmod(0o755)
    for _ in range(2):
        Workspaces(tmp_path).prepare()
    assert mode(tmp_path) == 0o700
    assert mode(tmp_path / "shared/templates") == 0o700  # as the owner of the machine has it
    assert (tmp_path / "shared/references/book").read_bytes() == b"data"


def test_a_data_directory_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        Workspaces(tmp_path / "file").prepare()


def test_what_a_killed_server_left_half_written_is_removed(workspaces: Workspaces) -> None:
    uploads = workspaces.data_dir / ".lan_session_manager/uploads"
    staging = workspaces.workspace(NAME, UID).staging
    for old in (put(uploads / "old", uid=0), put(staging / "old")):  # the first as earlier versions staged files
        os.utime(old, (time.time() - 4000,) * 2)
    new = [put(uploads / "new", uid=0), put(staging / "new")]
    workspaces.prepare()
    assert sorted(staged(workspaces)) == sorted(new)


@pytest.mark.parametrize("name", ["", ".", "..", ".lan_session_manager", "shared", "a/b", "a b", "ä", "a\n", "a" * 201])
def test_a_workspace_has_a_safe_name(workspaces: Workspaces, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a workspace"):
        workspaces.workspace(name, UID)


def test_a_workspace_is_its_sessions_alone(workspace: Workspace, disk: Path) -> None:
    for path in (disk, disk / "inputs", disk / "outputs", disk / "temp"):
        assert mode(path) == 0o700
        assert (path.stat().st_uid, path.stat().st_gid) == (UID, UID)


def test_making_a_workspace_again_keeps_everything(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/file")
    disk.chmod(0o777)
    workspace.create()
    assert mode(disk) == 0o700
    assert (disk / "inputs/file").read_bytes() == b"data"
    assert sorted(os.listdir(disk)) == ["inputs", "outputs", "temp"]


def test_what_a_task_put_in_the_place_of_a_directory_is_moved_aside(
    workspace: Workspace, disk: Path, canary: Path
) -> None:
    for top in ("inputs", "outputs", "temp"):
        (disk / top).rmdir()
    (disk / "inputs").symlink_to(canary)
    put(disk / "inputs.1")
    put(disk / "outputs", b"kept")
    os.mkfifo(disk / "temp")
    workspace.create()
    assert all((disk / top).is_dir() and not (disk / top).is_symlink() for top in ("inputs", "outputs", "temp"))
    assert (disk / "inputs.1").read_bytes() == b"data"
    assert (disk / "inputs.2").is_symlink()
    assert (disk / "outputs.1").read_bytes() == b"kept"
    assert (disk / "temp.1").is_fifo()


def test_a_directory_that_the_server_could_not_give_away_before_is_given_now(workspace: Workspace, disk: Path) -> None:
    os.chown(disk / "inputs", 0, 0)
    workspace.create()
    assert (disk / "inputs").stat().st_uid == UID


def test_a_server_without_root_owns_all_files_itself(workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setattr(os, "getegid", lambda: 4343)
    owner = workspaces.workspace(NAME, UID).owner
    assert (owner.uid, owner.gid, owner.uids) == (4242, 4343, range(4242, 4243))


def test_a_workspace_is_made_by_what_needs_it_and_not_by_a_look(workspaces: Workspaces) -> None:
    facts: list[str] = []
    workspace = workspaces.workspace("192_168_1_7", UID, on_made=lambda: facts.append("told"))
    workspace.write_facts({"ip": "192.168.1.7"})
    assert [entry.name for entry in list_directory(workspace, ()).entries] == ["inputs", "outputs", "temp"]
    assert list_directory(workspace, ("inputs",)).entries == ()
    with pytest.raises(NotFoundError):
        list_directory(workspace, ("inputs", "more"))
    assert workspace.meter.scan() == Usage()
    assert not (workspaces.data_dir / workspace.name).exists()
    with workspace.opened() as root:
        assert sorted(os.listdir(root)) == ["inputs", "outputs", "temp"]
    workspace.ensure()
    assert facts == ["told"]


def test_a_workspace_that_the_owner_removed_is_made_again(workspaces: Workspaces, workspace: Workspace) -> None:
    shutil.rmtree(workspaces.data_dir / workspace.name)
    with workspace.opened() as root:
        assert sorted(os.listdir(root)) == ["inputs", "outputs", "temp"]


def test_the_facts_are_a_file_of_the_session(workspaces: Workspaces, workspace: Workspace, disk: Path) -> None:
    workspace.write_facts({"ip": "192.168.1.100"})
    workspace.write_facts({"ip": "192.168.1.100", "total_tasks": 2})
    facts = disk / "session.json"
    assert json.loads(facts.read_text()) == {"ip": "192.168.1.100", "total_tasks": 2}
    assert mode(facts) == 0o600
    assert facts.stat().st_uid == UID
    assert staged(workspaces) == []


def test_the_facts_are_not_written_through_a_link(workspace: Workspace, disk: Path, canary: Path) -> None:
    (disk / "session.json").symlink_to(canary / "secret")
    workspace.write_facts({"total_tasks": 1})
    assert json.loads((disk / "session.json").read_text()) == {"total_tasks": 1}
    (disk / "session.json").unlink()
    os.link(canary / "secret", disk / "session.json")
    workspace.write_facts({"total_tasks": 2})
    assert json.loads((disk / "session.json").read_text()) == {"total_tasks": 2}


def test_a_directory_in_the_place_of_the_facts_is_moved_aside(workspace: Workspace, disk: Path) -> None:
    put(disk / "session.json/file")
    workspace.write_facts({"total_tasks": 1})
    assert json.loads((disk / "session.json").read_text()) == {"total_tasks": 1}
    assert (disk / "session.json.1/file").exists()


def test_facts_that_cannot_be_written_stop_nobody(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    (workspace.data_dir / ".lan_session_manager/uploads" / workspace.name).write_text("in the way")
    with caplog.at_level(logging.WARNING):
        workspace.write_facts({})
    assert "192_168_1_100 could not be written" in caplog.text


def test_shared_leads_to_the_shared_resources_and_nothing_else_does(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    place, path = workspaces.place(workspace, parse_path("shared/templates/a"))
    assert (place.name, place.read_only, path) == ("shared", True, ("templates", "a"))
    assert workspaces.place(workspace, parse_path("inputs/shared")) == (workspace, ("inputs", "shared"))
    assert workspaces.place(workspace, ()) == (workspace, ())


def test_nobody_changes_the_shared_resources(workspaces: Workspaces) -> None:
    shared = workspaces.shared(workspaces.workspace(NAME, UID).owner)
    put(workspaces.data_dir / "shared/templates/a", uid=0)
    for path in (("templates", "a"), ("templates",), ("new",)):
        with pytest.raises(ReadOnlyError, match="shared/"):
            remove(shared, path)
        with pytest.raises(ReadOnlyError):
            make_directory(shared, path, Quota(10, 10))
        with pytest.raises(ReadOnlyError):
            Upload(shared, path, limit_bytes=10, quota=Quota(10, 10), reserve_bytes=0)


def test_what_the_server_keeps_in_a_workspace_is_not_a_clients_to_replace(workspace: Workspace) -> None:
    for path in (("session.json",), ("inputs",)):
        with pytest.raises(ReadOnlyError):
            Upload(workspace, path, limit_bytes=10, quota=Quota(10, 10), reserve_bytes=0)
    with pytest.raises(ReadOnlyError):
        remove(workspace, ("session.json",))
    with pytest.raises(SecurityError):
        remove(workspace, ())
