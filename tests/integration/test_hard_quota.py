"""With LSM_QUOTA_MODE=hard the kernel keeps each session within its quota, here by an image of its own for each."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lan_session_manager import LANSessionManager
from tests.integration.clients import device, ended, submit, wait_for
from tests.integration.volumes import devices, image, is_whole, needs_images
from tests.server import Server, start_server

pytestmark = needs_images

MB = 1024 * 1024
WATCH = {"WORKSPACE_QUOTA_MB": "20", "LSM_WORKSPACE_FILES": "1000", "LSM_SLOTS": "4"}
HARD = {**WATCH, "LSM_QUOTA_MODE": "hard"}
WRITE = "i=0; while :; do i=$((i + 1)); head -c 1M /dev/zero > outputs/$i || exit 3; done"
UNTIL_GO = "echo begun; until [ -e go ]; do sleep 0.05; done"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server"), env=HARD) as server:
        yield server
    assert devices(server.data_dir) == []


def _run(client: httpx.Client, command: str, **fields: Any) -> dict[str, Any]:
    return ended(client, submit(client, command, **fields))


def _begun(client: httpx.Client, command: str) -> str:
    task_id = submit(client, command)
    wait_for(client, task_id, lambda _: client.get(f"/api/task/{task_id}/log").text)
    return task_id


def _used(workspace: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in workspace.rglob("*"))


def _go(client: httpx.Client, address: str = "127.0.0.1") -> None:
    client.put(f"/api/workspace/{address}/files/go", content=b"").raise_for_status()


def test_the_start_and_health_say_how_quotas_are_kept(server: Server, client: httpx.Client) -> None:
    line = "kept by the kernel: a disk image for each session"
    assert line in server.output
    assert client.get("/api/system/health").json()["disk_quotas"] == line


def test_a_writer_at_full_speed_meets_its_quota_and_nobody_elses(server: Server) -> None:
    with device(server, "127.0.0.30") as client, device(server, "127.0.0.31") as other:
        task = _run(client, WRITE)
        assert (task["status"], task["reason"], task["exit_code"]) == ("failed", "disk_quota", 3)
        assert "The workspace was full" in task["detail"]
        assert 19 * MB < _used(server.data_dir / "127_0_0_30" / "outputs") <= 20 * MB
        assert _run(other, "head -c 15M /dev/zero > outputs/a")["status"] == "completed"


def test_a_task_that_goes_on_in_a_full_workspace_is_not_stopped(server: Server) -> None:
    with device(server, "127.0.0.32") as client:
        assert _run(client, f"({WRITE}); rm outputs/*; echo more > outputs/a")["status"] == "completed"


def test_a_task_makes_as_many_files_as_it_may_and_hardly_more(server: Server) -> None:
    with device(server, "127.0.0.33") as client:
        make = "import itertools, os; [os.mkdir(f'temp/{number}') for number in itertools.count()]"
        assert _run(client, make, runner="python")["reason"] == "disk_quota"
        assert 990 <= len(list((server.data_dir / "127_0_0_33" / "temp").iterdir())) <= 1016
        answer = client.put("/api/workspace/127.0.0.33/files/inputs/a", content=b"x")
        assert (answer.status_code, "1000 files" in answer.json()["error"]) == (413, True), answer.text


def test_usage_is_the_kernels_at_any_moment(server: Server) -> None:
    with device(server, "127.0.0.34") as client:
        _run(client, "head -c 7M /dev/zero > outputs/a; mkdir temp/b; sync outputs/a")
        usage = client.get("/api/dashboard/127.0.0.34").json()["workspace_usage"]
        assert 7 <= usage["size_mb"] < 7.1
        assert usage["file_count"] in (1, 2)  # with the directory, until a scan has told the two apart


def test_what_is_deleted_stays_in_the_image_until_its_room_is_needed(server: Server) -> None:
    with device(server, "127.0.0.36") as client:
        workspace = "/api/workspace/127.0.0.36"

        def deleted() -> list[str]:
            return [entry["path"] for entry in client.get(f"{workspace}/trash").json()["entries"]]

        client.put(f"{workspace}/files/inputs/a", content=os.urandom(8 * MB)).raise_for_status()
        kept = client.post(f"{workspace}/trash", json={"path": "inputs/a"}).json()["id"]
        until = time.monotonic() + 20
        while client.get("/api/dashboard/127.0.0.36").json()["workspace_usage"]["trash_mb"] < 8:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert 8 <= client.get("/api/dashboard/127.0.0.36").json()["workspace_usage"]["size_mb"] < 8.2
        client.post(f"{workspace}/trash/{kept}/restore", json={}).raise_for_status()
        client.post(f"{workspace}/trash", json={"path": "inputs/a"}).raise_for_status()
        client.put(f"{workspace}/files/inputs/b", content=os.urandom(9 * MB)).raise_for_status()
        assert deleted() == ["inputs/a"]
        client.put(f"{workspace}/files/inputs/c", content=os.urandom(6 * MB)).raise_for_status()
        assert deleted() == []
        client.post(f"{workspace}/move", json={"from": "inputs/c", "to": "outputs/c"}).raise_for_status()
        _run(client, "head -c 4500k /dev/zero > outputs/d; sync outputs/d")
        client.post(f"{workspace}/trash", json={"path": "inputs/b"}).raise_for_status()
        assert client.get(f"{workspace}/files/outputs/c").status_code == 200


def test_an_upload_into_a_full_workspace_is_refused_for_its_quota_and_not_for_the_disk(server: Server) -> None:
    with device(server, "127.0.0.35") as client:
        path = "/api/workspace/127.0.0.35/files/inputs"
        assert client.put(f"{path}/a", content=bytes(15 * MB)).status_code == 201
        for announced in (True, False):
            content = bytes(6 * MB) if announced else (bytes(MB) for _ in range(6))
            answer = client.put(f"{path}/b", content=content)
            assert (answer.status_code, "20 MB may be used" in answer.json()["error"]) == (413, True), answer.text
        assert client.delete(f"{path}/a").is_success
        assert client.put(f"{path}/b", content=bytes(15 * MB)).status_code == 201
        assert client.get(f"{path}/b").content == bytes(15 * MB)


def test_a_task_sees_of_its_image_no_path_of_the_host(server: Server, client: httpx.Client) -> None:
    task = _run(client, "grep ' /workspace ' /proc/self/mountinfo")
    fields = client.get(f"/api/task/{task['task_id']}/log").text.split()
    assert fields[3:5] == ["/workspace", "/workspace"]
    assert {"nosuid", "nodev"} <= set(fields[5].split(","))
    assert fields[-2].startswith("/dev/loop")


def test_an_orchestrator_makes_and_fills_a_workspace_that_the_kernel_holds_as_well(server: Server) -> None:
    manager = LANSessionManager(server.data_dir)
    try:
        session = manager.create_session("127.0.0.37")
        given = session.workspace / "inputs" / "a"
        given.write_text("from beside the server")
        owner = os.stat(session.workspace)
        os.chown(given, owner.st_uid, owner.st_gid)
        assert image(server.data_dir, "127_0_0_37").exists()
    finally:
        manager.close()
    with device(server, "127.0.0.37") as client:
        assert _run(client, WRITE)["reason"] == "disk_quota"
        assert client.get("/api/workspace/127.0.0.37/files/inputs/a").text == "from beside the server"


def test_an_owner_who_gives_more_is_obeyed_at_the_next_task(server: Server) -> None:
    with device(server, "127.0.0.36") as client, device(server, "127.0.0.9", server.admin_token) as admin:
        assert _run(client, WRITE)["reason"] == "disk_quota"
        admin.put("/api/admin/session/127.0.0.36/limits", json={"quota_mb": 300}).raise_for_status()
        assert _run(client, "head -c 150M /dev/zero > temp/more")["status"] == "completed"
        admin.put("/api/admin/session/127.0.0.36/limits", json={"quota_mb": 100}).raise_for_status()
        assert _run(client, "exec head -c 1M /dev/zero > temp/less")["reason"] == "disk_quota"
        assert _run(client, "rm temp/more; head -c 1M /dev/zero > temp/less")["status"] == "completed"


def test_a_killed_server_leaves_a_running_task_its_files_and_the_next_one_finds_them(tmp_path: Path) -> None:
    with start_server(tmp_path, env=HARD) as server, device(server) as client:
        assert client.put("/api/workspace/127.0.0.1/files/inputs/a", content=b"kept").status_code == 201
        task_id = _begun(client, f"{UNTIL_GO}; cat inputs/a > outputs/b")
        before = devices(server.data_dir)
        server.kill9()
        with start_server(tmp_path, env=HARD) as later, device(later) as again:
            assert again.get("/api/workspace/127.0.0.1/files/inputs/a").text == "kept"
            _go(again)
            assert ended(again, task_id)["status"] == "completed"
            assert again.get("/api/workspace/127.0.0.1/files/outputs/b").text == "kept"
            assert (later.data_dir / "127_0_0_1" / "outputs" / "b").read_text() == "kept"
            assert devices(later.data_dir) == before
            assert _run(again, WRITE)["reason"] == "disk_quota"
    assert devices(server.data_dir) == []
    assert is_whole(image(server.data_dir))


def test_after_a_restart_of_the_host_images_are_mounted_again(tmp_path: Path) -> None:
    with start_server(tmp_path, env=HARD) as server, device(server) as client:
        assert client.put("/api/workspace/127.0.0.1/files/inputs/a", content=b"kept").status_code == 201
    assert devices(server.data_dir) == []
    assert os.listdir(server.data_dir / "127_0_0_1") == []
    with start_server(tmp_path, env=HARD) as later, device(later) as again:
        assert again.get("/api/workspace/127.0.0.1/files/inputs/a").text == "kept"
        assert again.post("/api/workspace/127.0.0.1/validate", json={"file_path": "inputs/a"}).json()["access_allowed"]
        assert _run(again, "grep kept inputs/a")["status"] == "completed"


def test_files_of_before_move_in_once_nothing_runs_on_them_and_stay_after_the_mode_is_off(tmp_path: Path) -> None:
    with start_server(tmp_path, env=WATCH) as server, device(server) as client, device(server, "127.0.0.2") as other:
        for address, who in (("127.0.0.1", client), ("127.0.0.2", other)):
            assert who.put(f"/api/workspace/{address}/files/inputs/a/b", content=b"kept").status_code == 201
        task_id = _begun(client, f"{UNTIL_GO}; echo done > outputs/c; sleep 0.2")
        time.sleep(2.1)  # what changed within the last second may have changed since it was copied
        server.kill9()
        with start_server(tmp_path, env=HARD) as hard, device(hard) as busy, device(hard, "127.0.0.2") as idle:
            assert idle.get("/api/workspace/127.0.0.2/files/inputs/a/b").text == "kept"
            assert _run(idle, WRITE)["reason"] == "disk_quota"
            assert image(hard.data_dir, "127_0_0_2").exists()
            # Of the other one a task still runs in the directory of before.
            assert busy.get("/api/workspace/127.0.0.1/files/inputs/a/b").text == "kept"
            assert not image(hard.data_dir).exists()
            _go(busy)
            assert ended(busy, task_id)["status"] == "completed"
            time.sleep(2.1)
            assert _run(busy, "cat inputs/a/b outputs/c")["status"] == "completed"
            assert image(hard.data_dir).exists()
            assert busy.get("/api/workspace/127.0.0.1/files/outputs/c").text == "done\n"
            assert _run(busy, WRITE)["reason"] == "disk_quota"
            assert list(image(hard.data_dir).parent.glob("*.kept-*")) == []
            hard.terminate()
            with start_server(tmp_path, env=WATCH) as off, device(off) as last, device(off, "127.0.0.3") as new:
                assert "the files of 2 sessions stay in disk images" in off.output
                assert last.get("/api/workspace/127.0.0.1/files/inputs/a/b").text == "kept"
                assert _run(last, "rm outputs/*; cat inputs/a/b")["status"] == "completed"
                assert _run(new, "echo here > outputs/a")["status"] == "completed"
                assert not image(off.data_dir, "127_0_0_3").exists()


def test_a_damaged_image_is_the_trouble_of_its_session_alone(tmp_path: Path) -> None:
    with start_server(tmp_path, env=HARD) as server, device(server) as client:
        assert client.put("/api/workspace/127.0.0.1/files/inputs/a", content=b"kept").status_code == 201
    with image(server.data_dir).open("r+b") as file:
        file.write(os.urandom(2 * MB))
    before = image(server.data_dir).read_bytes()
    with start_server(tmp_path, env=HARD) as later, device(later) as client, device(later, "127.0.0.2") as other:
        answer = client.get("/api/workspace/127.0.0.1/files", params={"path": "inputs"})
        assert (answer.status_code, answer.json()["code"]) == (503, "volume")
        assert "its disk image is damaged" in answer.json()["error"]
        assert str(tmp_path) not in answer.text
        task = _run(client, "true")
        assert (task["reason"], "its disk image is damaged" in task["detail"]) == ("start_failed", True)
        assert client.get("/api/dashboard/127.0.0.1").status_code == 200
        assert _run(other, "true")["status"] == "completed"
    assert image(server.data_dir).read_bytes() == before


def test_a_server_that_can_have_neither_does_not_start_and_says_why(tmp_path: Path) -> None:
    less = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    why = r"The server cannot have the kernel keep the disk quota: .* project quotas .*, and .* LSM_QUOTA_MODE"
    with pytest.raises(AssertionError, match=f"(?s){why}"):
        start_server(tmp_path, env=HARD, prefix=less)
    assert devices(tmp_path / "user_sessions") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "disk"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m,mode=0755", "none", mounted], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


def test_images_together_leave_the_host_its_reserve(small_disk: Path) -> None:
    env = {**HARD, "WORKSPACE_QUOTA_MB": "300", "LSM_DISK_RESERVE_MB": "160"}
    with start_server(small_disk, env=env) as server, device(server, "127.0.0.2") as large, device(server) as small:
        task_id = submit(small, "head -c 20M /dev/urandom > outputs/a; sleep 60")
        wait_for(small, task_id, lambda _: _used(server.data_dir / "127_0_0_1") >= 20 * MB)
        task = _run(large, "i=0; while :; do i=$((i + 1)); head -c 1M /dev/urandom > outputs/$i; sync outputs/$i; done")
        assert task["reason"] == "disk_quota"
        assert "had grown the most" in task["detail"]
        assert small.get(f"/api/task/{task_id}").json()["status"] == "running"
        assert small.put("/api/workspace/127.0.0.1/files/inputs/a", content=b"x").status_code in (201, 507)
        small.post(f"/api/task/{task_id}/cancel")
        ended(small, task_id)


def test_an_upload_goes_on_in_its_image_after_the_server_was_killed(tmp_path: Path) -> None:
    data = os.urandom(12 * MB)
    kind = {"Content-Type": "application/partial-upload"}
    room = "/api/workspace/127.0.0.1"
    with start_server(tmp_path, env=HARD) as first:
        with device(first) as client:
            body = {"path": "inputs/a.bin", "size": len(data)}
            place = client.post(f"{room}/uploads", json=body).headers["location"]
            client.patch(place, content=data[: 5 * MB], headers={**kind, "Upload-Offset": "0"}).raise_for_status()
            assert client.post(f"{room}/uploads", json=body).status_code == 413
            first.kill9()
        with start_server(tmp_path, env=HARD) as second, device(second) as client:
            assert client.head(place).headers["upload-offset"] == str(5 * MB)
            assert client.post(f"{room}/uploads", json=body).status_code == 413
            rest = client.patch(place, content=data[5 * MB :], headers={**kind, "Upload-Offset": str(5 * MB)})
            assert rest.status_code == 201, rest.text
            assert client.get(f"{room}/files/inputs/a.bin").content == data
