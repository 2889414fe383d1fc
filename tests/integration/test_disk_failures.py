"""A disk that is full or cannot be written to, and a database that somebody holds: what is known is not lost."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from lan_session_manager.settings import STATE_DIR
from tests.integration.clients import device, ended, submit
from tests.integration.failing import box_directory, lease, until
from tests.server import remove_leftovers, start_server

pytestmark = pytest.mark.root

ENV = {"LSM_DISK_RESERVE_MB": "1", "LSM_SLOTS": "4"}
WAITS = "echo begun; while [ -e temp/wait ]; do sleep 0.05; done; echo over; exit 7"


@contextlib.contextmanager
def _mounted(point: Path, size: str) -> Iterator[None]:
    point.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "none", point], check=True)
    try:
        yield
    finally:
        # The end of a server's test takes away what is mounted in its data directory.
        subprocess.run(["umount", "--lazy", point], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    disk = tmp_path / "disk"
    with _mounted(disk, "64m"):
        yield disk
        remove_leftovers(disk / "user_sessions")


def _fill(directory: Path) -> Path:
    """Leave no room on the small disk of a directory; gives the file to remove for it."""
    disk = os.statvfs(directory)
    assert disk.f_blocks * disk.f_frsize <= 64 << 20, "this is not the disk that the test has made"
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 20)):
            pass
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def _begun(client: httpx.Client, command: str, **fields: object) -> str:
    assert ended(client, submit(client, "touch temp/wait"))["status"] == "completed"
    task_id = submit(client, command, **fields)
    until(lambda: client.get(f"/api/task/{task_id}/log").text == "begun\n")
    return task_id


def test_a_task_that_ends_while_the_disk_is_full_has_its_real_end_once_there_is_room(place: Path) -> None:
    with start_server(place, env=ENV) as server, device(server) as client:
        task_id = _begun(client, WAITS)
        filler = _fill(server.data_dir)
        answers: list[httpx.Response] = []
        while not answers or answers[-1].status_code == 200:  # the database has a little room of its own
            body = {"description": "wait", "runner": "swarm", "command": "x" * 60_000}
            answers.append(client.post("/api/task/submit", json=body))
        assert answers[-1].status_code == 507
        assert "disk" in answers[-1].json()["error"]
        (server.data_dir / "127_0_0_1" / "temp" / "wait").unlink()
        monitor = lease(server.data_dir, task_id)["monitor_pid"]
        until(lambda: not psutil.pid_exists(monitor))
        assert client.get("/api/dashboard/127.0.0.1").status_code == 200
        filler.unlink()
        task = ended(client, task_id)
        assert (task["reason"], task["exit_code"]) == ("exit", 7)
        accepted = {answer.json()["task_id"] for answer in answers[:-1]}
        shown = {task["task_id"] for task in client.get("/api/dashboard/127.0.0.1").json()["my_tasks"]}
        assert shown >= {task_id, *accepted}


def test_a_task_that_ends_on_a_full_disk_with_no_server_has_its_real_end_at_the_next_start(place: Path) -> None:
    server = start_server(place, env=ENV)
    data_dir = server.data_dir
    with device(server) as client:
        task_id = _begun(client, WAITS)
    server.kill9()
    filler = _fill(data_dir)
    (data_dir / "127_0_0_1" / "temp" / "wait").unlink()
    monitor = lease(data_dir, task_id)["monitor_pid"]
    until(lambda: not psutil.pid_exists(monitor))
    assert not list((box_directory(data_dir, task_id) / "exits").iterdir())
    filler.unlink()
    with start_server(place, env=ENV) as server, device(server) as client:
        task = ended(client, task_id)
        assert (task["reason"], task["exit_code"]) == ("exit", 7)


def test_a_log_disk_that_is_full_disturbs_no_task_and_new_ones_say_what_is_wrong(tmp_path: Path) -> None:
    boxes = tmp_path / "user_sessions" / STATE_DIR / "boxes"
    with _mounted(boxes, "2m"), start_server(tmp_path, env=ENV) as server, device(server) as client:
        task_id = _begun(client, WAITS)
        prints = submit(client, "head -c 8M /dev/zero | tr '\\0' x | fold; echo done > outputs/done; exit 5")
        task = ended(client, prints)
        assert (task["reason"], task["exit_code"]) == ("exit", 5)
        assert (server.data_dir / "127_0_0_1" / "outputs" / "done").exists()
        filler = _fill(boxes)
        task = ended(client, submit(client, "true"))
        assert (task["status"], task["reason"]) == ("failed", "start_failed")
        assert "disk" in task["detail"]
        (server.data_dir / "127_0_0_1" / "temp" / "wait").unlink()
        task = ended(client, task_id)
        assert (task["reason"], task["exit_code"]) == ("exit", 7)
        filler.unlink()
        client.delete(f"/api/task/{prints}").raise_for_status()
        until(lambda: ended(client, submit(client, "true"))["status"] == "completed")


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that the kernel lets nobody write to any more once it has met an error."""
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, disk], check=True)
    try:
        yield disk
        remove_leftovers(disk / "user_sessions")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/loop-control") or shutil.which("mkfs.ext4") is None,
    reason="needs root, loop devices and e2fsprogs",
)
def test_on_a_disk_that_can_only_be_read_all_can_be_seen_and_what_ended_meanwhile_has_its_end(
    failing_disk: Path,
) -> None:
    server = start_server(failing_disk, env=ENV)
    with device(server) as client:
        task_id = _begun(client, "echo begun; sleep 2; exit 7")
        subprocess.run(["sync", "--file-system", failing_disk], check=True)
        [loop] = subprocess.check_output(["findmnt", "-n", "-o", "SOURCE", failing_disk], text=True).split()
        Path(f"/sys/fs/ext4/{Path(loop).name}/trigger_fs_error").write_text("a test")
        answer = client.post("/api/task/submit", json={"description": "wait", "runner": "swarm"})
        assert (answer.status_code, answer.json()["code"]) == (507, "storage")
        monitor = lease(server.data_dir, task_id)["monitor_pid"]
        until(lambda: not psutil.pid_exists(monitor))
        assert client.get("/api/dashboard/127.0.0.1").status_code == 200
        assert client.get(f"/api/task/{task_id}/log").text == "begun\n"
    server.kill9()
    # What its owner does: the disk is mended and mounted anew.
    mended = failing_disk.with_name("mended")
    shutil.copyfile(failing_disk.with_name("image"), mended)
    subprocess.run(["e2fsck", "-p", "-f", mended], check=False, stdout=subprocess.DEVNULL)
    subprocess.run(["umount", "--lazy", failing_disk], check=True)
    subprocess.run(["mount", "-o", "loop", mended, failing_disk], check=True)
    with start_server(failing_disk, env=ENV) as server, device(server) as client:
        task = ended(client, task_id)
        assert (task["reason"], task["exit_code"]) == ("exit", 7)
        assert ended(client, submit(client, "true"))["status"] == "completed"


def test_while_a_foreign_program_holds_the_database_writes_wait_reads_go_on_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    with start_server(tmp_path, env=ENV) as server, device(server) as client:
        task_id = _begun(client, WAITS)
        with contextlib.closing(sqlite3.connect(server.data_dir / STATE_DIR / "state.db")) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            since = time.monotonic()
            (server.data_dir / "127_0_0_1" / "temp" / "wait").unlink()
            with ThreadPoolExecutor(10) as pool, contextlib.ExitStack() as opened:
                devices = [opened.enter_context(device(server, f"127.0.0.{last}")) for last in range(1, 11)]
                submits = [pool.submit(submit, one, "true", idempotency_key="once") for one in devices]
                while time.monotonic() < since + 10:
                    assert client.get("/api/dashboard/127.0.0.1").status_code == 200
                    assert not any(one.done() for one in submits)
                    time.sleep(0.1)
                foreign.rollback()
                accepted = [one.result() for one in submits]
            assert len(set(accepted)) == 10
        task = ended(client, task_id)
        assert (task["reason"], task["exit_code"]) == ("exit", 7)
