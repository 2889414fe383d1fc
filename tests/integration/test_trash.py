"""Deleting that can be undone, and renaming, over HTTP: of the session's own files, and no task gets at the trash."""

import io
import time
import zipfile

import httpx
import pytest

from tests.integration.clients import dashboard, ended, submit
from tests.server import Server

WORKSPACE = "/api/workspace/127.0.0.1"
FILES = f"{WORKSPACE}/files"


def _put(client: httpx.Client, path: str, data: bytes = b"whale") -> None:
    client.put(f"{FILES}/{path}", content=data).raise_for_status()


def _names(client: httpx.Client, path: str) -> list[str]:
    return [entry["name"] for entry in client.get(FILES, params={"path": path}).json()["entries"]]


def _throw(client: httpx.Client, path: str) -> str:
    answer = client.post(f"{WORKSPACE}/trash", json={"path": path})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_delete_and_undo(client: httpx.Client, server: Server) -> None:
    _put(client, "inputs/undo/a.txt")
    with dashboard(server) as live:
        kept = _throw(client, "inputs/undo")
        assert live.event("workspace_changed")["path"] == "inputs/undo"
    assert "undo" not in _names(client, "inputs")
    entry = client.get(f"{WORKSPACE}/trash").json()["entries"][0]
    assert (entry["id"], entry["path"], entry["type"]) == (kept, "inputs/undo", "directory")
    archive = client.get(f"{WORKSPACE}/archive", params={"path": ""})
    assert not [name for name in zipfile.ZipFile(io.BytesIO(archive.content)).namelist() if "undo" in name]
    _put(client, "inputs/undo", b"new")
    refused = client.post(f"{WORKSPACE}/trash/{kept}/restore", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    restored = client.post(f"{WORKSPACE}/trash/{kept}/restore", json={"to": "inputs/undo-2"})
    assert restored.json()["path"] == "inputs/undo-2"
    assert client.get(f"{FILES}/inputs/undo-2/a.txt").content == b"whale"
    assert client.post(f"{WORKSPACE}/trash/{kept}/restore", json={}).status_code == 404


def test_its_bytes_count_until_it_is_emptied(client: httpx.Client) -> None:
    _put(client, "inputs/large", bytes(range(256)) * 40_000)
    kept = _throw(client, "inputs/large")
    end = time.monotonic() + 20
    while client.get("/api/dashboard/127.0.0.1").json()["workspace_usage"]["trash_mb"] < 9:
        assert time.monotonic() < end
        time.sleep(0.1)
    usage = client.get("/api/dashboard/127.0.0.1").json()["workspace_usage"]
    assert usage["size_mb"] >= usage["trash_mb"]
    assert client.delete(f"{WORKSPACE}/trash/{kept}").status_code == 204
    assert client.delete(f"{WORKSPACE}/trash/{kept}").status_code == 404
    _put(client, "inputs/other")
    _throw(client, "inputs/other")
    assert client.delete(f"{WORKSPACE}/trash").status_code == 204
    assert client.get(f"{WORKSPACE}/trash").json()["entries"] == []


def test_a_task_whose_directory_is_thrown_away_does_not_get_out_by_it(client: httpx.Client) -> None:
    _put(client, "inputs/home/a.txt")
    task = submit(
        client,
        "cd inputs/home; echo here; while [ -e /workspace/inputs/home ]; do sleep 0.1; done;"
        " ls -la .. 2>&1; cat ../facts ../../*/facts 2>&1; touch ../planted 2>&1;"
        " ls /workspace/inputs/../..; echo over",
    )
    end = time.monotonic() + 30
    while "here" not in client.get(f"/api/task/{task}/log").text:
        assert time.monotonic() < end
        time.sleep(0.1)
    kept = _throw(client, "inputs/home")
    ended(client, task)
    said = client.get(f"/api/task/{task}/log").text
    assert "over" in said
    assert "deleted_at" not in said
    assert kept not in said
    client.post(f"{WORKSPACE}/trash/{kept}/restore", json={}).raise_for_status()
    assert _names(client, "inputs/home") == ["a.txt"]


def test_a_task_sees_nothing_of_it(client: httpx.Client) -> None:
    _put(client, "inputs/secret-name")
    kept = _throw(client, "inputs/secret-name")
    task = ended(client, submit(client, "find / -xdev 2>/dev/null | grep -e trash/ -e secret-name; find /workspace"))
    said = client.get(f"/api/task/{task['task_id']}/log").text
    assert "secret-name" not in said
    assert kept not in said


def test_another_session_finds_nothing(client: httpx.Client, other: httpx.Client) -> None:
    _put(client, "inputs/mine")
    kept = _throw(client, "inputs/mine")
    for answer in (
        other.get(f"{WORKSPACE}/trash"),
        other.post(f"{WORKSPACE}/trash/{kept}/restore", json={}),
        other.post(f"{WORKSPACE}/move", json={"from": "inputs/mine", "to": "inputs/yours"}),
        other.post(f"/api/workspace/127.0.0.2/trash/{kept}/restore", json={}),
        other.delete(f"/api/workspace/127.0.0.2/trash/{kept}"),
    ):
        assert answer.status_code == 404, answer.text
    client.post(f"{WORKSPACE}/trash/{kept}/restore", json={}).raise_for_status()


@pytest.mark.parametrize("path", ["shared", "shared/templates", "../x", "/etc/passwd", "session.json", "", "inputs/\0"])
def test_what_cannot_be_thrown_away(client: httpx.Client, path: str) -> None:
    assert client.post(f"{WORKSPACE}/trash", json={"path": path}).status_code in (400, 403, 404, 422)


def test_renaming(client: httpx.Client) -> None:
    _put(client, "inputs/old.txt")
    _put(client, "inputs/taken.txt", b"crab")

    def move(source: str, target: str) -> httpx.Response:
        return client.post(f"{WORKSPACE}/move", json={"from": source, "to": target})

    assert move("inputs/old.txt", "inputs/taken.txt").status_code == 409
    assert move("inputs/old.txt", "shared/templates/x").status_code == 403
    assert move("shared/templates", "inputs/templates").status_code == 403
    assert move("inputs/old.txt", "nowhere/x").status_code == 409
    assert move("inputs/none", "inputs/x").status_code == 404
    answer = move("inputs/old.txt", "outputs/new.txt")
    assert (answer.status_code, answer.json()["path"], answer.json()["size"]) == (200, "outputs/new.txt", 5)
    assert client.get(f"{FILES}/outputs/new.txt").content == b"whale"
    assert client.get(f"{FILES}/inputs/taken.txt").content == b"crab"


def test_renaming_what_a_task_named(client: httpx.Client) -> None:
    ended(client, submit(client, """python3 -c "open(b'inputs/a\\nb\\xff','w').write('whale')" """))
    name = next(name for name in _names(client, "inputs") if name.startswith("a\n"))
    client.post(f"{WORKSPACE}/move", json={"from": f"inputs/{name}", "to": "inputs/plain"}).raise_for_status()
    assert client.get(f"{FILES}/inputs/plain").content == b"whale"


def test_the_audit_log_says_what_was_deleted_moved_and_restored(client: httpx.Client, server: Server) -> None:
    client.post(f"{WORKSPACE}/directory", json={"path": "inputs/seen"}).raise_for_status()
    _put(client, "inputs/seen/a")
    client.post(f"{WORKSPACE}/move", json={"from": "inputs/seen/a", "to": "inputs/seen/b"}).raise_for_status()
    kept = _throw(client, "inputs/seen/b")
    client.post(f"{WORKSPACE}/trash/{kept}/restore", json={"to": "temp/c"}).raise_for_status()
    wanted = {
        ("directory", "127.0.0.1 inputs/seen"),
        ("move", "127.0.0.1 inputs/seen/a inputs/seen/b"),
        ("trash", "127.0.0.1 inputs/seen/b"),
        ("trash/{trash_id}/restore", f"127.0.0.1 {kept} temp/c"),
    }
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.admin_token}"}) as owner:

        def noted() -> set[tuple[str, str]]:
            entries = owner.get("/api/admin/audit?most=200").json()["entries"]
            return {(one["operation"].rpartition("{client_ip}/")[2], one["object"]) for one in entries}

        end = time.monotonic() + 20
        while not wanted <= noted():  # it is written in batches
            assert time.monotonic() < end, wanted - noted()
            time.sleep(0.1)


def test_nothing_is_restored_into_the_shared_resources(client: httpx.Client, server: Server) -> None:
    _put(client, "inputs/mine")
    kept = _throw(client, "inputs/mine")
    for place in ("shared", "shared/templates/mine"):
        answer = client.post(f"{WORKSPACE}/trash/{kept}/restore", json={"to": place})
        assert (answer.status_code, answer.json()["code"]) == (403, "read_only")
    assert not (server.data_dir / ".lan_session_manager/uploads/shared").exists()
    client.post(f"{WORKSPACE}/trash/{kept}/restore", json={}).raise_for_status()
