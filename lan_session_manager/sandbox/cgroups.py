"""Limits for all boxes of a group together, and what a box has used: cgroups of version 1 and 2 behind one interface.

The tree is `/lan-session-manager/<instance>/<group>/<box>`. The first three levels are made here; the runtime makes the
last one from the OCI configuration and removes it when the box is deleted. Sources: cgroups(7) and, in the kernel's
documentation, admin-guide/cgroup-v1 and admin-guide/cgroup-v2.
"""

import contextlib
import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lan_session_manager.sandbox.box import Box, BoxLimits, GroupLimits, SandboxError
from lan_session_manager.sandbox.host import Mount

TREE = "lan-session-manager"
_MONITORS = "monitors"  # beside the groups, none of which is named so
_PERIOD_US = 100_000
_LEAST_QUOTA_US = 1_000  # the kernel takes no smaller one


@dataclass(frozen=True)
class Reading:
    """What a box has used. `oom_kills` counts its processes that the kernel killed for memory.

    `forks_refused` counts the processes and threads that it could not start, for its own limit or its group's;
    `pids_limit` is its own limit if it met that, else 0.
    """

    cpu_s: float = 0.0
    memory_peak_bytes: int = 0
    oom_kills: int = 0
    forks_refused: int = 0
    pids_limit: int = 0


class Cgroups(ABC):
    """The cgroups of one instance. Every call blocks shortly; OSError where the kernel refuses."""

    version: str

    def __init__(self, instance: str) -> None:
        self._base = f"{TREE}/{instance}"

    def box_path(self, group: str, box_id: str) -> str:
        """`linux.cgroupsPath` of a box."""
        return f"/{self._base}/{group}/{box_id}"

    def box_resources(self, limits: BoxLimits) -> dict[str, Any]:
        """`linux.resources` of a box. The processor is shared equally among the boxes of a group, within its quota."""
        memory = {"limit": limits.memory_bytes}
        if self.limits_swap:
            memory["swap"] = limits.memory_bytes  # memory and swap together: none of it is swap
        return {
            "memory": memory,
            "pids": {"limit": limits.pids},
            "devices": [{"allow": False, "access": "rwm"}],
        }

    @property
    @abstractmethod
    def limits_swap(self) -> bool:
        """Whether this kernel counts swap, so that a memory limit holds on a host that has some."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the instance's part of the tree."""

    @abstractmethod
    def ensure_group(self, group: str, limits: GroupLimits) -> None:
        """Make a group, or give it other limits."""

    @abstractmethod
    def limit_sockets(self, box: Box) -> None:
        """Hold the buffers of a made box's sockets, where the kernel does not count them as memory."""

    @abstractmethod
    def place_monitor(self, pid: int) -> None:
        """Take the monitor of a box out of the server's own cgroup, where what ends the server would end it as well."""

    @abstractmethod
    def read(self, group: str, box_id: str) -> Reading:
        """What a box has used until now, or used until it ended; zeros once it is deleted."""

    @abstractmethod
    def _pids_dir(self, group: str, box_id: str) -> Path:
        """The cgroup of a box that counts its processes."""

    def processes(self, group: str, box_id: str) -> list[int]:
        """The processes of a box, by their ids of the host; none once it is deleted."""
        with contextlib.suppress(OSError):
            return [int(pid) for pid in (self._pids_dir(group, box_id) / "cgroup.procs").read_text().split()]
        return []

    def _forks(self, group: str, box_id: str) -> tuple[int, int]:
        """`forks_refused` and `pids_limit` of a reading."""
        directory = self._pids_dir(group, box_id)
        refused, limit = _table(directory / "pids.events").get("max", 0), _number(directory / "pids.max")
        peak = directory / "pids.peak"  # of newer kernels; without it, the group's limit cannot be told from the box's
        return refused, limit if refused and (not peak.exists() or _number(peak) >= limit) else 0

    @abstractmethod
    def throttled(self, group: str) -> int:
        """In how many periods (of 0.1 s) a group was held at its processor quota."""

    @abstractmethod
    def _roots(self) -> Iterable[Path]:
        """Where every hierarchy that the tree may be in is mounted."""

    def groups(self) -> set[str]:
        """The groups that exist."""
        return {child.name for root in self._roots() for child in _children(root / self._base)} - {_MONITORS}

    def remove_group(self, group: str) -> bool:
        """Remove a group. False: a box of it still lives, so it stays."""
        return _remove([root / self._base / group for root in self._roots()])

    def remove(self) -> bool:
        """Remove the instance's part of the tree. False: a box, or its monitor, still lives."""
        removed = _remove([root / self._base for root in self._roots()])
        for root in self._roots():
            with contextlib.suppress(OSError):  # another instance uses it
                (root / TREE).rmdir()
        return removed


class CgroupsV1(Cgroups):
    """Version 1: each controller in a hierarchy of its own. `mounts` has the mount point of each controller."""

    version = "cgroup v1"
    controllers = ("memory", "cpu", "cpuacct", "pids")

    def __init__(self, instance: str, mounts: dict[str, Path]) -> None:
        super().__init__(instance)
        self._mounts = mounts
        missing = [name for name in self.controllers if name not in mounts]
        if missing:
            raise SandboxError(f"this kernel has no cgroup controller {', '.join(missing)}")

    @property
    def limits_swap(self) -> bool:
        """Whether memory.memsw files exist (swap accounting may be off at boot)."""
        return (self._mounts["memory"] / self._base / "memory.memsw.limit_in_bytes").exists()

    def prepare(self) -> None:
        """See `Cgroups.prepare`."""
        for controller in self.controllers:
            (self._mounts[controller] / self._base).mkdir(parents=True, exist_ok=True)

    def ensure_group(self, group: str, limits: GroupLimits) -> None:
        """See `Cgroups.ensure_group`."""
        for controller in self.controllers:
            self._dir(controller, group).mkdir(parents=True, exist_ok=True)
        self._limit_memory(self._dir("memory", group), limits.memory_bytes)
        _change(self._dir("pids", group) / "pids.max", limits.pids)
        cpu = self._dir("cpu", group)
        _change(cpu / "cpu.cfs_period_us", _PERIOD_US)
        _change(cpu / "cpu.cfs_quota_us", _quota_us(limits))

    def limit_sockets(self, box: Box) -> None:
        """See `Cgroups.limit_sockets`. Set from here because of the runtimes only crun sets it."""
        group = self._dir("memory", box.group)
        for directory, limit in ((group / box.box_id, box.limits), (group, box.group_limits)):
            file = directory / "memory.kmem.tcp.limit_in_bytes"
            if file.exists():  # it counts UDP as well, in spite of its name
                _change(file, limit.memory_bytes // 4)

    def place_monitor(self, pid: int) -> None:
        """See `Cgroups.place_monitor`. Does nothing: no limit of version 1 ends what runs in a cgroup."""

    def _limit_memory(self, directory: Path, limit: int) -> None:
        plain, with_swap = directory / "memory.limit_in_bytes", directory / "memory.memsw.limit_in_bytes"
        files = [plain, with_swap] if with_swap.exists() else [plain]
        # The sum with swap may never be below the memory alone, so the one that leads depends on the direction.
        if int(plain.read_text()) < limit:
            files.reverse()
        for file in files:
            try:
                _change(file, limit)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                return  # more is in use than the new limit allows: the old limit stays until a later start

    def read(self, group: str, box_id: str) -> Reading:
        """See `Cgroups.read`."""
        memory = self._dir("memory", group) / box_id
        refused, limit = self._forks(group, box_id)
        return Reading(
            cpu_s=_number(self._dir("cpuacct", group) / box_id / "cpuacct.usage") / 1e9,
            memory_peak_bytes=_number(memory / "memory.max_usage_in_bytes"),
            oom_kills=_table(memory / "memory.oom_control").get("oom_kill", 0),
            forks_refused=refused,
            pids_limit=limit,
        )

    def throttled(self, group: str) -> int:
        """See `Cgroups.throttled`."""
        return _table(self._dir("cpu", group) / "cpu.stat").get("nr_throttled", 0)

    def _pids_dir(self, group: str, box_id: str) -> Path:
        return self._dir("pids", group) / box_id

    def _dir(self, controller: str, group: str) -> Path:
        return self._mounts[controller] / self._base / group

    def _roots(self) -> Iterable[Path]:
        # The runtime makes a box's cgroup, and the path to it, in every hierarchy that is mounted.
        return dict.fromkeys(self._mounts.values())


class CgroupsV2(Cgroups):
    """Version 2: one hierarchy, mounted at `root`. A controller works below a cgroup that has it switched on."""

    version = "cgroup v2"
    controllers = ("cpu", "memory", "pids")

    def __init__(self, instance: str, root: Path) -> None:
        super().__init__(instance)
        self._root = root

    @property
    def limits_swap(self) -> bool:
        """Whether memory.swap files exist (swap accounting may be off)."""
        return (self._root / self._base / "memory.swap.max").exists()

    def prepare(self) -> None:
        """See `Cgroups.prepare`."""
        (self._root / self._base).mkdir(parents=True, exist_ok=True)
        # Nothing in between: systemd switches off at the root what neither its own units nor a child there uses.
        for directory in (self._root, self._root / TREE, self._root / self._base):
            self._switch_on(directory)

    def _switch_on(self, directory: Path) -> None:
        offered = (directory / "cgroup.controllers").read_text().split()
        missing = [name for name in self.controllers if name not in offered]
        if missing:
            raise SandboxError(f"this host does not hand on the cgroup controller {', '.join(missing)}")
        control = directory / "cgroup.subtree_control"
        absent = [name for name in self.controllers if name not in control.read_text().split()]
        if absent:
            try:
                _write(control, " ".join(f"+{name}" for name in absent))
            except OSError as error:
                if error.errno == errno.EBUSY:  # only the host's own root may have both, processes and children
                    raise SandboxError("this container has processes in its own cgroup: no limit would hold") from error
                raise

    def ensure_group(self, group: str, limits: GroupLimits) -> None:
        """See `Cgroups.ensure_group`."""
        directory = self._root / self._base / group
        directory.mkdir(parents=True, exist_ok=True)
        self._switch_on(directory)
        # A limit below what is in use ends processes: as in version 1, the old limit then stays until a later start.
        if limits.memory_bytes >= _kept(directory):
            _change(directory / "memory.max", limits.memory_bytes)
        if self.limits_swap:
            _change(directory / "memory.swap.max", 0)
        _change(directory / "pids.max", limits.pids)
        _change(directory / "cpu.max", f"{_quota_us(limits)} {_PERIOD_US}")

    def limit_sockets(self, box: Box) -> None:
        """See `Cgroups.limit_sockets`. Does nothing: version 2 counts them as memory (cgroup-v2.rst, "sock")."""

    def place_monitor(self, pid: int) -> None:
        """See `Cgroups.place_monitor`: systemd ends a service by everything that is in its cgroup."""
        directory = self._root / self._base / _MONITORS
        directory.mkdir(exist_ok=True)
        _write(directory / "cgroup.procs", pid)

    def read(self, group: str, box_id: str) -> Reading:
        """See `Cgroups.read`."""
        directory = self._root / self._base / group / box_id
        peak = directory / "memory.peak"  # Linux 5.19 and later
        refused, limit = self._forks(group, box_id)
        return Reading(
            cpu_s=_table(directory / "cpu.stat").get("usage_usec", 0) / 1e6,
            memory_peak_bytes=_number(peak if peak.exists() else directory / "memory.current"),
            oom_kills=_table(directory / "memory.events").get("oom_kill", 0),
            forks_refused=refused,
            pids_limit=limit,
        )

    def throttled(self, group: str) -> int:
        """See `Cgroups.throttled`."""
        return _table(self._root / self._base / group / "cpu.stat").get("nr_throttled", 0)

    def _pids_dir(self, group: str, box_id: str) -> Path:
        return self._root / self._base / group / box_id

    def _roots(self) -> Iterable[Path]:
        return (self._root,)


def find_cgroups(instance: str, mounts: Sequence[Mount]) -> Cgroups:
    """The cgroups of this host, from its mounts: version 1 where it has the memory controller, else version 2.

    Raises SandboxError on a host without them: no box runs without limits.
    """
    v1 = {name: mount.point for mount in reversed(mounts) if mount.kind == "cgroup" for name in sorted(mount.options)}
    if "memory" in v1:
        return CgroupsV1(instance, v1)
    for mount in mounts:
        if mount.kind == "cgroup2":
            return CgroupsV2(instance, mount.point)
    raise SandboxError("this host has no cgroups mounted, so no limit would hold")


def _quota_us(limits: GroupLimits) -> int:
    return max(_LEAST_QUOTA_US, int(limits.cpu_cores * _PERIOD_US))


def _write(file: Path, value: object) -> None:
    # Without O_CREAT: a file that the kernel does not have must not be made, whatever stands below the mount point.
    fd = os.open(file, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def _change(file: Path, value: object) -> None:
    if file.read_text().strip() != str(value):
        _write(file, value)


def _number(file: Path) -> int:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(file.read_text())
    return 0


def _table(file: Path) -> dict[str, int]:
    """A flat keyed file: a name and a number on each line."""
    with contextlib.suppress(FileNotFoundError):
        pairs = (line.split() for line in file.read_text().splitlines())
        return {name: int(number) for name, number in pairs}
    return {}


def _kept(directory: Path) -> int:
    """The memory of a version 2 cgroup that the kernel cannot take back: all but cached files."""
    cached = _table(directory / "memory.stat")
    return _number(directory / "memory.current") - cached.get("active_file", 0) - cached.get("inactive_file", 0)


def _children(directory: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return [child for child in directory.iterdir() if child.is_dir()]
    return []


def _remove(directories: Iterable[Path]) -> bool:
    """Remove cgroups and those below them; False if one of them has processes, and so is still there."""
    gone = True
    for directory in directories:
        _remove(_children(directory))
        try:
            directory.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            gone = False
    return gone
