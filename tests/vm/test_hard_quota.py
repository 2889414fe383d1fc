"""Hard quotas by project quotas: on a file system that has them, which few machines of developers do."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lan_session_manager.errors import HardQuotaError
from lan_session_manager.settings import STATE_DIR
from lan_session_manager.workspace.opener import closing
from lan_session_manager.workspace.volumes.base import volumes_directory
from lan_session_manager.workspace.volumes.projects import FIRST_PROJECT, Projects, project_of
from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, remove_leftovers, start_server
from tests.vm.service import needs_machine

pytestmark = needs_machine

MB = 1024 * 1024
WATCH = {"WORKSPACE_QUOTA_MB": "20", "LSM_WORKSPACE_FILES": "1000", "LSM_DISK_RESERVE_MB": "10"}
HARD = {**WATCH, "LSM_QUOTA_MODE": "hard"}
NAME = "127_0_0_1"
WRITE = "i=0; while :; do i=$((i + 1)); head -c 1M /dev/zero > outputs/$i || exit 3; done"
# FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR, with another project id.
LEAVE = """
import fcntl, os
fd = os.open("outputs", os.O_RDONLY)
facts = bytearray(fcntl.ioctl(fd, 0x801C581F, bytes(28)))
facts[12:16] = bytes(4)
fcntl.ioctl(fd, 0x401C5820, bytes(facts))
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk as an owner prepares it for project quotas."""
    image, mounted = tmp_path / "disk.img", tmp_path / "disk"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(300 * MB)
    command = ["mkfs.ext4", "-q", "-F", "-O", "quota,project", "-E", "quotatype=prjquota", str(image)]
    subprocess.run(command, check=True)
    subprocess.run(["mount", "-o", "loop,prjquota", image, mounted], check=True)
    try:
        yield mounted
    finally:
        remove_leftovers(mounted / "user_sessions")
        subprocess.run(["umount", mounted], check=True)


def _used(server: Server) -> int:
    return sum(path.lstat().st_blocks * 512 for path in (server.data_dir / NAME).rglob("*"))


def _project(path: Path) -> int:
    with closing(os.open(path, os.O_RDONLY)) as fd:
        return project_of(fd)


def _written(client: httpx.Client, command: str, **fields: object) -> dict[str, object]:
    return ended(client, submit(client, command, **fields))


def test_a_writer_at_full_speed_and_a_maker_of_files_stay_within_their_quota(disk: Path) -> None:
    with start_server(disk, env=HARD) as server, device(server) as client:
        assert "kept by the kernel: project quotas" in server.output
        assert client.get("/api/system/health").json()["disk_quotas"].startswith("kept by the kernel: project quotas")
        task = _written(client, WRITE)
        assert (task["reason"], task["exit_code"]) == ("disk_quota", 3)
        assert "The workspace was full" in str(task["detail"])
        assert 19 * MB < _used(server) <= 20 * MB + 64 * 1024
        answer = client.put("/api/workspace/127.0.0.1/files/inputs/a", content=bytes(MB))
        assert (answer.status_code, "20 MB may be used" in answer.text) == (413, True)
        usage = client.get("/api/dashboard/127.0.0.1").json()["workspace_usage"]
        assert 19 < usage["size_mb"] <= 20.1
        assert _written(client, "rm -r outputs/*")["status"] == "completed"
        assert client.put("/api/workspace/127.0.0.1/files/inputs/a", content=bytes(MB)).status_code == 201
        assert _project(server.data_dir / NAME / "inputs" / "a") > FIRST_PROJECT
        task = _written(client, "i=0; while :; do i=$((i + 1)); : > temp/$i || exit 3; done")
        assert (task["reason"], task["exit_code"]) == ("disk_quota", 3)
        assert 900 < sum(1 for _ in (server.data_dir / NAME).rglob("*")) <= 1010


def test_a_task_cannot_leave_its_project(disk: Path) -> None:
    with start_server(disk, env=HARD) as server, device(server) as client:
        task = _written(client, LEAVE, runner="python")
        assert task["exit_code"] == 1
        assert "Error" in client.get(f"/api/task/{task['task_id']}/log").text
        assert _project(server.data_dir / NAME / "outputs") > FIRST_PROJECT


def test_what_is_there_and_what_runs_is_counted_from_the_switch_on_and_free_after_it_is_off(disk: Path) -> None:
    with start_server(disk, env=WATCH) as server, device(server) as client:
        assert _written(client, "mkdir -p outputs/a/b; head -c 5M /dev/zero > outputs/a/b/c")["status"] == "completed"
        runs = submit(
            client, "echo begun; until [ -e go ]; do sleep 0.1; done; exec head -c 40M /dev/zero > temp/large"
        )
        wait_for(client, runs, lambda _: client.get(f"/api/task/{runs}/log").text)
        server.kill9()
        with start_server(disk, env=HARD) as later, device(later) as again:
            deep = later.data_dir / NAME / "outputs" / "a" / "b" / "c"
            wait_for(again, runs, lambda _: _project(deep) > FIRST_PROJECT)
            assert again.put("/api/workspace/127.0.0.1/files/go", content=b"").is_success
            task = ended(again, runs)
            assert task["reason"] == "disk_quota"
            assert _used(later) <= 20 * MB + 64 * 1024
            assert _written(again, "rm -r outputs/* temp/*")["status"] == "completed"
            later.terminate()
            off = {**WATCH, "WORKSPACE_QUOTA_MB": "100"}
            with start_server(disk, env=off) as last, device(last) as once_more:
                assert "kept by watching" in last.output
                assert _written(once_more, "head -c 60M /dev/zero > outputs/large")["status"] == "completed"


def test_an_owner_who_gives_a_session_more_is_obeyed_at_the_next_task(disk: Path) -> None:
    with start_server(disk, env=HARD) as server, device(server) as client:
        assert _written(client, WRITE)["reason"] == "disk_quota"
        with device(server, "127.0.0.9", server.admin_token) as admin:
            admin.put("/api/admin/session/127.0.0.1/limits", json={"quota_mb": 40}).raise_for_status()
        assert _written(client, "head -c 15M /dev/zero > temp/more")["status"] == "completed"
        assert _written(client, "exec head -c 15M /dev/zero > temp/much")["reason"] == "disk_quota"


def test_the_probe_finds_a_file_system_that_has_no_project_quotas(tmp_path: Path) -> None:
    (tmp_path / STATE_DIR).mkdir()
    with pytest.raises(HardQuotaError):
        Projects(tmp_path, limits=True).probe()
    assert not volumes_directory(tmp_path).exists()
