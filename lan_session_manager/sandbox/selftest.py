"""The proof at the start of a server: boxes that attack what the sandbox promises, and what came of it.

Each check runs the real thing, in boxes that are made in the very way of a task's box.
"""

import fcntl
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lan_session_manager.logs import LogFile
from lan_session_manager.sandbox import attacks, host
from lan_session_manager.sandbox.box import (
    TASK_UID,
    Box,
    BoxLimits,
    GroupLimits,
    SandboxError,
    last_slot,
    user_range,
)
from lan_session_manager.sandbox.boxes import BoxEnd, Boxes

_MB = 1024 * 1024
_MEMORY, _PIDS, _CORES = 48 * _MB, 24, 0.02
_ROOMY = BoxLimits(memory_bytes=256 * _MB, pids=64, file_bytes=_MB, log_bytes=_MB)
_ROOMY_GROUP = GroupLimits(memory_bytes=1024 * _MB, pids=256, cpu_cores=64.0)
_PYTHON = "/usr/bin/python3"
_PATIENCE_S = 10.0
_LOOK_S = 0.02
_OWN = "selftest-"  # what all names begin with that it gives
_WORDS = 300  # characters of a runtime's message: some tell a long story
_WATCHED = ("/", "/usr", _PYTHON, "/etc/passwd", "/shared")
_GROUPS = ("a", "m", "c")  # a for all, m with little memory, c with little of the processor
_WRITABLE = ("/workspace", "/tmp", "/dev/shm")  # noqa: S108 (the box's own)


@dataclass(frozen=True)
class Check:
    """One promise of the sandbox, in a few words, and whether it holds. `why` has what was seen if it does not."""

    name: str
    holds: bool
    is_limit: bool = False  # without it one task can starve the others
    is_privacy: bool = False  # without it a task can tell what others do at this moment, and reach nothing of theirs
    why: str = ""

    @property
    def is_wall(self) -> bool:
        """Whether tasks may not run at all where this does not hold."""
        return not (self.is_limit or self.is_privacy)


@dataclass(frozen=True)
class SelfTest:
    """What the sandbox of this host holds. `line` says it in one line for people."""

    line: str
    checks: tuple[Check, ...]

    @property
    def usable(self) -> bool:
        """Whether tasks may run: boxes can be made and keep everything apart, even if the grade is reduced."""
        return all(check.holds or not check.is_wall for check in self.checks)

    @property
    def grade(self) -> str:
        """`full`, `reduced: <what does not hold, and is no wall>`, or `none: <the walls that do not hold>`."""
        failed = [check for check in self.checks if not check.holds]
        holes = [check.name for check in failed if check.is_wall]
        if holes:
            return f"none: {', '.join(holes)}"
        return f"reduced: {', '.join(check.name for check in failed)}" if failed else "full"


def run_self_test(boxes: Boxes) -> SelfTest:
    """Run all checks with the runtime and the directories of prepared `boxes`: some 0.4 s, and nothing of it is left.

    Blocks; for a thread that has entered the private mounts. Never raises for what this host lacks: the result says it.
    """
    try:
        version = boxes.runtime.version()
        _remove_remains(boxes)
        with _Trial(boxes) as trial:
            checks = trial.checks()
    except (SandboxError, OSError) as error:
        # The owner needs the words of the runtime itself, which a task's owner does not get.
        return _failed(boxes.runtime.path.name, " ".join(str(error.__cause__ or error).split())[:_WORDS])
    return SelfTest(_line(version, boxes.cgroups.version, checks), checks)


def _remove_remains(boxes: Boxes) -> None:
    """Remove what is left of a self-test whose server was killed in the middle of it."""
    for box_id in boxes.known():
        if box_id.startswith(_OWN):
            boxes.remove(box_id)
    for place in (boxes.state_dir, boxes.files(_OWN).directory.parent, boxes.run_dir):
        for path in place.glob(f"{_OWN}*"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _failed(runtime: str, why: str) -> SelfTest:
    return SelfTest(f"no sandbox with {runtime}: {why}", (Check("boxes can be made", holds=False, why=why),))


def _line(version: str, cgroups: str, checks: tuple[Check, ...]) -> str:
    limits = [check for check in checks if check.is_limit]
    held = [check.name for check in limits if check.holds]
    broken = [check.name for check in checks if not check.holds]
    enforced = f"{_listed(held)} enforced ({cgroups})" if held else "no limits"
    line = f"{version}, user namespace, seccomp, no network; {enforced}"
    return f"{line}; NOT held: {_listed(broken)}" if broken else line


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


@dataclass(frozen=True)
class _Outcome:
    """How a box of the test ended, and what it printed on its standard output."""

    end: BoxEnd | None
    printed: str


class _Trial:
    """One run of the checks: its directory, its groups, its victims on the host."""

    def __init__(self, boxes: Boxes) -> None:
        self._boxes = boxes
        self._mark = secrets.token_hex(8)
        self._directory = boxes.state_dir / f"{_OWN}{self._mark}"
        self._uid_base = user_range(last_slot())

    def __enter__(self) -> "_Trial":
        for name in ("workspace", "shared"):
            (self._directory / name).mkdir(parents=True, mode=0o700)
        owner = self._uid_base + TASK_UID
        os.chown(self._directory / "workspace", owner, owner)
        (self._directory / "shared").chmod(0o777)  # what keeps a task from writing there must be the mount alone
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        for name in _GROUPS:
            self._boxes.cgroups.remove_group(self._group(name))

    def checks(self) -> tuple[Check, ...]:
        """Run everything at once, in a group for each kind of limit."""
        tight_memory = replace(_ROOMY_GROUP, memory_bytes=_MEMORY)
        eat = attacks.EAT_MEMORY.format(2 * _MEMORY)
        with (
            _victims(self._boxes.run_dir, self._mark) as victims,
            ThreadPoolExecutor(6, initializer=host.enter_private_mounts) as pool,
        ):
            intrusion = pool.submit(self._run, "a", _ROOMY_GROUP, _ROOMY, attacks.INTRUDE, *victims)
            own = pool.submit(self._run, "a", _ROOMY_GROUP, replace(_ROOMY, memory_bytes=_MEMORY), eat)
            forks = pool.submit(self._run, "a", _ROOMY_GROUP, replace(_ROOMY, pids=_PIDS), attacks.FORK)
            shared = pool.submit(self._run, "m", tight_memory, _ROOMY, eat)
            held = pool.submit(self._is_throttled)
            watched = pool.submit(self._watched)
            outcomes = [future.result() for future in (intrusion, own, forks, shared)]
            is_throttled = held.result()
            is_private = watched.result()
        return (*self._seen_inside(outcomes[0]), is_private, *self._limits(*outcomes[1:], is_throttled=is_throttled))

    def _seen_inside(self, outcome: _Outcome) -> Iterator[Check]:
        try:
            seen = json.loads(outcome.printed)
        except ValueError:
            why = f"{_PYTHON} did not run in a box: {outcome.printed[:200]}"
            yield Check("boxes can be made", holds=False, why=why)
            return
        yield Check("boxes can be made", holds=outcome.end is not None and outcome.end.code == 0)
        expected = {
            "task users are mapped": ("uid", [[str(TASK_UID)] * 4, ["0", str(self._uid_base), "65536"]]),
            "no capabilities": ("caps", ["0" * 16] * 5),
            "system calls are filtered": ("filter", ["2", "1"]),
            "no network": ("interfaces", ["lo"]),
            "files of the host are out of sight": ("read", []),
            "ports of the host are out of reach": ("connected", []),
            "the kernel's dangerous calls are refused": ("called", []),
            "only the workspace can be written": ("written", sorted(_WRITABLE)),
        }
        for name, (key, wanted) in expected.items():
            yield Check(name, holds=seen[key] == wanted, why="" if seen[key] == wanted else f"{key}: {seen[key]}")

    def _limits(self, own: _Outcome, forks: _Outcome, shared: _Outcome, *, is_throttled: bool) -> Iterator[Check]:
        memory = all(
            not outcome.printed and outcome.end and outcome.end.code == 137 and outcome.end.used.oom_kills > 0
            for outcome in (own, shared)
        )
        swap = self._boxes.cgroups.limits_swap or not host.has_swap()
        count = int(forks.printed) if forks.printed.strip().isdigit() else None
        yield Check("memory", memory and swap, is_limit=True, why=f"swap counts: {swap}; {own}; {shared}")
        yield Check("CPU", is_throttled, is_limit=True, why="" if is_throttled else "a busy loop was not held")
        held = count is not None and 0 < count < _PIDS
        yield Check("process limits", held, is_limit=True, why="" if held else f"{forks}")

    def _run(self, group: str, group_limits: GroupLimits, limits: BoxLimits, program: str, *args: str) -> _Outcome:
        """Run a program in a box to its end."""
        with self._running(group, group_limits, limits, program, *args) as (box, monitor_fd):
            host.wait_for(monitor_fd, _PATIENCE_S)
            pieces = LogFile(self._boxes.files(box.box_id).log).read(0)
            printed = b"".join(piece.data for piece in pieces if piece.stream == "stdout")
            return _Outcome(self._boxes.end(box.group, box.box_id), printed.decode(errors="replace"))

    def _watched(self) -> Check:
        """Whether a box that watches and locks the system and the shared resources knows, or minds, who uses them."""
        with self._running("a", _ROOMY_GROUP, _ROOMY, attacks.WATCH, *_WATCHED, shared=self._shared()) as (box, end_fd):
            log = LogFile(self._boxes.files(box.box_id).log)
            end = time.monotonic() + _PATIENCE_S
            while not log.read(0) and time.monotonic() < end:
                if host.wait_for(end_fd, _LOOK_S):
                    break
            used = ("/usr", _PYTHON, str(box.shared), str(self._boxes.run_dir / "rootfs" / "etc" / "passwd"))
            held = [path for path in used if _is_locked(path)]
            (box.workspace / "stop").touch()
            host.wait_for(end_fd, _PATIENCE_S)
            told = b"".join(piece.data for piece in log.read(0)).decode(errors="replace")
        if not told.startswith("watching\n"):
            return Check("privacy", holds=False, is_privacy=True, why=f"the watch did not run: {told[:200]}")
        seen = [*told.split()[1:], *(f"a lock on {path}" for path in held)]
        return Check("privacy", holds=not seen, is_privacy=True, why=f"seen: {', '.join(seen)}" if seen else "")

    def _shared(self) -> Path:
        """The owner's shared resources themselves, if they are there: they may be on a file system of their own."""
        owners = self._boxes.state_dir.parent / "shared"
        return owners if owners.is_dir() and not owners.is_symlink() else self._directory / "shared"

    def _is_throttled(self) -> bool:
        """Whether a group that wants all of a processor is held once its quota is made smaller."""
        cgroups = self._boxes.cgroups
        if not cgroups.limits_cpu:
            return False
        with self._running("c", _ROOMY_GROUP, _ROOMY, attacks.BURN) as (box, monitor_fd):
            # Made small only now, and so small that a busy machine leaves it more: the result is the same on any.
            cgroups.ensure_group(box.group, replace(_ROOMY_GROUP, cpu_cores=_CORES))
            end = time.monotonic() + _PATIENCE_S
            while not cgroups.throttled(box.group) and time.monotonic() < end:
                if host.wait_for(monitor_fd, _LOOK_S):
                    return False  # it did not run
            cgroups.ensure_group(box.group, _ROOMY_GROUP)
            return cgroups.throttled(box.group) > 0

    @contextmanager
    def _running(
        self,
        group: str,
        group_limits: GroupLimits,
        limits: BoxLimits,
        program: str,
        *args: str,
        shared: Path | None = None,
    ) -> Iterator[tuple[Box, int]]:
        """A box in which a program runs, and a descriptor of its monitor."""
        box = Box(
            box_id=f"{_OWN}{secrets.token_hex(8)}",
            group=self._group(group),
            argv=(_PYTHON, "-I", "-S", "-c", program, *args),
            env={"LANG": "C.UTF-8"},
            workspace=self._directory / "workspace",
            shared=shared or self._directory / "shared",
            uid_base=self._uid_base,
            limits=limits,
            group_limits=group_limits,
        )
        monitor_fd = None
        try:
            made = self._boxes.create(box, at_most_s=int(2 * _PATIENCE_S))
            monitor_fd = host.open_process(made.monitor_pid, made.monitor_started)
            if monitor_fd is None:
                raise SandboxError("the monitor of a box died")
            self._boxes.start(box.box_id)
            yield box, monitor_fd
        finally:
            if monitor_fd is not None:
                os.close(monitor_fd)
            self._boxes.remove(box.box_id)
            self._boxes.forget_spare(box.box_id)
            shutil.rmtree(self._boxes.files(box.box_id).directory, ignore_errors=True)

    def _group(self, name: str) -> str:
        return f"{_OWN}{self._mark}-{name}"


def _is_locked(path: str) -> bool:
    """Open a file as any program may, and see whether another holds a lock on it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@contextmanager
def _victims(directory: Path, mark: str) -> Iterator[tuple[str, str, str]]:
    """A file that everybody on the host may read, a TCP port and an abstract socket: its path, number and name."""
    secret = directory / f"{_OWN}{mark}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        abstract.bind(f"\0{secret.name}")
        abstract.listen()
        secret.write_text(mark)
        secret.chmod(0o644)
        try:
            yield str(secret), str(tcp.getsockname()[1]), secret.name
        finally:
            secret.unlink(missing_ok=True)
