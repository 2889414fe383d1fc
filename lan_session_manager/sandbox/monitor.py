"""The monitor of a box (conmon): a small process that outlives the server, keeps the output and records the exit code.

It makes the box, holds the other ends of its output, writes the log and, once the box has ended, first the rest of the
log and then the exit file. All its files of one box are in the box's own directory, which only the server can enter.
"""

import contextlib
import errno
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lan_session_manager.logs import segments
from lan_session_manager.sandbox.box import SandboxError
from lan_session_manager.sandbox.host import start_time
from lan_session_manager.sandbox.launcher import Launcher
from lan_session_manager.sandbox.runtime import ENVIRONMENT, Runtime

_PATIENCE_S = 30.0
TIMED_OUT = -1  # the exit code that it writes for a box that it stopped itself


@dataclass(frozen=True)
class BoxFiles:
    """The files of one box: on disk until the task is forgotten, through restarts of server and host.

    But for `spare`, which is in memory: there the monitor writes the exit code first, as the disk may be full, or not
    to be written to, when the box ends. It is there until the host restarts or somebody removes it.
    """

    directory: Path
    spare: Path

    @property
    def log(self) -> Path:
        """The output; its format is the business of lan_session_manager.logs."""
        return self.directory / "log"

    @property
    def exits(self) -> Path:
        """The directory of the exit file."""
        return self.directory / "exits"

    @property
    def monitor_pid(self) -> Path:
        """The monitor's process id as text."""
        return self.directory / "monitor.pid"

    def make(self) -> None:
        """Make the directories."""
        for directory in (self.directory, self.exits, self.spare):
            directory.mkdir(exist_ok=True, mode=0o700)

    def exit_code(self) -> tuple[int, float] | None:
        """The code in the exit file (128 + signal number for a signal) and the Unix time of its writing.

        None: the box has not ended, or its monitor died before it.
        """
        for directory in (self.exits, self.spare):
            with contextlib.suppress(OSError, StopIteration, ValueError):
                file = next(entry for entry in directory.iterdir() if entry.name in (self.directory.name, "exit"))
                return int(file.read_text()), file.stat().st_mtime
        return None


@dataclass(frozen=True)
class Monitored:
    """A created box, which waits to be started, and its monitor. Process ids of the host."""

    monitor_pid: int
    monitor_started: int  # clock ticks since boot
    box_pid: int


def create(
    conmon: Path,
    runtime: Runtime,
    box_id: str,
    bundle: Path,
    files: BoxFiles,
    log_bytes: int,
    at_most_s: int,
    launcher: Launcher,
    place: Callable[[int], None],
) -> Monitored:
    """Have `launcher` start a monitor that makes the box of `bundle`.

    The log takes at most `log_bytes` of disk, headers included: see `logs.segments`. After `at_most_s` the monitor
    stops the box by itself.
    `place` is called with the monitor's process id before it starts anything.
    Raises SandboxError with the runtime's own words.
    """
    files.make()
    arguments = [
        *("--api-version", "1", "--cid", box_id, "--cuuid", box_id, "--name", box_id),
        *("--runtime", str(runtime.path), *(f"--runtime-arg={word}" for word in runtime.arguments)),
        *("--bundle", str(bundle), "--conmon-pidfile", str(files.monitor_pid)),
        *("--container-pidfile", str(files.directory / "box.pid"), "--exit-dir", str(files.exits)),
        *("--persist-dir", str(files.spare)),  # it gets the exit code as well, before the other one
        # The log is named within the working directory, because a colon in its path would end it.
        *("--log-path", f"k8s-file:{files.log.name}", "--log-size-max", str(segments.segment_bytes(log_bytes))),
        "--no-sync-log",  # else every segment would have to be on the disk before the task goes on
        *("--stdin", "--full-attach", "--log-level", "warning", "--timeout", str(at_most_s)),
    ]
    try:
        told = _spawn([str(conmon), *arguments], files.directory, launcher, place)
        monitor_pid = int(files.monitor_pid.read_text())
    except (OSError, ValueError) as error:
        _give_up(files)
        is_full = os.statvfs(files.directory).f_bavail == 0  # then it ends without a word
        raise SandboxError(f"the monitor did not start: {os.strerror(errno.ENOSPC) if is_full else error}") from error
    box_pid = told.get("data")
    if not isinstance(box_pid, int) or box_pid <= 0:
        raise SandboxError(str(told.get("message") or "the runtime gave no reason"))
    segments.keep_beginning(files.directory)
    _end_input(bundle)
    return Monitored(monitor_pid, start_time(monitor_pid) or 0, box_pid)


def _give_up(files: BoxFiles) -> None:
    """End a monitor that said nothing in time, and the runtime that it waits for: it would make the box later."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(files.monitor_pid.read_text())
        if os.fsencode(files.exits) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            os.killpg(pid, signal.SIGKILL)  # it leads a session of its own


def _spawn(command: list[str], directory: Path, launcher: Launcher, place: Callable[[int], None]) -> dict[str, Any]:
    """Start conmon, and give what it tells: {"data": pid} once the box exists, or {"data": -1, "message": why not}."""
    with ExitStack() as stack:
        ours_sync, its_sync, its_start, ours_start = (*os.pipe2(os.O_CLOEXEC), *os.pipe2(os.O_CLOEXEC))
        for fd in (ours_sync, its_start, ours_start):
            stack.callback(os.close, fd)
        with ExitStack() as until_started:
            until_started.callback(os.close, its_sync)
            pipes = {"_OCI_SYNCPIPE": its_sync, "_OCI_STARTPIPE": its_start}
            process = launcher.start(command, directory, ENVIRONMENT, pipes)
        try:
            place(process.pid)
            os.write(ours_start, b"\0")
            process.wait(_PATIENCE_S)  # the monitor is a child that it leaves behind
        except OSError:
            process.kill()
            raise
        return _read_told(ours_sync)


def _end_input(bundle: Path) -> None:
    """Close the box's standard input, so that programs that read it find its end.

    It is a pipe and not /dev/null because crun gives the three standard descriptors to the box's user: that would be
    the host's own /dev/null, and its owner may take it from everybody.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as attached:
            attached.connect(os.fsencode(bundle / "attach"))
            attached.shutdown(socket.SHUT_WR)
    except OSError as error:
        raise SandboxError(f"the monitor does not answer: {error}") from error


def _read_told(fd: int) -> dict[str, Any]:
    line = b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    end = time.monotonic() + _PATIENCE_S
    while not line.endswith(b"\n"):
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise TimeoutError("it said nothing")
        chunk = os.read(fd, 4096)
        if not chunk:
            break
        line += chunk
    told = json.loads(line or b"{}")
    return told if isinstance(told, dict) else {}
