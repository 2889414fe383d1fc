"""What this host has: its mounts, its boot, its processes, and a view of the mounts that the runtime can work with."""

import contextlib
import ctypes
import errno
import os
import re
import select
import stat
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_SLAVE = 0x4000, 1 << 19
_MNT_DETACH = 2
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Mount:
    """A line of /proc/self/mountinfo (proc(5))."""

    point: Path
    kind: str  # the file system's type
    options: frozenset[str]  # of the file system, among them the controllers of a version 1 cgroup hierarchy


def parse_mounts(text: str) -> list[Mount]:
    """The mounts of a mountinfo file's text, in its order."""
    mounts = []
    for line in text.rstrip("\n").split("\n"):
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), after.split(" ", 2)
        # Space, tab, line feed and backslash stand as three octal digits.
        point = re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits[1], 8)), fields[4])
        mounts.append(Mount(Path(point), kind, frozenset(options.split(","))))
    return mounts


def read_mounts() -> list[Mount]:
    """The mounts that the calling thread sees."""
    with open("/proc/thread-self/mountinfo", errors="surrogateescape") as file:
        return parse_mounts(file.read())


def hybrid_mount(mounts: list[Mount]) -> Path | None:
    """Where an (unused) cgroup v2 hierarchy is mounted beside those of version 1, or None."""
    if not any(mount.kind == "cgroup" and "memory" in mount.options for mount in mounts):
        return None
    return next((mount.point for mount in mounts if mount.kind == "cgroup2"), None)


def enter_private_mounts() -> None:
    """Put the calling thread, and what it starts, into a mount namespace of its own without the hybrid cgroup v2 mount.

    crun refuses to work where version 2 is mounted beside version 1. Mounts of the host go on appearing in the new
    namespace; nothing done there is seen by the host. Does nothing on a host without such a mount. Raises OSError.
    """
    hybrid = hybrid_mount(read_mounts())
    if hybrid is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWNS), "unshare")
    _check(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None), "mount")
    _check(libc.umount2(os.fsencode(hybrid), _MNT_DETACH), "umount2")


def _check(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")


def limit_user_namespace(pid: int, limits: Mapping[str, int]) -> None:
    """Set limits (files of /proc/sys/user) of the user namespace that the process is in. Raises OSError."""
    writes = "; ".join(f"echo {limit} > {name}" for name, limit in limits.items())
    # By a program: a process with more than one thread cannot enter a user namespace (setns(2)).
    try:
        subprocess.run(
            ["nsenter", f"--user=/proc/{pid}/ns/user", "/bin/sh", "-ec", f"cd /proc/sys/user; {writes}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            timeout=_PATIENCE_S,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise OSError(errno.EPERM, "the limits of a user namespace could not be set") from error


def boot_id() -> str:
    """The id of this boot of the host: another one after every restart."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (field 22 of /proc/PID/stat); None if there is none."""
    stat = _stat_fields(pid)
    return int(stat[19]) if stat else None


def parent(pid: int) -> int | None:
    """The parent of a process; None if there is no such process."""
    stat = _stat_fields(pid)
    return int(stat[1]) if stat else None


def _stat_fields(pid: int) -> list[str]:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", errors="replace") as file:
        # The second field, the name, may hold blanks and brackets; what follows its last bracket is field 3.
        return file.read().rpartition(") ")[2].split()
    return []


def open_process(pid: int, started: int) -> int | None:
    """A descriptor (pidfd) of the process that has this id and start time; None if it has ended."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    # Asked after opening: the id cannot change its owner while the descriptor is of a living process. A process that
    # has ended keeps id and start time until its parent has asked for its exit status.
    if start_time(pid) == started and not wait_for(fd, 0):
        return fd
    os.close(fd)
    return None


def open_child(pid: int, of: int) -> int | None:
    """A descriptor (pidfd) of process `pid` if it is a child of the living process `of`; else None."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    if parent(pid) == of:
        return fd
    os.close(fd)
    return None


def wait_for(process_fd: int, timeout_s: float) -> bool:
    """Wait until the process of a descriptor (pidfd) has ended; False if it has not by then."""
    poll = select.poll()
    poll.register(process_fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def unlinked_bytes(pids: Iterable[int], device: int, most: int) -> int | None:
    """What files without a name take on a disk (`st_dev`), and are open in the processes `pids`.

    None: more than `most` files are open.
    """
    found: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as files:
            for file in files:
                if most == 0:
                    return None
                most -= 1
                with contextlib.suppress(OSError):
                    info = os.stat(file.path)
                    if info.st_nlink == 0 and info.st_dev == device and stat.S_ISREG(info.st_mode):
                        found[info.st_ino] = info.st_blocks * 512
    return sum(found.values())


def has_swap() -> bool:
    """Whether the host can move memory to a disk."""
    return len(Path("/proc/swaps").read_text().splitlines()) > 1
