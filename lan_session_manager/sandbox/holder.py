"""The holder: it keeps the namespaces of a server without root, and starts the monitors of its boxes.

A small process that lives as long as the tasks may. It makes a user namespace in which its user is root over the user
ids that /etc/subuid and /etc/subgid give to it, with mounts and a view of its own cgroup, so that a server that comes,
goes and comes again finds the same namespaces: those of another one would have no rights over the boxes. Monitors are
its children and not the server's, as what ends a service of systemd ends all that is in its cgroup.

Run as a script, `python -I -S holder.py`: of the project it imports nothing. Requests are single packets of JSON on a
UNIX socket that its own user alone may use: `{"verb": "join"}` is answered with descriptors of the namespaces,
`{"verb": "start", ...}` with the id of the process that was started.
"""

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import re
import resource
import select
import shutil
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMESPACES = {"user": 0x10000000, "cgroup": 0x02000000, "mnt": 0x00020000}  # in the order in which they are entered
CONTROLLERS = ("cpu", "memory", "pids")
FIRST_INSIDE = 1_000_000  # the first id inside that stands for one of /etc/subuid; 0 stands for the user itself
RANGE_FILES = {"newuidmap": Path("/etc/subuid"), "newgidmap": Path("/etc/subgid")}
MOST_BYTES, MOST_FDS = 65536, 8  # of a packet
CGROUPS = Path("/sys/fs/cgroup")
SOCKET = "holder"

_SERVICE_PLACE = Path("/run/lan-session-manager-tasks")  # RuntimeDirectory= of the unit
_LEAF = "holder"  # a cgroup that hands on controllers may have no processes of its own
_SAFE = 0x2 | 0x4  # MS_NOSUID, MS_NODEV
_PR_SET_NO_NEW_PRIVS = 38
_PATIENCE_S = 5.0
_LOOK_S = 1.0  # how long an ended child may stay a zombie


class HolderError(Exception):
    """The namespaces could not be made; the text is for the owner of the machine."""


def parse_ranges(text: str) -> list[tuple[str, int, int]]:
    """The name, the first id and the number of ids of every valid line of /etc/subuid or /etc/subgid (subuid(5))."""
    found = (re.fullmatch(r"([^:]*):([0-9]{1,10}):([0-9]{1,10})", line.strip()) for line in text.splitlines())
    return [(match[1], int(match[2]), int(match[3])) for match in found if match]


def ranges_of(uid: int, file: Path) -> list[tuple[int, int]]:
    """First id and number of ids of the ranges that /etc/subuid or /etc/subgid gives to a user."""
    names = {str(uid)}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(uid).pw_name)
    with contextlib.suppress(FileNotFoundError):
        found = parse_ranges(file.read_text(errors="replace"))
        return [(first, count) for name, first, count in found if name in names and count]
    return []


def problem() -> str | None:
    """What is missing for a holder of this user, in a sentence for its owner; None: nothing that can be seen."""
    for program, file in RANGE_FILES.items():
        if shutil.which(program) is None:
            return f"{program} is not installed: install the package uidmap"
        if not ranges_of(os.geteuid(), file):
            return f"user {os.geteuid()} has no ids in {file}: see `As a service` in docs/operations.md"
    return None


def delegated(mounted: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> Path | None:
    """The cgroup of this process, if it is of version 2 and its user may make others below it; else None."""
    if not (mounted / "cgroup.controllers").exists():
        return None
    line = next((line for line in own.read_text().splitlines() if line.startswith("0::/")), None)
    if line is None:
        return None
    directory = mounted / line.removeprefix("0::/")
    needed = (directory, directory / "cgroup.procs", directory / "cgroup.subtree_control")
    return directory if directory != mounted and all(os.access(path, os.W_OK) for path in needed) else None


def place(uid: int) -> Path:
    """Where the socket of the user's holder is and, within its mounts, what only this boot needs of the boxes.

    The runtime directory of the service or of the user's session, else a directory in /tmp, made or not.
    """
    for directory in (_SERVICE_PLACE, Path(f"/run/user/{uid}")):
        if _is_own(directory):
            return directory
    return Path(f"/tmp/lan-session-manager-{uid}")  # noqa: S108 - its owner is looked at before it is used


def check_place(directory: Path) -> None:
    """Raise HolderError if others can get at what is in the directory."""
    if not _is_own(directory) or directory.stat().st_mode & 0o022:
        raise HolderError(f"{directory} belongs to somebody else: remove it")


def _is_own(directory: Path) -> bool:
    with contextlib.suppress(OSError):
        found = os.lstat(directory)
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return False


def main() -> int:
    """Hold until SIGTERM; gives 1, and says why on the standard error, if that cannot be."""
    parser = argparse.ArgumentParser(description="Hold the namespaces of a LAN Session Manager without root.")
    parser.add_argument("--name", default=SOCKET, help="name of the socket (holder)")
    parser.add_argument("--until-eof", action="store_true", help="end when the standard input does")
    options = parser.parse_args()
    try:
        outside, listeners = _prepare(options.name)
    except (HolderError, OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1
    _say_ready()
    _serve(listeners, sys.stdin.fileno() if options.until_eof else None)
    for name in (options.name, _lock_name(options.name)):
        os.unlink(name, dir_fd=outside)
    return 0


def _prepare(name: str) -> tuple[int, list[socket.socket]]:
    """A descriptor of the place as it is outside, and what is listened on there and inside."""
    if os.geteuid() == 0:
        raise HolderError("root needs no holder")
    if (missing := problem()) is not None:
        raise HolderError(missing)
    os.chdir("/")
    directory = place(os.geteuid())
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    check_place(directory)
    outside = _hold_lock(directory, name)
    cgroup = delegated()
    listener = _listen(directory / name)
    _unshare(with_cgroup=cgroup is not None)
    # From here on nothing that this process starts can have more rights than it has now.
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _show_cgroups(is_delegated=cgroup is not None)
    _mount("tmpfs", directory, "mode=755")  # what is in it has to be seen by user ids of boxes
    return outside, [listener, _listen(directory / SOCKET)]


def _lock_name(name: str) -> str:
    return f"{name}.lock"


def _hold_lock(directory: Path, name: str) -> int:
    """Be the only holder of that name, and keep those who tidy up /tmp away (systemd-tmpfiles heeds such a lock)."""
    here = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(here, fcntl.LOCK_SH)
    mine = os.open(_lock_name(name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=here)
    try:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise HolderError("another holder of this user runs") from None
    return here


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.bind(str(path))
    path.chmod(0o600)
    made.listen()
    return made


def _unshare(*, with_cgroup: bool) -> None:
    uid, gid, target = os.geteuid(), os.getegid(), os.getpid()
    maps = [
        [program, str(target), *_map_words(own, ranges_of(uid, file))]
        for (program, file), own in zip(RANGE_FILES.items(), (uid, gid), strict=True)
    ]
    ready, tell = os.pipe()
    mapper = os.fork()  # who stays outside may have the maps written
    if mapper == 0:
        os.close(tell)
        os.read(ready, 1)
        done = all(subprocess.run(words, check=False, timeout=_PATIENCE_S).returncode == 0 for words in maps)
        os._exit(0 if done else 1)
    kinds = NAMESPACES["user"] | NAMESPACES["mnt"] | (NAMESPACES["cgroup"] if with_cgroup else 0)
    try:
        _call("unshare", kinds)
    finally:
        os.close(tell)
        os.close(ready)
        _, status = os.waitpid(mapper, 0)
    if status != 0:
        raise HolderError("the user ids could not be mapped")


def _map_words(own: int, ranges: list[tuple[int, int]]) -> list[str]:
    words, inside = ["0", str(own), "1"], FIRST_INSIDE
    for first, count in ranges:
        words += [str(inside), str(first), str(count)]
        inside += count
    return words


def _show_cgroups(*, is_delegated: bool) -> None:
    """Show of the cgroups only those that may be used: those below the own one, or none."""
    if CGROUPS.is_dir():
        _mount("tmpfs", CGROUPS, "mode=755")  # the kernel does not mount the same file system twice in a place
    if is_delegated:
        _mount("cgroup2", CGROUPS, None)
        (CGROUPS / _LEAF).mkdir(exist_ok=True)
        for pid in (CGROUPS / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (CGROUPS / _LEAF / "cgroup.procs").write_text(pid)


def _mount(kind: str, target: Path, data: str | None) -> None:
    _call("mount", kind.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(_SAFE), data and data.encode())


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _say_ready() -> None:
    """Tell systemd (sd_notify(3)) and whoever waits for the end of the standard error."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
            notify.send(b"READY=1")
    else:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)


def _serve(listeners: list[socket.socket], until: int | None) -> None:
    children: list[subprocess.Popen[bytes]] = []
    namespaces = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in NAMESPACES]
    poll = select.poll()
    for fd in (*(listener.fileno() for listener in listeners), *([] if until is None else [until])):
        poll.register(fd, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll(_LOOK_S * 1000 if children else None)]
        children = [child for child in children if child.poll() is None]
        if until in ready and not os.read(until or 0, MOST_BYTES):
            return
        for listener in listeners:
            if listener.fileno() in ready:
                with contextlib.suppress(OSError, ValueError, KeyError), listener.accept()[0] as client:
                    client.settimeout(_PATIENCE_S)
                    _answer(client, namespaces, children)


def _answer(client: socket.socket, namespaces: list[int], children: list["subprocess.Popen[bytes]"]) -> None:
    _, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid != os.geteuid():
        return
    with received(client) as (request, fds):
        if request["verb"] == "join":
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            send(client, {"pid": os.getpid(), "open_files": most}, namespaces)
        elif request["verb"] == "start":
            try:
                child = _start(request, fds)
            except (OSError, subprocess.SubprocessError) as error:
                send(client, {"error": str(error)})
                return
            children.append(child)
            send(client, {"pid": child.pid})


def _start(request: dict[str, Any], fds: list[int]) -> "subprocess.Popen[bytes]":
    """Start a program with the mounts of the first of `fds`, and with the others.

    It finds their numbers in the variables that `pipes` names.
    """
    mounts, *pipes = fds
    numbers = {name: str(fd) for name, fd in zip(request["pipes"], pipes, strict=True)}

    def enter() -> None:
        _call("setns", mounts, NAMESPACES["mnt"])
        os.chdir(request["directory"])

    return subprocess.Popen(
        request["command"],
        preexec_fn=enter,
        env={**request["environment"], **numbers},
        pass_fds=pipes,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def send(to: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """Send a message as one packet, with descriptors. Raises OSError."""
    socket.send_fds(to, [json.dumps(message).encode()], fds or [])


@contextmanager
def received(source: socket.socket) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """A message, and its descriptors, which are closed after use. Raises OSError, or ValueError for what is none."""
    data, fds, _, _ = socket.recv_fds(source, MOST_BYTES, MOST_FDS, socket.MSG_CMSG_CLOEXEC)
    try:
        message = json.loads(data)
        if not isinstance(message, dict):
            raise ValueError("not a message")
        yield message, list(fds)
    finally:
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    sys.exit(main())
