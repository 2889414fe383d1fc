import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lan_session_manager.workspace import Workspaces

from .conftest import NAME, UID, put

pytestmark = pytest.mark.usefixtures("workspace")


@pytest.fixture(autouse=True)
def _where_clients_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "user_sessions/192_168_1_100/inputs/data.csv",
        "user_sessions/192_168_1_100/inputs/not/yet/there",
        "user_sessions/192_168_1_100",
        "./user_sessions//192_168_1_100/./inputs/data.csv",
        "user_sessions/192_168_1_100/session.json",
        "192_168_1_100/inputs/data.csv",
        "inputs/data.csv",
        "outputs",
        "temp/new",
        "user_sessions/shared/templates/a",
        "shared/references",
        "inputs/a\nb",
        "inputs/..a",
        "inputs/data.csv/below a file",
    ],
)
def test_what_is_inside_is_accepted_however_it_is_spelled(workspaces: Workspaces, disk: Path, text: str) -> None:
    put(disk / "inputs/data.csv")
    assert workspaces.is_inside(NAME, text)
    if text.startswith("user_sessions"):
        assert workspaces.is_inside(NAME, os.path.join(os.getcwd(), text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        ".",
        "user_sessions",
        "user_sessions/192_168_1_101/inputs/data.csv",
        "192_168_1_101/inputs/data.csv",
        "user_sessions/192_168_1_1000/inputs",
        "user_sessions/192_168_1_10",
        "user_sessions/.lan_session_manager/state.db",
        ".lan_session_manager/admin-token",
        "user_sessions/192_168_1_100/../192_168_1_101/inputs",
        "user_sessions/192_168_1_100/inputs/../../../../etc/passwd",
        "inputs/../outputs",
        "../etc/passwd",
        "/etc/passwd",
        "/proc/self/root",
        "outside/secret",
        "data.csv",
        "user_sessions/192_168_1_100/inputs/\0",
        "inputs/\ud800",
        "inputs/" + "x" * 256,
        "x" * 1_000_000,
        "a/" * 500_000,
        "~/x",
        "file:///etc/passwd",
    ],
)
def test_what_is_elsewhere_is_refused(workspaces: Workspaces, canary: Path, text: str) -> None:
    assert not workspaces.is_inside(NAME, text)


def test_the_usual_name_of_the_data_directory_means_this_one(tmp_path: Path) -> None:
    workspaces = Workspaces(tmp_path / "elsewhere" / "data")
    workspaces.prepare()
    workspaces.workspace(NAME, UID).create()
    assert workspaces.is_inside(NAME, "user_sessions/192_168_1_100/inputs/data.csv")
    assert workspaces.is_inside(NAME, "data/192_168_1_100/inputs/data.csv")
    assert workspaces.is_inside(NAME, str(tmp_path / "elsewhere/data/192_168_1_100/inputs"))
    assert not workspaces.is_inside(NAME, "user_sessions/192_168_1_101/inputs/data.csv")
    assert not workspaces.is_inside(NAME, str(tmp_path / "user_sessions/192_168_1_100/inputs"))


def test_a_data_directory_named_like_one_in_a_workspace_opens_no_other_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspaces = Workspaces(tmp_path / "inputs")
    workspaces.prepare()
    for _ in range(2):
        assert not workspaces.is_inside(NAME, "inputs/192_168_1_101/outputs/a")
        monkeypatch.chdir("/")


def test_a_client_inside_of_the_workspace_names_files_from_there(
    workspaces: Workspaces, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(disk / "inputs")
    assert workspaces.is_inside(NAME, "data.csv")
    assert not workspaces.is_inside("192_168_1_101", "data.csv")


def test_a_data_directory_behind_a_link_of_the_owner_is_the_same(tmp_path: Path, workspaces: Workspaces) -> None:
    (tmp_path / "short").symlink_to(workspaces.data_dir)
    short = Workspaces(tmp_path / "short")
    assert short.is_inside(NAME, str(workspaces.data_dir / NAME / "inputs"))
    assert short.is_inside(NAME, str(tmp_path / "short" / NAME / "inputs"))


def test_a_link_is_refused_wherever_it_leads(workspaces: Workspaces, disk: Path, canary: Path) -> None:
    (disk / "inputs/out").symlink_to(canary)
    (disk / "inputs/in").symlink_to("../outputs")
    (disk / "inputs/nowhere").symlink_to("missing")
    (disk.parent / "shared/templates/out").symlink_to(canary)
    for text in ("inputs/out", "inputs/out/secret", "inputs/out/missing", "inputs/in/x", "inputs/nowhere"):
        assert not workspaces.is_inside(NAME, text)
        assert not workspaces.is_inside(NAME, f"user_sessions/{NAME}/{text}")
    assert not workspaces.is_inside(NAME, "shared/templates/out/secret")


def test_what_is_no_file_of_the_session_is_refused(workspaces: Workspaces, disk: Path, canary: Path) -> None:
    os.link(canary / "secret", disk / "inputs/hard")
    os.mkfifo(disk / "inputs/pipe")
    put(disk.parent / "shared/templates/a", uid=0)
    assert not workspaces.is_inside(NAME, "inputs/hard")
    assert not workspaces.is_inside(NAME, "inputs/pipe")
    assert workspaces.is_inside(NAME, "shared/templates/a")


def test_a_name_with_other_bytes_than_utf_8_is_one_of_the_files(workspaces: Workspaces, disk: Path) -> None:
    os.symlink("/etc", os.path.join(os.fsencode(disk), b"inputs", b"\xff"))
    assert not workspaces.is_inside(NAME, os.fsdecode(os.path.join(os.fsencode(disk), b"inputs/\xff")))
    assert workspaces.is_inside(NAME, os.fsdecode(os.path.join(os.fsencode(disk), b"inputs/\xfe")))


def test_what_is_not_text_is_refused(workspaces: Workspaces) -> None:
    for thing in (None, 1, b"inputs", ["inputs"]):
        assert not workspaces.is_inside(NAME, thing)  # type: ignore[arg-type]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(max_size=50),
        st.lists(
            st.sampled_from(["user_sessions", NAME, "192_168_1_101", "inputs", "shared", "..", ".", "", "\0", "é"]),
            max_size=8,
        ).map("/".join),
    )
)
@example("user_sessions/192_168_1_100/..")
def test_nothing_is_ever_accepted_that_a_plain_reading_puts_outside(workspaces: Workspaces, text: str) -> None:
    accepted = workspaces.is_inside(NAME, text)
    names = [name for name in text.split("/") if name not in ("", ".")]
    if accepted:
        assert ".." not in names
        assert "\0" not in text
        if names[0] == "user_sessions":
            names.pop(0)
        assert names[0] in (NAME, "inputs", "shared")
