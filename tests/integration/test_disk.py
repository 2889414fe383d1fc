"""A session's files stay within their quota and the disk keeps its reserve, whatever tasks do; files are kept."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, start_server

pytestmark = pytest.mark.root

MB = 1024 * 1024
ENV = {"WORKSPACE_QUOTA_MB": "20", "LSM_WORKSPACE_FILES": "1000", "LSM_SLOTS": "4"}
WRITE = "i=0; while :; do i=$((i + 1)); head -c 1M /dev/zero > outputs/$i; done"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server"), env=ENV) as server:
        yield server


def _used(server: Server, address: str) -> int:
    workspace = server.data_dir / address.replace(".", "_")
    return sum(path.lstat().st_blocks * 512 for path in workspace.glob("*/**/*") if path.is_file())


@pytest.fixture
def full(server: Server, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A device of its own whose workspace holds more than it may."""
    with device(server, "127.0.0.20") as client:
        task = ended(client, submit(client, WRITE))
        assert (task["status"], task["reason"]) == ("failed", "disk_quota")
        yield client
        client.delete("/api/workspace/127.0.0.20/files/outputs").raise_for_status()


def test_a_task_that_writes_many_files_is_stopped_and_its_files_stay(server: Server) -> None:
    with device(server, "127.0.0.21") as client:
        task = ended(client, submit(client, WRITE))
        assert (task["status"], task["reason"]) == ("failed", "disk_quota")
        assert "it may have 20 MB in 1000" in task["detail"]
        assert _used(server, "127.0.0.21") > 20 * MB
        assert task["outputs_total"] >= 20


def test_a_task_that_makes_many_empty_files_is_stopped(server: Server) -> None:
    with device(server, "127.0.0.22") as client:
        task = ended(client, submit(client, "i=0; while :; do i=$((i + 1)); : > temp/$i; done"))
        assert (task["status"], task["reason"]) == ("failed", "disk_quota")


def test_a_file_larger_than_the_quota_is_cut_off_and_says_why(server: Server) -> None:
    with device(server, "127.0.0.23") as client:
        task = ended(client, submit(client, "exec head -c 30M /dev/zero > outputs/large"))
        assert (task["status"], task["reason"], task["exit_code"]) == ("failed", "disk_quota", 153)
        assert "A file would have grown" in task["detail"]
        assert _used(server, "127.0.0.23") == 20 * MB


def test_files_that_have_no_name_any_more_count(server: Server) -> None:
    hide = (
        "import itertools, os, time\n"
        "kept = []\n"
        "for number in itertools.count():\n"
        "    kept.append(open(f'temp/{number}', 'wb', buffering=0))\n"
        "    os.unlink(f'temp/{number}')\n"
        "    kept[-1].write(bytes(1024 * 1024))\n"
        "    time.sleep(0.02)\n"
    )
    with device(server, "127.0.0.24") as client:
        task = ended(client, submit(client, hide, runner="python"))
        assert (task["status"], task["reason"]) == ("failed", "disk_quota")


def test_a_task_can_make_room_in_a_full_workspace(full: httpx.Client, server: Server) -> None:
    task = ended(full, submit(full, "rm -r outputs/*"))
    assert (task["status"], task["detail"]) == ("completed", "")
    assert _used(server, "127.0.0.20") == 0
    assert ended(full, submit(full, "echo room > outputs/a"))["status"] == "completed"


def test_a_task_cannot_write_in_a_full_workspace_and_says_why(full: httpx.Client, server: Server) -> None:
    before = _used(server, "127.0.0.20")
    for runner, command in (
        ("shell", "exec head -c 1 /dev/zero > outputs/more"),
        ("python", "with open('temp/more', 'w') as file: file.write('more')"),
    ):
        task = ended(full, submit(full, command, runner=runner))
        assert task["status"] == "failed"
        assert "The workspace was full when the task started" in task["detail"]
    assert _used(server, "127.0.0.20") == before


def test_a_task_that_makes_directories_in_a_full_workspace_is_stopped(full: httpx.Client) -> None:
    task = ended(full, submit(full, "i=0; while :; do i=$((i + 1)); mkdir temp/$i; done"))
    assert (task["status"], task["reason"]) == ("failed", "disk_quota")
    full.delete("/api/workspace/127.0.0.20/files/temp").raise_for_status()


def test_an_upload_beyond_the_number_of_files_is_refused(server: Server) -> None:
    with device(server, "127.0.0.25") as client:
        assert ended(client, submit(client, "touch temp/{1..1000}"))["status"] == "completed"
        while client.get("/api/dashboard/127.0.0.25").json()["workspace_usage"]["file_count"] < 1000:
            time.sleep(0.1)
        answer = client.put("/api/workspace/127.0.0.25/files/inputs/a", content=b"x")
        assert (answer.status_code, "1000 files" in answer.json()["error"]) == (413, True), answer.text


def test_a_writer_that_outlived_its_server_is_stopped_by_the_next_one(tmp_path: Path) -> None:
    with start_server(tmp_path, env=ENV) as server, device(server) as client:
        task_id = submit(client, WRITE.replace("done", "sleep 0.05; done"))
        wait_for(client, task_id, lambda _: _used(server, "127.0.0.1"))
        server.kill9()
        while _used(server, "127.0.0.1") < 25 * MB:
            time.sleep(0.05)
        with start_server(tmp_path, env=ENV) as later, device(later) as again:
            assert ended(again, task_id)["reason"] == "disk_quota"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "disk"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m,mode=0755", "none", mounted], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


def test_on_a_disk_that_is_nearly_full_the_session_that_grew_most_is_stopped_and_nobody_else(small_disk: Path) -> None:
    env = {"LSM_DISK_RESERVE_MB": "160", "LSM_SLOTS": "4"}
    with start_server(small_disk, env=env) as server, device(server, "127.0.0.2") as large, device(server) as small:
        first = submit(large, "head -c 150M /dev/zero > outputs/large; sleep 60")
        wait_for(large, first, lambda _: _used(server, "127.0.0.2") == 150 * MB)
        disk = os.statvfs(small_disk)
        too_much = disk.f_bavail * disk.f_frsize - 160 * MB + MB
        second = submit(small, f"head -c {too_much} /dev/zero > outputs/small; sleep 60")
        task = ended(large, first)
        assert task["reason"] == "disk_quota"
        assert "had grown the most" in task["detail"]
        assert small.put("/api/workspace/127.0.0.1/files/inputs/a", content=b"x" * 1000).status_code == 507
        task = ended(small, submit(small, "exec head -c 1 /dev/zero > outputs/more"))
        assert "disk was nearly full when the task started" in task["detail"]
        large.delete("/api/workspace/127.0.0.2/files/outputs").raise_for_status()
        assert small.put("/api/workspace/127.0.0.1/files/inputs/a", content=b"x" * 1000).status_code == 201
        assert small.get(f"/api/task/{second}").json()["status"] == "running"
        assert os.statvfs(small_disk).f_bavail > 0
        small.post(f"/api/task/{second}/cancel")
        ended(small, second)


# Its directory is deleted under it; deeper than a scan looks, and faster than anybody removes.
STAYS = """
import os, time
os.makedirs('outputs/t')
os.chdir('outputs/t')
open('/workspace/temp/ready', 'w').close()
while not os.path.exists('/workspace/temp/go'):
    time.sleep(0.05)
at = os.open('.', os.O_RDONLY)
for _ in range(70):
    os.mkdir('d', dir_fd=at)
    at = os.open('d', os.O_RDONLY, dir_fd=at)
number = 0
while True:
    number += 1
    os.mkdir(f'x{number}')
"""


def test_a_task_that_stays_in_what_was_deleted_is_stopped_and_holds_up_nobody(server: Server) -> None:
    with device(server, "127.0.0.24") as client, device(server, "127.0.0.25") as other:
        task_id = submit(client, STAYS, runner="python", limits={"time_s": 120})
        wait_for(client, task_id, lambda _: (server.data_dir / "127_0_0_24/temp/ready").exists())
        client.post("/api/workspace/127.0.0.24/trash", json={"path": "outputs/t"}).raise_for_status()
        client.put("/api/workspace/127.0.0.24/files/temp/go", content=b"").raise_for_status()
        task = ended(other, submit(other, WRITE))
        assert (task["status"], task["reason"]) == ("failed", "disk_quota")
        task = ended(client, task_id)
        assert (task["status"], task["reason"]) == ("failed", "disk_quota")
        usage = client.get("/api/dashboard/127.0.0.24").json()["workspace_usage"]
        end = time.monotonic() + 60
        while usage["trash_mb"] or usage["size_mb"] > 1:
            assert time.monotonic() < end, usage
            time.sleep(0.2)
            usage = client.get("/api/dashboard/127.0.0.24").json()["workspace_usage"]
