"""What the host tells is read as it is, odd names and processes that are gone included."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lan_session_manager.sandbox import host

V1 = "36 35 0:31 / /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory\n"
V2 = "37 35 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
ODD = "40 35 8:1 /a /mnt/a\\040b\\011c\\134d\u2028e rw - ext4 /dev/sda1 rw,errors=remount-ro\n"


def test_mounts_are_read_with_their_types_options_and_odd_names() -> None:
    memory, unified, odd = host.parse_mounts(V1 + V2 + ODD)
    assert (memory.point, memory.kind) == (Path("/sys/fs/cgroup/memory"), "cgroup")
    assert memory.options == {"rw", "memory"}
    assert unified.kind == "cgroup2"
    assert odd.point == Path("/mnt/a b\tc\\d\u2028e")


def test_this_machines_mounts_can_be_read() -> None:
    assert Path("/proc") in {mount.point for mount in host.read_mounts()}


@pytest.mark.parametrize(
    ("text", "found"), [(V1 + V2, Path("/sys/fs/cgroup/unified")), (V2, None), (V1, None), (ODD, None)]
)
def test_a_second_hierarchy_beside_version_1_is_found(text: str, found: Path | None) -> None:
    assert host.hybrid_mount(host.parse_mounts(text)) == found


@pytest.mark.root
def test_private_mounts_are_of_one_thread_and_its_children_alone() -> None:
    if os.geteuid() != 0:
        pytest.skip("a mount namespace needs root")
    if host.hybrid_mount(host.read_mounts()) is None:
        pytest.skip("this machine has no second cgroup hierarchy to hide")

    def inside() -> tuple[bool, bool]:
        child = subprocess.run(["/bin/cat", "/proc/self/mountinfo"], capture_output=True, text=True, check=True)
        own = host.hybrid_mount(host.read_mounts())
        return own is None, host.hybrid_mount(host.parse_mounts(child.stdout)) is None

    with ThreadPoolExecutor(1, initializer=host.enter_private_mounts) as pool:
        assert pool.submit(inside).result() == (True, True)
    assert host.hybrid_mount(host.read_mounts()) is not None


def test_a_process_is_known_by_its_id_and_start_together() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        started = host.start_time(process.pid)
        assert started is not None
        assert host.open_process(process.pid, started + 1) is None
        fd = host.open_process(process.pid, started)
        assert fd is not None
        assert not host.wait_for(fd, 0)
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        assert host.wait_for(fd, 10)
        # Its parent has not asked for its exit status yet: it has a start time, and it has ended.
        assert host.start_time(process.pid) == started
        assert host.open_process(process.pid, started) is None
        os.close(fd)
    assert host.start_time(process.pid) is None
    assert host.open_process(process.pid, started) is None


def test_a_child_is_told_from_other_processes() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        fd = host.open_child(process.pid, os.getpid())
        assert fd is not None
        os.close(fd)
        assert host.open_child(process.pid, 1) is None
        process.kill()
    assert host.open_child(process.pid, os.getpid()) is None


def test_a_name_with_brackets_does_not_mislead(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "60"]) as process:
        end = time.monotonic() + 10
        while Path(f"/proc/{process.pid}/comm").read_text() != "a) R 1 (\n" and time.monotonic() < end:
            time.sleep(0.01)
        assert host.parent(process.pid) == os.getpid()
        process.kill()


def test_files_without_a_name_are_counted_once_and_only_on_the_disk_that_is_meant(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    before = host.unlinked_bytes([os.getpid()], device, 10_000)
    assert before is not None
    with (tmp_path / "gone").open("wb") as gone, (tmp_path / "named").open("wb") as named:
        for file in (gone, named):
            file.write(b"x" * (1 << 20))
            file.flush()
        os.unlink(gone.name)
        again = os.dup(gone.fileno())
        try:
            found = host.unlinked_bytes([os.getpid(), os.getpid()], device, 10_000)
            assert found is not None
            assert found - before == 1 << 20
            assert host.unlinked_bytes([os.getpid()], device + 1, 10_000) == 0
            assert host.unlinked_bytes([os.getpid()], device, 2) is None
        finally:
            os.close(again)
    assert host.unlinked_bytes([2**22 + 1], device, 10) == 0  # no such process


_HIDING = {
    "mapped": "m = mmap.mmap(f.fileno(), 4096); f.close()",
    "of a thread": (
        "threading.Thread(target=time.sleep, args=(60,)).start(); sys.stdout.write('hidden\\n'); sys.stdout.flush()\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    ),
    "of a thread with a table of its own": (
        "def own():\n"
        "    assert ctypes.CDLL(None).unshare(0x400) == 0\n"
        "    ready.set(); time.sleep(60)\n"
        "ready = threading.Event(); threading.Thread(target=own).start(); ready.wait(); f.close()"
    ),
}


@pytest.mark.root
@pytest.mark.parametrize("way", _HIDING)
def test_a_file_without_a_name_is_counted_wherever_its_process_has_it(tmp_path: Path, way: str) -> None:
    program = (
        "import ctypes, mmap, os, sys, threading, time\n"
        "f = open('gone', 'w+b', buffering=0); f.write(bytes(1 << 20)); os.unlink('gone')\n"
        f"{_HIDING[way]}\n"
        "sys.stdout.write('hidden\\n'); sys.stdout.flush(); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"hidden\n"
            time.sleep(0.2)  # until the first thread has ended
            assert host.unlinked_bytes([process.pid], tmp_path.stat().st_dev, 10_000) == 1 << 20
        finally:
            process.kill()


def test_mounts_that_others_cover_are_not_there() -> None:
    text = (
        "24 29 0:22 / /sys rw - sysfs sysfs rw\n"
        "31 24 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "32 31 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "29 1 8:1 / / rw - ext4 /dev/vda rw\n"  # moved there after those in it were made
        "40 31 0:40 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "41 40 0:41 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        "50 29 0:50 / /mnt/a rw - ext4 /dev/vdb rw\n"
        "51 29 0:51 / /mnt rw - ext4 /dev/vdc rw\n"
    )
    found = [(str(mount.point), mount.kind) for mount in host.uncovered(host.parse_mounts(text))]
    assert found == [("/sys", "sysfs"), ("/", "ext4"), ("/sys/fs/cgroup", "cgroup2"), ("/mnt", "ext4")]
