"""What is around the server: the clock, the ports, the limit of open files, and the server that may run already."""

import contextlib
import ctypes
import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from lan_session_manager.doctor.findings import Finding, Verdict
from lan_session_manager.identity.neighbours import Neighbours
from lan_session_manager.settings import STATE_DIR

WS_PORT = 8765
_OPEN_FILES = 4096  # a few for each open dashboard (LSM_MAX_SOCKETS) and each running task
_YEARS = range(2025, 2100)
_STA_UNSYNC, _TIME_ERROR = 0x40, 5  # adjtimex(2)


@dataclass(frozen=True)
class Listener:
    """A socket that waits for connections; `pid` None: the program is not told to this user."""

    port: int
    pid: int | None
    program: str


class _Timex(ctypes.Structure):
    """The head of struct timex (adjtimex(2)), with room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def find_clock() -> list[Finding]:
    """Whether the clock is right."""
    return [clock(time.gmtime().tm_year, is_synchronised=_is_synchronised())]


def find_ports(ports: Sequence[int], server: int | None) -> list[Finding]:
    """Whether the server can listen; `server` is the process id of the one that runs over the data directory."""
    listeners = _listeners()
    return [port_use(port, listeners, server) for port in ports]


def find_neighbours() -> list[Finding]:
    """Whether the kernel tells which hardware address stands at an address of the network."""
    asked = Neighbours()
    try:
        asked.check()
    except OSError as error:
        return [neighbours(error.strerror or str(error))]
    finally:
        asked.close()
    return [neighbours("")]


def neighbours(fault: str) -> Finding:
    """The finding on netlink, which fails as `fault` says; empty: it works."""
    name = "neighbour table"
    if fault:
        advice = (
            "Devices cannot be told apart by their MAC addresses: who gets another's address gets its session too, "
            "unless both are browsers. Let the server use netlink (Linux 5.0 or later), or set LSM_IDENTITY=device."
        )
        return Finding(name, Verdict.CAUTION, f"it cannot be read: {fault}", advice)
    return Finding(name, Verdict.PASS, "it can be read")


def find_open_files(server: int | None) -> list[Finding]:
    """How many files and connections the running server, else one started from here, may have open."""
    _, most = resource.prlimit(os.getpid() if server is None else server, resource.RLIMIT_NOFILE)
    return [open_files(None if most == resource.RLIM_INFINITY else most)]


def running_server(data_dir: Path) -> int | None:
    """The process id of the server that holds the data directory's lock, as far as this user may know."""
    lock = data_dir / STATE_DIR / "server.lock"
    try:
        found = os.stat(lock)
    except OSError:
        return None
    holders = parse_locks(Path("/proc/locks").read_text())
    return next((pid for pid, inode in holders if inode == found.st_ino and _has_open(pid, found)), None)


def parse_locks(text: str) -> list[tuple[int, int]]:
    """The process id and the inode of each flock(2) that is held, from /proc/locks (proc(5))."""
    held = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK":  # a lock that is waited for has an arrow in this place
            with contextlib.suppress(ValueError):
                held.append((int(fields[4]), int(fields[5].rpartition(":")[2])))
    return held


def clock(year: int, *, is_synchronised: bool | None) -> Finding:
    """The finding on the clock; `is_synchronised` None: the kernel does not tell."""
    if year not in _YEARS:
        advice = "Set the clock: times of tasks and the expiry of sessions come from it."
        return Finding("clock", Verdict.FAIL, f"it shows the year {year}", advice)
    if is_synchronised is None:
        return Finding("clock", Verdict.SKIPPED, f"year {year}; whether it is synchronised is not told")
    if not is_synchronised:
        advice = "Have it synchronised (timedatectl set-ntp true), unless the host of this machine sees to it."
        return Finding("clock", Verdict.CAUTION, f"year {year}, not synchronised", advice)
    return Finding("clock", Verdict.PASS, f"year {year}, synchronised")


def port_use(port: int, listeners: Sequence[Listener], server: int | None) -> Finding:
    """The finding on a port that the server wants."""
    name = f"port {port}"
    users = [listener for listener in listeners if listener.port == port]
    others = [listener for listener in users if listener.pid is None or listener.pid != server]
    if others:
        pid = others[0].pid
        who = "a program of another user" if pid is None else f"{others[0].program} (process {pid})"
        option = "--ws-port" if port == WS_PORT else "--port"
        return Finding(name, Verdict.FAIL, f"used by {who}", f"End that program, or start the server with {option}.")
    return Finding(name, Verdict.PASS, f"used by the server (process {server})" if users else "free")


def open_files(most: int | None) -> Finding:
    """The finding on the hard limit of open files, up to which the server raises the other one; None: there is none."""
    name = "open files"
    what = "no limit" if most is None else f"{most} at most"
    if most is not None and most < _OPEN_FILES:
        advice = f"Run ulimit -Hn {_OPEN_FILES} before the start, or set LimitNOFILE={_OPEN_FILES} in the systemd unit."
        return Finding(name, Verdict.CAUTION, what, advice)
    return Finding(name, Verdict.PASS, what)


def _is_synchronised() -> bool | None:
    seen = _Timex()  # modes 0: nothing is set
    result = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(seen))
    return None if result == -1 else result != _TIME_ERROR and not seen.status & _STA_UNSYNC


def _listeners() -> list[Listener]:
    return [
        Listener(seen.laddr.port, seen.pid, _program(seen.pid))
        for seen in psutil.net_connections("tcp")
        if seen.status == psutil.CONN_LISTEN and seen.laddr
    ]


def _program(pid: int | None) -> str:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).name() if pid else ""
    return ""


def _has_open(pid: int, file: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), file):
                    return True
    return False
