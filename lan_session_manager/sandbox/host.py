"""What this host has: its mounts, its boot, its processes, and a view of the mounts that the runtime can work with."""

import contextlib
import ctypes
import errno
import os
import platform
import re
import select
import stat
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_SLAVE = 0x4000, 1 << 19
_MNT_DETACH = 2
_PATIENCE_S = 10.0
_LINES = 32  # of maps: they take as long as one file
_KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272, "loongarch64": 272, "ppc64le": 354, "s390x": 343}
_KCMP_FILES = 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_thread = threading.local()


@dataclass(frozen=True)
class Mount:
    """A line of /proc/self/mountinfo (proc(5))."""

    point: Path
    kind: str  # the file system's type
    options: frozenset[str]  # of the file system, among them the controllers of a version 1 cgroup hierarchy
    id: int = field(default=0, compare=False)
    parent: int = field(default=0, compare=False)


def parse_mounts(text: str) -> list[Mount]:
    """The mounts of a mountinfo file's text, in its order."""
    mounts = []
    for line in text.rstrip("\n").split("\n"):
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), after.split(" ", 2)
        # Space, tab, line feed and backslash stand as three octal digits.
        point = re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits[1], 8)), fields[4])
        own, above = int(fields[0]), int(fields[1])
        mounts.append(Mount(Path(point), kind, frozenset(options.split(",")), own, above))
    return mounts


def read_mounts() -> list[Mount]:
    """The mounts that the calling thread sees, without those that are covered by others."""
    with open("/proc/thread-self/mountinfo", errors="surrogateescape") as file:
        return uncovered(parse_mounts(file.read()))


def uncovered(mounts: list[Mount]) -> list[Mount]:
    """Those of `mounts` that can be reached by their path."""
    by_id = {mount.id: mount for mount in mounts}
    places = {(mount.parent, mount.point) for mount in mounts}

    def has_cover(mount: Mount) -> bool:
        return (mount.id, mount.point) in places

    def is_reached(mount: Mount) -> bool:
        if any((mount.parent, above) in places for above in mount.point.parents):
            return False  # mounted later, or this one would have been mounted in it
        parent = by_id.get(mount.parent)
        if parent is None or parent is mount:
            return True
        return is_reached(parent) and (parent.point == mount.point or not has_cover(parent))

    return [mount for mount in mounts if not has_cover(mount) and is_reached(mount)]


def hybrid_mount(mounts: list[Mount]) -> Path | None:
    """Where an (unused) cgroup v2 hierarchy is mounted beside those of version 1, or None."""
    if not any(mount.kind == "cgroup" and "memory" in mount.options for mount in mounts):
        return None
    return next((mount.point for mount in mounts if mount.kind == "cgroup2"), None)


def enter_private_mounts() -> None:
    """Put the calling thread, and what it starts, into a mount namespace of its own without the hybrid cgroup v2 mount.

    crun refuses to work where version 2 is mounted beside version 1. Mounts of the host go on appearing in the new
    namespace; nothing done there is seen by the host. Who may not have such a namespace, and does not need it for that
    reason, stays in the host's. Raises OSError.
    """
    hybrid = hybrid_mount(read_mounts())
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        _check(libc.unshare(_CLONE_NEWNS), "unshare")
    except PermissionError:
        if hybrid is not None:
            raise
        _thread.has_private_mounts = False
        return
    _check(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None), "mount")
    if hybrid is not None:
        _check(libc.umount2(os.fsencode(hybrid), _MNT_DETACH), "umount2")
    _thread.has_private_mounts = True


def has_private_mounts() -> bool:
    """Whether the calling thread has entered a mount namespace of its own, so that it may mount and unmount there.

    False: it may not have one. Raises OSError for a thread that has not tried.
    """
    if not hasattr(_thread, "has_private_mounts"):
        raise OSError(errno.EINVAL, "this thread has not entered the private mounts")
    return bool(_thread.has_private_mounts)


def mount(source: str, target: Path, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    """mount(2), in the calling thread's namespace. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    kind_, options_ = kind.encode() if kind else None, os.fsencode(options) or None
    _check(libc.mount(os.fsencode(source), os.fsencode(target), kind_, ctypes.c_ulong(flags), options_), "mount")


def set_namespace(fd: int, kind: int) -> None:
    """setns(2) for the calling thread. Raises OSError."""
    _check(ctypes.CDLL(None, use_errno=True).setns(fd, kind), "setns")


def detach(target: Path) -> None:
    """Take a mount, and all below it, out of the calling thread's namespace; who uses it keeps it. Raises OSError."""
    _check(ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(target), _MNT_DETACH), "umount2")


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


def pin_oom_score(pid: int, score: int) -> None:
    """Give a process an `oom_score_adj` that it, and what it starts, can raise and not lower. Raises OSError.

    Who has not the host's CAP_SYS_RESOURCE gives the score alone: it can be lowered to what this process has (proc(5)).
    """
    Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))


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


def bytes_read(pid: int) -> int | None:
    """How many bytes a process has read so far, from files and pipes (proc(5)); None where that cannot be known."""
    with contextlib.suppress(OSError, KeyError, ValueError):
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["rchar"])
    return None


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
    """What files without a name take on a disk (`st_dev`) that the processes `pids` have open, mapped, or run.

    None: there are more than `most` such files to look at. What has no descriptor in any process is not seen: one on
    its way through a socket, or that of a system call which has not returned. Nor is, by who is not root of the host,
    what is only mapped.
    """
    found: dict[int, int] = {}
    for pid in pids:
        for path in _held_by(pid):
            if most == 0:
                return None
            most -= 1
            with contextlib.suppress(OSError):
                info = os.stat(path)
                if info.st_nlink == 0 and info.st_dev == device and stat.S_ISREG(info.st_mode):
                    found[info.st_ino] = info.st_blocks * 512
    return sum(found.values())


def _held_by(pid: int) -> Iterator[str]:
    """Links of procfs to what a process has open, to what it runs, and to deleted files that it has mapped.

    The list of what it has mapped is among them once for every so many lines, so that who reads can bound the work.
    """
    yield f"/proc/{pid}/exe"
    with contextlib.suppress(OSError):
        # A thread may have a table of its own, and that of the first one is gone once it has ended.
        tables: list[int] = []
        for thread in map(int, os.listdir(f"/proc/{pid}/task")):
            if any(_share_files(thread, other) for other in tables):
                continue
            with contextlib.suppress(OSError):
                files = os.listdir(f"/proc/{pid}/task/{thread}/fd")
                tables += [thread] if files else []
                yield from (f"/proc/{pid}/task/{thread}/fd/{file}" for file in files)
    with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", "rb") as maps:
        seen: set[tuple[bytes, ...]] = set()
        for number, line in enumerate(maps, 1):
            if number % _LINES == 0:
                yield maps.name
            if line.endswith(b" (deleted)\n"):
                where, _, _, *inode = line.split(None, 5)[:5]
                if tuple(inode) not in seen:
                    seen.add(tuple(inode))
                    yield f"/proc/{pid}/map_files/{_as_listed(where)}"


def _as_listed(where: bytes) -> str:
    """The name in map_files of an address range of maps, which has leading zeros there."""
    first, _, last = where.partition(b"-")
    return f"{int(first, 16):x}-{int(last, 16):x}"


def _share_files(thread: int, other: int) -> bool:
    """Whether two threads of one process have one table of descriptors; also where the kernel does not tell."""
    number = _KCMP.get(platform.machine())
    if number is None:
        return True
    arguments = (thread, other, _KCMP_FILES, 0, 0)
    return bool(_libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) <= 0)


def has_swap() -> bool:
    """Whether the host can move memory to a disk."""
    return len(Path("/proc/swaps").read_text().splitlines()) > 1
