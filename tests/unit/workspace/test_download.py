import os
from pathlib import Path

import pytest

from lan_session_manager.errors import ConflictError, NotFoundError, RangeError, SecurityError
from lan_session_manager.workspace import Workspace, download
from lan_session_manager.workspace.download import Download

from .conftest import put


def test_a_file_is_read_whole_and_in_ranges(workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CHUNK", 4)
    put(disk / "outputs/a.csv", b"0123456789")
    os.utime(disk / "outputs/a.csv", (1000.5, 1000.5))
    with Download(workspace, ("outputs", "a.csv")) as opened:
        assert (opened.name, opened.size, opened.modified) == ("a.csv", 10, 1000.5)
        assert list(opened.read()) == [b"0123", b"4567", b"89"]
        assert b"".join(opened.read(9)) == b"9"
        assert b"".join(opened.read(3, 5)) == b"34"
        assert b"".join(opened.read(8, 99)) == b"89"
        for first in (10, 11, -1):
            with pytest.raises(RangeError, match="there are 10 bytes"):
                opened.read(first)


def test_an_empty_file_has_no_bytes_and_no_ranges(workspace: Workspace, disk: Path) -> None:
    put(disk / "outputs/empty", b"")
    with Download(workspace, ("outputs", "empty")) as opened:
        assert list(opened.read()) == []
        with pytest.raises(RangeError):
            opened.read(1)


def test_a_file_that_grows_gives_what_it_had_and_one_that_shrinks_ends(workspace: Workspace, disk: Path) -> None:
    path = put(disk / "outputs/log", b"x" * 100)
    with Download(workspace, ("outputs", "log")) as opened:
        with path.open("ab") as file:
            file.write(b"y" * 1000)
        assert b"".join(opened.read()) == b"x" * 100
        assert b"".join(opened.read(90, 500)) == b"x" * 10
        os.truncate(path, 40)
        assert b"".join(opened.read()) == b"x" * 40
        os.truncate(path, 0)
        assert b"".join(opened.read(50)) == b""


def test_a_file_that_is_deleted_meanwhile_is_read_to_its_end(workspace: Workspace, disk: Path) -> None:
    path = put(disk / "outputs/log", b"x" * 100)
    with Download(workspace, ("outputs", "log")) as opened:
        path.unlink()
        put(path, b"another")
        assert b"".join(opened.read()) == b"x" * 100


def test_the_tag_of_a_file_changes_with_it(workspace: Workspace, disk: Path) -> None:
    def tag() -> str:
        with Download(workspace, ("outputs", "a")) as opened:
            return opened.etag

    put(disk / "outputs/a", b"one")
    first = tag()
    assert tag() == first
    os.utime(disk / "outputs/a", (1, 1))
    assert tag() != first


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xml", "a.pdf", "a.js", "a", "a.txt.html", ".txt"])
def test_what_a_browser_might_run_is_a_stream_of_bytes(workspace: Workspace, disk: Path, name: str) -> None:
    put(disk / "outputs" / name)
    with Download(workspace, ("outputs", name)) as opened:
        assert opened.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.TXT", "text/plain; charset=utf-8"), ("a.csv", "text/plain; charset=utf-8"), ("a.png", "image/png")],
)
def test_text_and_pictures_have_their_type(workspace: Workspace, disk: Path, name: str, kind: str) -> None:
    put(disk / "outputs" / name)
    with Download(workspace, ("outputs", name)) as opened:
        assert opened.content_type == kind


def test_only_regular_files_of_the_session_are_given_out(workspace: Workspace, disk: Path, canary: Path) -> None:
    (disk / "outputs/link").symlink_to(canary / "secret")
    os.link(canary / "secret", disk / "outputs/hard")
    with pytest.raises(SecurityError):
        Download(workspace, ("outputs", "link"))
    for path in (("outputs", "hard"), ("outputs",), ()):
        with pytest.raises(ConflictError):
            Download(workspace, path)
    with pytest.raises(NotFoundError):
        Download(workspace, ("outputs", "missing"))


def test_closing_twice_closes_no_other_file(workspace: Workspace, disk: Path) -> None:
    put(disk / "outputs/a")
    opened = Download(workspace, ("outputs", "a"))
    reader = opened.read()
    opened.close()
    other = os.open(disk / "other", os.O_CREAT | os.O_RDONLY)
    opened.close()
    assert list(reader) == []
    os.close(other)
