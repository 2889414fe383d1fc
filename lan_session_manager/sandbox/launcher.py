"""With whose rights boxes are made, and who starts their monitors: root itself, or a holder for a user without root."""

import functools
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from lan_session_manager.sandbox import holder, host
from lan_session_manager.sandbox.box import last_slot
from lan_session_manager.sandbox.holder import HolderError
from lan_session_manager.sandbox.runtime import ENVIRONMENT

ROOT_RUN_DIR = Path("/run/lan-session-manager")
_PATIENCE_S = 30.0
_LOOK_S = 0.05
# As in deploy/, but not Type=notify: the socket for that is in the runtime directory, which the holder covers.
_UNIT = ("Type=exec", "Delegate=cpu memory pids", "OOMPolicy=continue", "TasksMax=infinity")


class Mode(StrEnum):
    """With whose rights this process makes boxes."""

    ROOT = "root"
    ROOTLESS = "rootless"  # in a holder's namespaces
    NONE = "none"


class Started(Protocol):
    """A process that was started."""

    pid: int

    def wait(self, timeout_s: float) -> None:
        """Wait for its end. Raises TimeoutError."""

    def kill(self) -> None:
        """End it, and wait for that."""


class Launcher(Protocol):
    """Who starts programs that outlive this process."""

    def start(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str], pipes: Mapping[str, int]
    ) -> Started:
        """Start a program; `pipes` are descriptors for it, by the variable that tells it the number of each.

        Raises OSError.
        """

    def open_files(self) -> int:
        """The hard limit of open files that programs begin with."""


class Direct:
    """This process itself."""

    def start(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str], pipes: Mapping[str, int]
    ) -> Started:
        """See `Launcher.start`."""
        return _Child(
            subprocess.Popen(
                command,
                cwd=directory,
                env={**environment, **{name: str(fd) for name, fd in pipes.items()}},
                pass_fds=tuple(pipes.values()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def open_files(self) -> int:
        """See `Launcher.open_files`."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


class _Child:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.pid = process.pid

    def wait(self, timeout_s: float) -> None:
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError("it did not end") from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class ThroughHolder:
    """The holder that listens at `path`."""

    path: Path

    def start(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str], pipes: Mapping[str, int]
    ) -> Started:
        """See `Launcher.start`."""
        message = {
            "verb": "start",
            "command": list(command),
            "directory": str(directory),
            "environment": dict(environment),
            "pipes": list(pipes),
        }
        # Of this thread: the runtime needs the mounts that were made for the box.
        mounts = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            told, _ = _ask(self.path, message, [mounts, *pipes.values()])
        finally:
            os.close(mounts)
        return _Distant(told["pid"])

    def open_files(self) -> int:
        """See `Launcher.open_files`."""
        told, fds = _ask(self.path, {"verb": "join"})
        for fd in fds:
            os.close(fd)
        return int(told["open_files"])


class _Distant:
    """A child of the holder, which waits for a word of ours before it does anything, so that its id stays its own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def wait(self, timeout_s: float) -> None:
        if not host.wait_for(self._fd, timeout_s):
            raise TimeoutError("it did not end")
        os.close(self._fd)

    def kill(self) -> None:
        signal.pidfd_send_signal(self._fd, signal.SIGKILL)
        self.wait(_PATIENCE_S)


def mode() -> Mode:
    """With whose rights this process makes boxes."""
    if os.geteuid() != 0:
        return Mode.NONE
    return Mode.ROOTLESS if isinstance(current(), ThroughHolder) else Mode.ROOT


@functools.cache
def current() -> Launcher:
    """Who starts the monitors of this process's boxes."""
    outer = outer_uid()
    if os.geteuid() == 0 and outer != 0:
        path = holder.place(outer) / holder.SOCKET
        if path.is_socket():
            return ThroughHolder(path)
    return Direct()


def run_dir() -> Path:
    """The directory for what only this boot needs; in a holder's namespaces it is gone with them."""
    return ROOT_RUN_DIR if isinstance(current(), Direct) else holder.place(outer_uid())


def outer_uid() -> int:
    """This process's user id, seen from the namespace above, as long as it is the first one of its map."""
    if os.geteuid() != 0:
        return os.geteuid()
    return int(Path("/proc/self/uid_map").read_text().split()[1])


_why_not = "only root can make boxes"


def why_not() -> str:
    """Why this process has no rights to make boxes."""
    return _why_not


def enter(*, passing: bool = False) -> None:
    """Enter the namespaces of this user's holder, which is started if there is none; root has no need of them.

    To be called before the process has threads. `passing`: a holder that is started ends with this process. Where that
    cannot be, `why_not` tells why, and no box can be made.
    """
    global _why_not
    if os.geteuid() != 0:
        try:
            _enter(holder.SOCKET, passing=passing)
        except (HolderError, OSError, subprocess.SubprocessError) as error:
            _why_not = f"no user namespace for the server: {error}"
    current.cache_clear()
    last_slot.cache_clear()


def _enter(name: str, *, passing: bool) -> None:
    directory = holder.place(os.geteuid())
    if directory.exists():
        holder.check_place(directory)
    try:
        _, fds = _ask(directory / name, {"verb": "join"})
    except (FileNotFoundError, ConnectionRefusedError):
        name = f"passing-{os.getpid()}" if passing else name
        _start_holder(name, passing=passing)
        _, fds = _ask(directory / name, {"verb": "join"})
    here = os.getcwd()
    for (kind, flag), fd in zip(holder.NAMESPACES.items(), fds, strict=True):
        if not os.path.samestat(os.fstat(fd), os.stat(f"/proc/self/ns/{kind}")):
            host.set_namespace(fd, flag)
        os.close(fd)
    os.chdir(here)  # a mount namespace is entered at its root


def _start_holder(name: str, *, passing: bool) -> None:
    if (missing := holder.problem()) is not None:
        raise HolderError(missing)
    command = [sys.executable, "-I", "-S", holder.__file__, "--name", name, *(["--until-eof"] if passing else [])]
    # The user's own systemd gives it a cgroup in which limits can be set, and which this process is not in.
    session = Path(f"/run/user/{os.geteuid()}")
    if (session / "systemd/private").is_socket():
        unit = ["systemd-run", "--user", "--quiet", "--collect", *(f"--property={line}" for line in _UNIT)]
        unit += ["--pipe", "--wait"] if passing else []
        process = _spawn([*unit, *command], {"XDG_RUNTIME_DIR": str(session)}, passing=passing)
        if _answers(process, holder.place(os.geteuid()) / name):
            return
    process = _spawn(command, {}, passing=passing)
    if not _answers(process, holder.place(os.geteuid()) / name):
        raise HolderError(_last_words(process))


def _spawn(command: list[str], variables: Mapping[str, str], *, passing: bool) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        env={**ENVIRONMENT, **variables},
        cwd="/",
        stdin=subprocess.PIPE if passing else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _answers(process: "subprocess.Popen[bytes]", path: Path) -> bool:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            _, fds = _ask(path, {"verb": "join"})
        except OSError:
            if process.poll():  # systemd-run itself ends with 0 once the holder runs
                return False
            time.sleep(_LOOK_S)
            continue
        for fd in fds:
            os.close(fd)
        process.poll()  # systemd-run has done its part
        _kept.append(process)
        return True
    return False


_kept: list["subprocess.Popen[bytes]"] = []  # with the writing end of its standard input a passing holder ends


def _last_words(process: "subprocess.Popen[bytes]") -> str:
    said = process.stderr.read().decode(errors="replace").strip() if process.stderr and process.poll() else ""
    return said.rpartition("\n")[2] or "the holder does not answer"


def on_loss(call: Callable[[], None]) -> None:
    """Have `call` called by a thread when the holder of this process's namespaces has ended; not for root."""
    launcher = current()
    if not isinstance(launcher, ThroughHolder):
        return
    with _connected(launcher.path) as link:
        pid, _, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        fd = os.pidfd_open(pid)

    def wait() -> None:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll()
        call()

    threading.Thread(target=wait, name="holder", daemon=True).start()


def _connected(path: Path) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        link.settimeout(_PATIENCE_S)
        link.connect(str(path))
    except BaseException:
        link.close()
        raise
    return link


def _ask(path: Path, message: dict[str, Any], fds: Sequence[int] = ()) -> tuple[dict[str, Any], list[int]]:
    """The holder's answer, and descriptors that come with it, to be closed by the caller. Raises OSError."""
    with _connected(path) as link:
        holder.send(link, message, list(fds))
        with holder.received(link) as (told, given):
            if "error" in told:
                raise OSError(told["error"])
            return told, [os.dup(fd) for fd in given]
