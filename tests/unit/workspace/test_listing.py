import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lan_session_manager.errors import NotFoundError, SecurityError
from lan_session_manager.workspace import Workspace, listing
from lan_session_manager.workspace.download import Download
from lan_session_manager.workspace.listing import Entry, EntryType, entry_of, list_directory
from lan_session_manager.workspace.paths import parse_path
from lan_session_manager.workspace.remove import remove

from .conftest import UID, put

names = (
    st.binary(min_size=1, max_size=30)
    .map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
    .filter(lambda name: name not in (b".", b".."))
)


def test_a_listing_has_directories_first_and_says_what_each_entry_is(workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/b.txt", b"12345")
    put(disk / "inputs/A.txt", b"")
    put(disk / "inputs/zebra/x")
    os.utime(disk / "inputs/b.txt", (1000.5, 1000.5))
    (disk / "inputs/link").symlink_to("/etc")
    os.mkfifo(disk / "inputs/pipe")
    found = list_directory(workspace, ("inputs",))
    assert [(entry.name, entry.type, entry.size) for entry in found.entries] == [
        ("zebra", EntryType.DIRECTORY, 0),
        ("A.txt", EntryType.FILE, 0),
        ("b.txt", EntryType.FILE, 5),
        ("link", EntryType.OTHER, 0),
        ("pipe", EntryType.OTHER, 0),
    ]
    assert found.entries[2] == Entry("b.txt", EntryType.FILE, 5, 1000.5)
    assert not found.truncated


@pytest.mark.parametrize("when", [-(2**62), -1, 0, 2**62])
def test_whatever_time_a_task_gives_a_file_a_calendar_has_it(when: int) -> None:
    info = os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, 5, 0, when, 0))
    told = datetime.fromtimestamp(entry_of(b"a", info).modified, UTC)
    assert (told.timestamp() == when) == (abs(when) < 2**40)


def test_the_workspace_itself_can_be_listed(workspace: Workspace) -> None:
    assert [entry.name for entry in list_directory(workspace, ()).entries] == ["inputs", "outputs", "temp"]


def test_a_directory_with_too_much_in_it_is_cut(
    workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST", 3)
    for n in range(3):
        put(disk / f"inputs/{n}")
    assert not list_directory(workspace, ("inputs",)).truncated
    put(disk / "inputs/4")
    cut = list_directory(workspace, ("inputs",))
    assert (len(cut.entries), cut.truncated) == (3, True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(names, min_size=1, max_size=5))
def test_whatever_a_task_calls_a_file_a_client_can_read_and_delete_it(
    workspace: Workspace, disk: Path, created: set[bytes]
) -> None:
    for name in created:
        path = os.path.join(os.fsencode(disk), b"inputs", name)
        with open(path, "wb") as file:
            file.write(name)
        os.chown(path, UID, UID)
    entries = list_directory(workspace, ("inputs",)).entries
    assert len(entries) == len(created)
    read = set()
    for entry in entries:
        sent = json.loads(json.dumps(entry.name).encode())
        path_again = parse_path(f"inputs/{sent}")
        with Download(workspace, path_again) as download:
            read.add(b"".join(download.read()))
        remove(workspace, path_again)
    assert read == created
    assert list_directory(workspace, ("inputs",)).entries == ()


def test_what_is_no_directory_or_behind_a_link_is_not_listed(workspace: Workspace, disk: Path, canary: Path) -> None:
    put(disk / "inputs/file")
    (disk / "inputs/link").symlink_to(canary)
    (disk / "inputs/inner").symlink_to("../outputs")
    for name in ("file", "missing"):
        with pytest.raises(NotFoundError):
            list_directory(workspace, ("inputs", name))
    for name in ("link", "inner"):
        with pytest.raises(SecurityError):
            list_directory(workspace, ("inputs", name))
