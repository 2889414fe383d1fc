"""Files of root in a workspace, whatever brought them there: the server does nothing with them as root.

A task cannot make such a link, nor move such a file in; an older kernel, or a careless owner, could.
"""

import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lan_session_manager.errors import ConflictError, LSMError
from lan_session_manager.workspace import Quota, Workspace, Workspaces
from lan_session_manager.workspace.archive import archive
from lan_session_manager.workspace.download import Download
from lan_session_manager.workspace.listing import EntryType, list_directory
from lan_session_manager.workspace.paths import parse_path
from lan_session_manager.workspace.remove import make_directory, remove
from lan_session_manager.workspace.upload import Upload

from .conftest import NAME, UID, put

ROOMY = Quota(1 << 40, 1 << 40)
SECRET = b"the canary's song"


@pytest.fixture
def foreign(disk: Path, tmp_path: Path) -> Path:
    """A file and a directory of root's that only root may open, hard-linked and moved into inputs/."""
    kept = tmp_path / "kept"
    kept.write_bytes(SECRET)
    kept.chmod(0o600)
    os.link(kept, disk / "inputs/linked")
    (disk / "inputs/moved").write_bytes(SECRET)
    (disk / "inputs/moved").chmod(0o600)
    (disk / "inputs/directory").mkdir(mode=0o700)
    (disk / "inputs/directory/file").write_bytes(SECRET)
    return kept


def facts(path: Path) -> tuple[object, ...]:
    info = path.lstat()
    return info.st_ino, info.st_mode, info.st_uid, info.st_gid, info.st_size, info.st_mtime_ns, path.read_bytes()


def upload(workspace: Workspace, text: str) -> None:
    with Upload(workspace, parse_path(text), limit_bytes=100, quota=ROOMY, reserve_bytes=0) as arriving:
        arriving.write(b"mine")
        arriving.commit()


@pytest.mark.parametrize("name", ["linked", "moved", "directory/file"])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_they_are_not_downloaded(workspace: Workspace, disk: Path, foreign: Path, name: str, mode: int) -> None:
    (disk / "inputs" / name).chmod(mode)
    with pytest.raises(ConflictError):
        Download(workspace, parse_path(f"inputs/{name}"))


def test_an_archive_has_nothing_of_them_and_says_that_it_is_not_complete(workspace: Workspace, foreign: Path) -> None:
    data = b"".join(archive(workspace, ("inputs",)))
    assert SECRET not in data
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        assert [name for name in made.namelist() if not name.endswith("/")] == ["inputs/ARCHIVE-INCOMPLETE.txt"]


def test_a_directory_of_root_is_neither_listed_nor_written_to(workspace: Workspace, disk: Path, foreign: Path) -> None:
    entries = list_directory(workspace, ("inputs",)).entries
    assert [entry.type for entry in entries] == [EntryType.DIRECTORY, EntryType.FILE, EntryType.FILE]
    attempts: list[Callable[[], object]] = [
        lambda: list_directory(workspace, ("inputs", "directory")),
        lambda: upload(workspace, "inputs/directory/file"),
        lambda: upload(workspace, "inputs/directory/new"),
        lambda: make_directory(workspace, ("inputs", "directory", "new"), ROOMY),
        lambda: remove(workspace, ("inputs", "directory", "file")),
        lambda: remove(workspace, ("inputs", "directory")),
        lambda: remove(workspace, ("inputs",)),
    ]
    for attempt in attempts:
        with pytest.raises(LSMError):
            attempt()
    info = (disk / "inputs/directory").stat()
    assert (info.st_uid, stat.S_IMODE(info.st_mode)) == (0, 0o700)
    assert os.listdir(disk / "inputs/directory") == ["file"]
    assert (disk / "inputs/directory/file").read_bytes() == SECRET


def test_a_directory_that_root_opened_to_all_for_reading_is_not_emptied(workspace: Workspace, disk: Path) -> None:
    put(disk / "temp/open/file", SECRET, 0)
    with pytest.raises(LSMError):
        remove(workspace, ("temp", "open"))
    assert (disk / "temp/open/file").read_bytes() == SECRET


def test_their_names_go_as_a_task_may_make_them_go_and_the_files_stay(
    workspace: Workspace, disk: Path, foreign: Path
) -> None:
    before = facts(foreign)
    remove(workspace, ("inputs", "linked"))
    assert not (disk / "inputs/linked").exists()
    assert facts(foreign) == before


def test_an_upload_takes_their_name_and_changes_nothing_of_them(
    workspace: Workspace, disk: Path, foreign: Path
) -> None:
    before = facts(foreign)
    upload(workspace, "inputs/linked")
    assert (disk / "inputs/linked").read_bytes() == b"mine"
    assert (disk / "inputs/linked").stat().st_uid == UID
    assert facts(foreign) == before


def test_a_foreign_file_in_the_place_of_the_facts_is_replaced(workspace: Workspace, disk: Path, foreign: Path) -> None:
    before = facts(foreign)
    os.rename(disk / "inputs/linked", disk / "session.json")
    workspace.write_facts({"total_tasks": 1})
    assert (disk / "session.json").stat().st_uid == UID
    assert facts(foreign) == before


def test_a_foreign_directory_in_the_place_of_one_of_the_three_is_moved_aside(
    workspace: Workspace, disk: Path, foreign: Path
) -> None:
    os.rmdir(disk / "outputs")
    os.rename(disk / "inputs/directory", disk / "outputs")
    workspace.create()
    assert (disk / "outputs").stat().st_uid == UID
    info = (disk / "outputs.1").stat()
    assert (info.st_uid, stat.S_IMODE(info.st_mode)) == (0, 0o700)
    assert (disk / "outputs.1/file").read_bytes() == SECRET


def test_what_they_take_counts(workspace: Workspace, disk: Path, foreign: Path) -> None:
    found = workspace.meter.scan()
    assert (found.files, found.directories, found.complete) == (3, 1, True)


def test_of_what_the_owner_shares_a_session_reads_what_all_may_read(workspaces: Workspaces) -> None:
    shared = workspaces.data_dir / "shared/references"
    for name, mode in (("open", 0o644), ("locked", 0o600), ("for-the-group", 0o640)):
        put(shared / name, SECRET, 0).chmod(mode)
    put(shared / "private/file", SECRET, 0)
    (shared / "private").chmod(0o700)
    place = workspaces.shared(workspaces.workspace(NAME, UID).owner)
    with Download(place, parse_path("references/open")) as opened:
        assert b"".join(opened.read()) == SECRET
    for name in ("locked", "for-the-group", "private/file"):
        with pytest.raises(ConflictError):
            Download(place, parse_path(f"references/{name}"))
    with pytest.raises(ConflictError):
        list_directory(place, ("references", "private"))
    data = b"".join(archive(place, ("references",)))
    assert data.count(SECRET) == 1
    assert stat.S_IMODE((shared / "locked").stat().st_mode) == 0o600
    assert stat.S_IMODE((shared / "private").stat().st_mode) == 0o700


def test_what_is_staged_is_the_sessions_where_no_other_session_comes(workspaces: Workspaces, disk: Path) -> None:
    workspace = workspaces.workspace(NAME, UID)
    with Upload(workspace, ("inputs", "a"), limit_bytes=100, quota=ROOMY, reserve_bytes=0) as arriving:
        (staged,) = workspace.staging.iterdir()
        for path, mode in ((workspace.staging, 0o700), (staged, 0o600)):
            info = path.stat()
            assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (UID, UID, mode)
        assert workspace.staging.parent.stat().st_uid == 0
        assert stat.S_IMODE(workspace.staging.parent.stat().st_mode) == 0o700
        arriving.commit()
    assert (disk / "inputs/a").exists()
    assert workspaces.workspace("192_168_1_101", UID + 65536).staging != workspace.staging


def test_a_staging_directory_that_was_not_given_away_is_given_now(workspaces: Workspaces) -> None:
    workspace = workspaces.workspace(NAME, UID)
    workspace.create()
    workspace.staging.mkdir(mode=0o700)
    upload(workspace, "inputs/a")
    assert workspace.staging.stat().st_uid == UID
