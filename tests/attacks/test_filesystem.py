"""A task gains nothing from device nodes, setuid files, capabilities of files, links and the mounts that it sees."""

import os
import shutil
import struct
from collections.abc import Mapping

import pytest

from lan_session_manager.sandbox.box import user_range
from tests.attacks.tries import tries
from tests.integration.sandbox.room import FIRST_SLOT, Room

pytestmark = pytest.mark.root

# struct vfs_ns_cap_data of revision 2 (linux/capability.h): CAP_SETUID and CAP_SYS_ADMIN, effective.
CAPABILITIES = struct.pack("<IIIII", 0x02000001, 1 << 7 | 1 << 21, 0, 0, 0)


@pytest.fixture(scope="module")
def given(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, object]:
    """A file of the host; in the workspace programs that a careless host might leave there; a shared file."""
    canary = tmp_path_factory.mktemp("host") / "canary"
    canary.write_text("the canary's song")
    canary.chmod(0o644)
    workspace = room.workspace()
    for name, owner in (("of-host-root", 0), ("of-box-root", user_range(FIRST_SLOT))):
        shutil.copy("/usr/bin/id", workspace / name)
        os.chown(workspace / name, owner, owner)
        (workspace / name).chmod(0o6755)
    shutil.copy("/usr/bin/cat", workspace / "capable")
    (workspace / "capable").chmod(0o755)
    os.setxattr(workspace / "capable", "security.capability", CAPABILITIES)
    shared = room.data_dir / "shared" / "file"
    shared.write_bytes(bytes(8192))
    shared.chmod(0o666)
    shared.parent.chmod(0o777)
    return {"canary": str(canary)}


DEVICES = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0)]  # null, zero, full, random, urandom, tty


@tries(
    """
found = []
for place, directories, files in os.walk("/"):
    if place == "/":
        directories.remove("proc")
    for path in (os.path.join(place, name) for name in files):
        facts = os.lstat(path)
        if not stat.S_ISREG(facts.st_mode) and not stat.S_ISLNK(facts.st_mode) and place != "/workspace":
            is_device = stat.S_ISCHR(facts.st_mode) and facts.st_uid == 65534
            found.append((os.major(facts.st_rdev), os.minor(facts.st_rdev)) if is_device else path)
return sorted(found, key=str)
"""
)
def test_a_box_has_six_harmless_devices_and_no_socket_or_pipe_of_the_host(answers: list[str]) -> None:
    assert answers == [str(DEVICES)]


@tries(
    *(
        f"""
before = os.stat("/dev/{name}")
told = []
for attack in (
    lambda: os.chmod("/dev/{name}", 0), lambda: os.chown("/dev/{name}", 1000, 1000),
    lambda: os.utime("/dev/{name}", (1, 1)), lambda: os.setxattr("/dev/{name}", "user.x", b"x"),
    lambda: os.unlink("/dev/{name}"), lambda: os.rename("/dev/{name}", "/dev/moved"),
):
    try:
        attack()
        told.append("done")
    except OSError as error:
        told.append(name_of(error))
after = os.stat("/dev/{name}")
same = (before.st_mode, before.st_uid, before.st_mtime) == (after.st_mode, after.st_uid, after.st_mtime)
return "kept" if same and set(told) <= {{"EPERM", "EACCES", "EBUSY"}} else told
"""
        for name in ("null", "zero", "full", "random", "urandom", "tty")
    )
)
def test_a_task_cannot_take_a_device_of_the_host_from_others(answers: list[str]) -> None:
    assert answers == ["kept"] * 6


@tries(
    "os.mknod('/workspace/mem', 0o20666, os.makedev(1, 1))",
    "os.mknod('/tmp/null', 0o20666, os.makedev(1, 3))",
    "os.mknod('/workspace/disk', 0o60666, os.makedev(8, 0))",
    "os.mknod('/workspace/loop', 0o60666, os.makedev(7, 0))",
    "os.mknod('/dev/shm/fuse', 0o20666, os.makedev(10, 229))",
)
def test_a_task_cannot_make_a_device(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 5


@tries("os.open('/dev/tty', os.O_RDWR)", "os.open('/dev/ptmx', os.O_RDWR)", "os.open('/dev/console', os.O_RDWR)")
def test_a_task_has_no_terminal_and_can_make_none(answers: list[str]) -> None:
    assert answers[:2] == ["ENXIO", "ENOENT"]
    assert answers[2] == "ENOENT"


@tries(
    "fcntl.ioctl(os.open('/dev/random', os.O_RDWR), 0x40045201, struct.pack('i', 1))",  # RNDADDTOENTCNT
    "fcntl.ioctl(os.open('/dev/random', os.O_RDWR), 0x5206)",  # RNDCLEARPOOL
)
def test_a_task_cannot_spoil_the_machines_randomness(answers: list[str]) -> None:
    assert answers == ["EPERM", "EPERM"]


RUN_ID = """
import shutil, subprocess
{}
return subprocess.run(["./{}", "-u"], capture_output=True, text=True).stdout.strip()
"""


@tries(
    RUN_ID.format("shutil.copy('/usr/bin/id', 'own')\nos.chmod('own', 0o6755)", "own"),
    RUN_ID.format("", "of-host-root"),
    RUN_ID.format("", "of-box-root"),
    "return [oct(os.stat(name).st_mode) for name in ('own', 'of-host-root', 'of-box-root')]",
)
def test_a_setuid_file_makes_nobody_another_user_whoever_owns_it(answers: list[str]) -> None:
    assert answers == ["1000", "1000", "1000", str([oct(0o106755)] * 3)]


@tries(
    """
import subprocess
told = subprocess.run(["./capable", "/proc/self/status"], capture_output=True, text=True).stdout
return [line.split()[1].strip("0") for line in told.splitlines() if line.startswith("Cap")]
""",
    "return os.getxattr('capable', 'security.capability') != b''",
)
def test_a_file_with_capabilities_gives_none(answers: list[str]) -> None:
    # Where the mount does not take them off the file, the kernel does not run what it cannot give them to.
    assert answers[0] in ("EPERM", "['', '', '', '', '']")
    assert answers[1] == "True"


SYSTEM_TOOL = """
import subprocess
if not os.path.exists({0!r}):
    return "refused"
ran = subprocess.run({1!r}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=8)
return "refused" if ran.returncode not in (0, -9) and "uid=" not in ran.stdout else ran
"""
TOOLS = (
    ("/usr/bin/su", "-c", "id"),
    ("/usr/bin/sudo", "-n", "id"),
    ("/usr/bin/pkexec", "id"),
    ("/usr/bin/newgrp", "root"),
    ("/usr/bin/mount", "-t", "tmpfs", "none", "/workspace"),
    ("/usr/bin/umount", "/usr/local/etc"),
    ("/usr/bin/passwd", "-d", "user"),
    ("/usr/bin/chsh", "-s", "/bin/bash", "root"),
    ("/usr/bin/newuidmap", "1", "0", "0", "1"),
)


@tries(*(SYSTEM_TOOL.format(tool[0], list(tool)) for tool in TOOLS))
def test_the_setuid_programs_of_the_system_do_nothing_for_a_task(answers: list[str]) -> None:
    assert dict(zip(TOOLS, answers, strict=True)) == dict.fromkeys(TOOLS, "refused")


@tries(
    f"open('own-file', 'w').close(); os.setxattr('own-file', 'security.capability', {CAPABILITIES!r})",
    "open('own-file', 'w').close(); os.setxattr('own-file', 'trusted.x', b'x')",
    "open('own-file', 'w').close(); os.setxattr('own-file', 'security.x', b'x')",
)
def test_a_task_cannot_give_a_file_capabilities_or_marks_of_the_kernel(answers: list[str]) -> None:
    assert answers == ["EPERM", "EPERM", "EPERM"]


@tries(
    "open('given', 'w').close(); os.chown('given', 0, 0)",
    "open('given', 'w').close(); os.chown('given', 1001, -1)",
    "open('given', 'w').close(); os.chown('given', -1, 0)",
    "os.chown('/workspace', 1001, 1001)",
)
def test_a_task_cannot_give_its_files_to_another_user(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 4


@tries(
    "os.link('/usr/bin/id', '/workspace/hard')",
    "os.link('/shared/file', '/workspace/hard')",
    "os.link('/etc/passwd', '/workspace/hard')",
    "os.link('/proc/self/exe', '/workspace/hard', follow_symlinks=True)",
    "os.link(f'/proc/self/fd/{os.open(\"/usr/bin/id\", os.O_RDONLY)}', '/workspace/hard', follow_symlinks=True)",
)
def test_a_task_cannot_hard_link_a_file_of_the_host_into_its_workspace(answers: list[str]) -> None:
    assert answers == ["EXDEV"] * 5


@tries(
    "open(canary)",
    "open('/workspace/../../../../../..' + canary)",
    "os.symlink(canary, 'link'); open('link')",
    "os.symlink('../../../../../../../../' + canary, 'climb'); open('climb')",
    """
place = os.open("/workspace", os.O_PATH)
for _ in range(40):
    place = os.open("..", os.O_PATH, dir_fd=place)
return os.path.samestat(os.stat(place), os.stat("/"))
""",
)
def test_no_path_or_link_climbs_out_of_a_box(answers: list[str]) -> None:
    assert answers == ["ENOENT"] * 4 + ["True"]


@tries(
    *(
        f"""
try:
    {attack}
except OSError as error:
    return "refused" if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) else name_of(error)
"""
        for attack in (
            "write('/etc/passwd', b'')",
            "os.unlink('/etc/passwd')",
            "os.rename('/etc', '/moved')",
            "os.symlink('/workspace', '/usr/lib/python3/x')",
            "open('/usr/bin/attacked', 'w')",
            "open('/etc/ld.so.preload', 'w')",
            "os.mkdir('/attacked')",
            "os.mkdir('/usr/local/etc/attacked')",
        )
    )
)
def test_a_task_cannot_change_the_system_that_it_sees(answers: list[str]) -> None:
    assert answers == ["refused"] * 8


@tries(
    "os.open('/shared/file', os.O_WRONLY)",
    "os.truncate('/shared/file', 0)",
    "os.chmod('/shared/file', 0)",
    "os.unlink('/shared/file')",
    "open('/shared/new', 'w')",
    "os.utime('/shared/file')",
    "os.setxattr('/shared/file', 'user.x', b'x')",
)
def test_a_task_cannot_change_a_shared_file_that_everybody_may_write(answers: list[str]) -> None:
    assert answers == ["EROFS"] * 7


@tries(
    "mmap.mmap(os.open('/shared/file', os.O_RDONLY), 4096, flags=mmap.MAP_PRIVATE, prot=5)",
    "open('/dev/shm/x', 'w').write('x' * 4096)\n"
    "mmap.mmap(os.open('/dev/shm/x', os.O_RDONLY), 4096, flags=mmap.MAP_PRIVATE, prot=5)",
    "os.execv('/shared/file', ['file'])",
)
def test_a_task_cannot_run_what_lies_in_the_shared_places(answers: list[str]) -> None:
    assert answers == ["EPERM", "EPERM", "EACCES"]


@tries(
    """
nosuid, nodev = 2, 4
places = ("/", "/workspace", "/usr", "/shared", "/tmp", "/dev/shm", "/proc", "/etc/ssl/certs")
flags = {place: os.statvfs(place).f_flag for place in places}
return sorted(place for place, flag in flags.items() if not flag & nosuid or not flag & nodev)
""",
    "return sorted(place for place in ('/', '/usr', '/shared', '/proc/sys') if not os.statvfs(place).f_flag & 1)",
)
def test_the_mounts_of_a_box_are_without_setuid_and_devices_and_read_only(answers: list[str]) -> None:
    assert answers == ["[]", "[]"]


@tries(
    "open('kept', 'w').close(); fcntl.ioctl(os.open('kept', os.O_RDONLY), 0x40086602, struct.pack('l', 0x10))",
    "fcntl.ioctl(os.open('/workspace', os.O_RDONLY), 0xC0045877, struct.pack('i', 0))",  # FIFREEZE
    "fcntl.ioctl(os.open('/workspace', os.O_RDONLY), 0xC0185879, bytes(24))",  # FITRIM
)
def test_a_task_cannot_lock_a_file_for_ever_or_freeze_the_file_system(answers: list[str]) -> None:
    assert answers == ["EPERM", "EPERM", "EPERM"]
