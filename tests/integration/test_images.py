"""The image of a session is made, filled with what was there, mounted and kept, wherever a server is stopped."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lan_session_manager.errors import VolumeError
from lan_session_manager.settings import STATE_DIR
from lan_session_manager.workspace import Quota, Usage
from lan_session_manager.workspace.owner import Owner
from lan_session_manager.workspace.volumes.base import volumes_directory
from lan_session_manager.workspace.volumes.images import Images
from lan_session_manager.workspace.volumes.sizes import OWN_BLOCKS
from tests.integration.sandbox.engines import wait
from tests.integration.volumes import CAN_RAISE_MOUNTED, devices, image, is_whole, needs_images
from tests.server import remove_leftovers

pytestmark = needs_images

MB = 1024 * 1024
OWNER = Owner(1_001_000, 1_001_000, range(1_000_000, 1_065_536))
QUOTA = Quota(20 * MB, 1000)
NAME = "10_0_0_1"
ROOM = OWN_BLOCKS * 4096  # for what a server makes in each workspace, and these tests do not


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "user_sessions"
    (directory / STATE_DIR).mkdir(parents=True, mode=0o700)
    try:
        yield directory
    finally:
        remove_leftovers(directory)
        assert devices(directory) == []


@pytest.fixture
def images(data_dir: Path) -> Images:
    return _images(data_dir)


def _images(data_dir: Path, *, makes: bool = True) -> Images:
    made = Images(data_dir, makes=makes)
    made.prepare()
    return made


def _ready(images: Images, quota: Quota = QUOTA, *, may_move: bool = True) -> None:
    images.ready(NAME, OWNER, quota, may_move=lambda: may_move)


def _as_task(directory: Path, command: str) -> int:
    """Run a command there with a task's user id; gives its exit status."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=directory,
        user=OWNER.uid,
        group=OWNER.gid,
        extra_groups=[],
        capture_output=True,
        check=False,
    ).returncode


def _plain(data_dir: Path) -> Path:
    """A workspace as a server that watches leaves it, of a minute ago."""
    workspace = data_dir / NAME
    workspace.mkdir(mode=0o700)
    os.chown(workspace, OWNER.uid, OWNER.gid)
    build = (
        "mkdir inputs outputs; echo one > inputs/one; ln inputs/one outputs/two; ln -s /etc/passwd link; mkfifo pipe"
    )
    assert _as_task(workspace, f"{build}; chmod 600 inputs/one; touch -d @1000 inputs/one; truncate -s 1M holes") == 0
    time.sleep(2.1)  # what changed within the last second may have changed since it was copied
    return workspace


def _is_complete(workspace: Path) -> bool:
    one, two, holes = (os.lstat(workspace / name) for name in ("inputs/one", "outputs/two", "holes"))
    return (
        (workspace / "inputs/one").read_text() == "one\n"
        and (one.st_ino, one.st_uid, one.st_mtime, stat.S_IMODE(one.st_mode)) == (two.st_ino, OWNER.uid, 1000, 0o600)
        and os.readlink(workspace / "link") == "/etc/passwd"
        and stat.S_ISFIFO(os.lstat(workspace / "pipe").st_mode)
        and (holes.st_size, holes.st_blocks) == (MB, 0)
    )


def _held(images: Images) -> tuple[int, int]:
    held = images.held(NAME)
    assert held is not None
    usage = held.usage(Usage())
    return usage.bytes, usage.files


def test_a_new_session_has_the_whole_quota_and_nothing_in_it(images: Images, data_dir: Path) -> None:
    _ready(images)
    assert _held(images) == (0, 0)
    assert os.listdir(data_dir / NAME) == []
    assert os.stat(image(data_dir, NAME)).st_blocks * 512 < MB
    assert stat.S_IMODE(os.stat(image(data_dir, NAME)).st_mode) == 0o600


def test_neither_a_task_nor_the_server_writes_beyond_the_quota(images: Images, data_dir: Path) -> None:
    _ready(images)
    assert _as_task(data_dir / NAME, "exec head -c 100M /dev/zero > large") != 0
    used = os.stat(data_dir / NAME / "large").st_blocks * 512
    assert 19 * MB < used <= 20 * MB + ROOM
    with pytest.raises(OSError, match="No space left"):
        (data_dir / NAME / "more").write_bytes(bytes(MB))
    held = images.held(NAME)
    assert held is not None
    assert held.is_full


def test_a_task_makes_no_more_files_than_the_quota_has_but_for_the_rounding(images: Images, data_dir: Path) -> None:
    _ready(images)
    assert _as_task(data_dir / NAME, "for i in $(seq 3000); do : > $i || exit 1; done") != 0
    assert 1000 <= len(os.listdir(data_dir / NAME)) <= 1016


def test_the_quota_is_lowered_below_what_is_used_and_files_stay(images: Images, data_dir: Path) -> None:
    _ready(images)
    assert _as_task(data_dir / NAME, "head -c 10M /dev/zero > kept") == 0
    _ready(images, Quota(5 * MB, 1000))
    assert _as_task(data_dir / NAME, "exec head -c 64K /dev/zero > more") != 0
    assert os.stat(data_dir / NAME / "kept").st_size == 10 * MB
    assert _as_task(data_dir / NAME, "rm kept; head -c 4M /dev/zero > more") == 0
    _ready(images)
    assert _as_task(data_dir / NAME, "head -c 19M /dev/zero > more") == 0


def test_the_quota_is_raised_and_what_was_there_stays(images: Images, data_dir: Path) -> None:
    _ready(images)
    (data_dir / NAME / "kept").write_text("kept")
    _ready(images, Quota(200 * MB, 5000))
    assert (data_dir / NAME / "kept").read_text() == "kept"
    (data_dir / NAME / "kept").unlink()
    assert _as_task(data_dir / NAME, "exec head -c 300M /dev/zero > large") != 0
    assert 199 * MB < os.stat(data_dir / NAME / "large").st_blocks * 512 <= 200 * MB + ROOM
    (data_dir / NAME / "large").unlink()
    assert _as_task(data_dir / NAME, "for i in $(seq 5000); do : > $i || exit 1; done") == 0


def test_the_quota_of_a_workspace_in_use_is_raised_at_once_or_once_it_is_not_used(
    images: Images, data_dir: Path
) -> None:
    _ready(images)
    with (data_dir / NAME / "open").open("w"):
        _ready(images, Quota(200 * MB, 1000))
        assert (_as_task(data_dir / NAME, "exec head -c 50M /dev/zero > large") == 0) is CAN_RAISE_MOUNTED
    _ready(images, Quota(200 * MB, 1000))
    assert _as_task(data_dir / NAME, "exec head -c 50M /dev/zero > large") == 0
    images.release(NAME)
    assert is_whole(image(data_dir, NAME))


def test_space_of_deleted_files_goes_back_to_the_host(images: Images, data_dir: Path) -> None:
    _ready(images)
    assert _as_task(data_dir / NAME, "head -c 15M /dev/urandom > large; sync large") == 0
    assert os.stat(image(data_dir, NAME)).st_blocks * 512 > 15 * MB
    assert _as_task(data_dir / NAME, "rm large") == 0

    def has_come_back() -> bool:
        # The kernel gives it back some time after it has written down that the file is gone.
        subprocess.run(["sync", "--file-system", data_dir / NAME], check=True)
        return os.stat(image(data_dir, NAME)).st_blocks * 512 < 2 * MB

    wait(has_come_back)


def test_who_comes_next_finds_the_mounts_and_makes_no_other(images: Images, data_dir: Path) -> None:
    _ready(images)
    before = devices(data_dir)
    with (data_dir / NAME / "open").open("w") as file:
        other = _images(data_dir)
        _ready(other)
        assert other.place(NAME) == images.place(NAME)
        file.write("still here")
    assert (data_dir / NAME / "open").read_text() == "still here"
    assert devices(data_dir) == before
    assert len(before) == 1


def test_what_was_released_is_mounted_again_at_its_next_use(images: Images, data_dir: Path) -> None:
    _ready(images)
    (data_dir / NAME / "kept").write_text("kept")
    images.release(NAME)
    assert devices(data_dir) == []
    assert images.held(NAME) is None
    assert images.place(NAME) is not None
    assert (data_dir / NAME / "kept").read_text() == "kept"


def test_what_is_in_use_is_not_released(images: Images, data_dir: Path) -> None:
    _ready(images)
    place = images.place(NAME)
    assert place is not None
    with (place.staging / "upload").open("w") as file:
        images.release(NAME)
        file.write("more")
        assert images.place(NAME) == place
    assert len(devices(data_dir)) == 1


def test_a_plain_workspace_is_moved_in_with_everything(images: Images, data_dir: Path) -> None:
    workspace = _plain(data_dir)
    _ready(images)
    assert os.path.ismount(workspace)
    assert _is_complete(workspace)
    assert sorted(os.listdir(volumes_directory(data_dir))) == [NAME, f"{NAME}.img", f"{NAME}.lock"]


def test_a_plain_workspace_with_a_box_is_left_where_it_is(images: Images, data_dir: Path) -> None:
    workspace = _plain(data_dir)
    _ready(images, may_move=False)
    assert images.place(NAME) is None
    assert images.held(NAME) is None
    assert _is_complete(workspace)


def test_a_plain_workspace_beyond_its_quota_is_moved_in_and_is_full(images: Images, data_dir: Path) -> None:
    workspace = _plain(data_dir)
    assert (
        _as_task(workspace, "head -c 30M /dev/zero > outputs/large; for i in $(seq 2000); do : > outputs/$i; done") == 0
    )
    time.sleep(2.1)
    _ready(images)
    assert _is_complete(workspace)
    assert len(os.listdir(workspace / "outputs")) == 2002
    assert _as_task(workspace, "exec head -c 64K /dev/zero > more") != 0
    assert _as_task(workspace, "rm -r outputs; head -c 64K /dev/zero > more") == 0


def test_a_workspace_that_cannot_be_copied_stays_where_it_is(images: Images, data_dir: Path) -> None:
    workspace = _plain(data_dir)
    deep = "import os; [(os.mkdir('d' * 200), os.chdir('d' * 200)) for _ in range(40)]"
    assert _as_task(workspace, f'exec python3 -c "{deep}"') == 0
    _ready(images)
    assert images.place(NAME) is None
    assert _is_complete(workspace)
    assert devices(data_dir) == []
    subprocess.run(["rm", "-r", workspace], check=True)


def _stopped_while_it_copied(data_dir: Path) -> tuple[Path, Path]:
    """The workspace, and the directory of volumes, of a server that was killed while it filled a new image."""
    workspace, directory = _plain(data_dir), volumes_directory(data_dir)
    _ready(_images(data_dir))
    subprocess.run(["cp", "-a", workspace, directory / f"{NAME}.old"], check=True)
    subprocess.run(["umount", workspace, directory / NAME], check=True)
    (directory / f"{NAME}.img").rename(directory / f"{NAME}.new")
    (directory / f"{NAME}.making").mkdir()
    subprocess.run(["mount", "-o", "loop", directory / f"{NAME}.new", directory / f"{NAME}.making"], check=True)
    time.sleep(2.1)
    return workspace, directory


def test_a_server_that_was_stopped_while_it_copied_begins_again(data_dir: Path) -> None:
    workspace, directory = _stopped_while_it_copied(data_dir)
    _ready(_images(data_dir))
    assert _is_complete(workspace)
    assert os.path.ismount(workspace)
    assert sorted(os.listdir(directory)) == [NAME, f"{NAME}.img", f"{NAME}.lock"]
    assert len(devices(data_dir)) == 1


@pytest.mark.parametrize("makes", [True, False])
def test_after_a_stop_while_it_copied_the_files_are_found_before_it_begins_again(data_dir: Path, makes: bool) -> None:
    workspace, _ = _stopped_while_it_copied(data_dir)
    images = _images(data_dir, makes=makes)
    assert images.place(NAME) is None
    assert _is_complete(workspace)
    _ready(images)
    assert _is_complete(workspace)
    assert os.path.ismount(workspace) is makes


def test_a_server_that_was_stopped_after_the_copy_removes_only_the_old_files(images: Images, data_dir: Path) -> None:
    workspace, directory = _plain(data_dir), volumes_directory(data_dir)
    _ready(images)
    subprocess.run(["umount", workspace], check=True)
    subprocess.run(["cp", "-a", directory / NAME / "workspace", directory / f"{NAME}.old"], check=True)
    time.sleep(2.1)
    (directory / f"{NAME}.lock").write_text(f"{int(time.time()):20}")
    assert images.place(NAME) is not None
    images.release(NAME)
    assert images.place(NAME) is not None
    assert _is_complete(workspace)
    assert not (directory / f"{NAME}.old").exists()


def test_what_somebody_writes_while_it_is_copied_is_kept_aside(images: Images, data_dir: Path) -> None:
    workspace, directory = _plain(data_dir), volumes_directory(data_dir)
    (workspace / "late").write_text("late")  # as new as the copy: nobody can tell
    _ready(images)
    (kept,) = directory.glob(f"{NAME}.kept-*")
    assert (kept / "late").read_text() == "late"
    assert _is_complete(workspace)
    assert _is_complete(kept)


def test_what_somebody_puts_where_a_workspace_is_not_mounted_is_kept_aside(images: Images, data_dir: Path) -> None:
    _ready(images)
    images.release(NAME)
    (data_dir / NAME / "lost").write_text("not lost")
    assert images.place(NAME) is not None
    assert os.listdir(data_dir / NAME) == []
    (kept,) = volumes_directory(data_dir).glob(f"{NAME}.kept-*")
    assert (kept / "lost").read_text() == "not lost"


def test_a_damaged_image_is_told_and_left_as_it_is(images: Images, data_dir: Path) -> None:
    _ready(images)
    images.release(NAME)
    with image(data_dir, NAME).open("r+b") as file:
        file.write(os.urandom(2 * MB))
    before = image(data_dir, NAME).read_bytes()
    for _ in range(2):
        with pytest.raises(VolumeError, match="its disk image is damaged"):
            _ready(images)
        with pytest.raises(VolumeError, match="its disk image is damaged"):
            images.place(NAME)
    assert image(data_dir, NAME).read_bytes() == before
    assert devices(data_dir) == []
    images.ready("10_0_0_2", OWNER, QUOTA, may_move=lambda: True)


def test_an_image_that_met_an_error_is_mended_once_nobody_uses_it(images: Images, data_dir: Path) -> None:
    _ready(images)
    (data_dir / NAME / "kept").write_text("kept")
    subprocess.run(["sync", data_dir / NAME / "kept"], check=True)
    subprocess.run(["mount", "-o", "remount,abort", volumes_directory(data_dir) / NAME], check=True)
    with (data_dir / NAME / "kept").open() as file:
        _ready(images)
        assert _as_task(data_dir / NAME, "echo more > more") != 0
        assert file.read() == "kept"
    _ready(images)
    assert _as_task(data_dir / NAME, "echo more > more") == 0
    assert (data_dir / NAME / "kept").read_text() == "kept"


def test_a_file_system_that_cannot_be_asked_counts_nothing_and_stops_nobody_who_asks(
    images: Images, data_dir: Path
) -> None:
    _ready(images)
    images.release(NAME)
    point = volumes_directory(data_dir) / NAME
    point.rmdir()
    point.symlink_to(NAME)  # any error but that there is nothing
    assert images.held(NAME) is None


def test_images_are_kept_up_after_the_mode_is_switched_off_and_none_are_made(images: Images, data_dir: Path) -> None:
    _ready(images)
    (data_dir / NAME / "kept").write_text("kept")
    images.release(NAME)
    later = _images(data_dir, makes=False)
    later.ready("10_0_0_2", OWNER, QUOTA, may_move=lambda: True)
    assert later.place("10_0_0_2") is None
    assert later.place(NAME) is not None
    assert (data_dir / NAME / "kept").read_text() == "kept"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "disk"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0755", "none", mounted], check=True)
    directory = mounted / "user_sessions"
    (directory / STATE_DIR).mkdir(parents=True, mode=0o700)
    try:
        yield directory
    finally:
        remove_leftovers(directory)
        subprocess.run(["umount", mounted], check=True)


def test_a_host_without_room_costs_a_session_what_it_writes_then_and_nothing_else(small_disk: Path) -> None:
    images = _images(small_disk)
    _ready(images, Quota(200 * MB, 1000))
    assert _as_task(small_disk / NAME, "head -c 10M /dev/urandom > kept; sync kept; cksum kept > sum; sync sum") == 0
    filler = small_disk.parent / "others"
    with filler.open("wb") as file:
        disk = os.statvfs(small_disk)
        file.write(bytes(disk.f_bavail * disk.f_frsize - MB))
    assert _as_task(small_disk / NAME, "head -c 30M /dev/urandom > more && sync more") != 0
    filler.unlink()
    images.release(NAME)
    assert images.place(NAME) is not None
    assert _as_task(small_disk / NAME, "cksum kept | cmp - sum && head -c 30M /dev/urandom > more && sync more") == 0
    images.release(NAME)
    assert is_whole(image(small_disk, NAME))


def test_who_comes_after_a_killed_server_waits_for_the_program_that_it_left(images: Images, data_dir: Path) -> None:
    _ready(images)
    images.release(NAME)
    tools, begun, go_on = (data_dir.parent / name for name in ("tools", "begun", "go-on"))
    tools.mkdir()
    (tools / "mount").write_text(f'#!/bin/sh\n: > {begun}\nread _ < {go_on}\nexec /usr/bin/mount "$@"\n')
    (tools / "mount").chmod(0o755)
    os.mkfifo(go_on)
    program = (
        "import sys; from pathlib import Path; from lan_session_manager.workspace.volumes import images, loops\n"
        "loops._ENV['PATH'] = sys.argv[2] + ':' + loops._ENV['PATH']\n"
        f"images.Images(Path(sys.argv[1]), makes=True).place({NAME!r})"
    )
    with subprocess.Popen([sys.executable, "-c", program, data_dir, tools]) as killed:
        end = time.monotonic() + 20
        while not begun.exists() and time.monotonic() < end:
            time.sleep(0.02)
        killed.kill()
    assert begun.exists()
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(images.place, NAME)
        time.sleep(0.5)
        assert devices(data_dir) == [], "beside the other one it would work on the same image"
        go_on.write_text("go on\n")
        assert later.result(20) is not None
    assert len(devices(data_dir)) == 1
    assert os.path.ismount(data_dir / NAME)
