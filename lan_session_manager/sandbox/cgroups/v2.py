"""Cgroups of version 2. Source: the kernel's admin-guide/cgroup-v2."""

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lan_session_manager.samples import Counts
from lan_session_manager.sandbox.box import Box, BoxLimits, GroupLimits, SandboxError
from lan_session_manager.sandbox.cgroups import files
from lan_session_manager.sandbox.cgroups.base import MONITORS, PERIOD_US, TREE, Cgroups, Reading, quota_us


class CgroupsV2(Cgroups):
    """Version 2: one hierarchy, mounted at `root`. A controller works below a cgroup that has it switched on.

    `takes_less`: where a controller is not handed on, the limits of the others hold.
    """

    version = "cgroup v2"
    controllers: tuple[str, ...] = ("cpu", "memory", "pids")

    def __init__(self, instance: str, root: Path, *, takes_less: bool = False) -> None:
        super().__init__(instance)
        self._root = root
        if takes_less:
            offered = (root / "cgroup.controllers").read_text().split()
            self.controllers = tuple(name for name in CgroupsV2.controllers if name in offered)

    @property
    def limits_cpu(self) -> bool:
        """See `Cgroups.limits_cpu`."""
        return "cpu" in self.controllers

    def box_resources(self, limits: BoxLimits) -> dict[str, Any]:
        """See `Cgroups.box_resources`."""
        all_of_them = super().box_resources(limits)
        return {name: value for name, value in all_of_them.items() if name in (*self.controllers, "devices")}

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
                files.write(control, " ".join(f"+{name}" for name in absent))
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
        if "memory" in self.controllers and limits.memory_bytes >= _kept(directory):
            files.change(directory / "memory.max", limits.memory_bytes)
        if self.limits_swap:
            files.change(directory / "memory.swap.max", 0)
        if "pids" in self.controllers:
            files.change(directory / "pids.max", limits.pids)
        if self.limits_cpu:
            files.change(directory / "cpu.max", f"{quota_us(limits.cpu_cores)} {PERIOD_US}")

    def limit_sockets(self, box: Box) -> None:
        """See `Cgroups.limit_sockets`. Does nothing: version 2 counts them as memory (cgroup-v2.rst, "sock")."""

    def place_monitor(self, group: str, pid: int) -> None:
        """See `Cgroups.place_monitor`: systemd ends a service by everything that is in its cgroup.

        Not in the group itself, whose limit of memory would be the monitor's as well.
        """
        directory = self._root / self._base / MONITORS
        directory.mkdir(exist_ok=True)
        if self.limits_cpu:
            try:
                files.write(directory / "cgroup.subtree_control", "+cpu")
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                # Monitors of an earlier version are in it until their tasks have ended: this one joins them.
            else:
                directory /= group
                directory.mkdir(exist_ok=True)
                quota = (self._root / self._base / group / "cpu.max").read_text().strip()
                files.change(directory / "cpu.max", quota)
        files.write(directory / "cgroup.procs", pid)

    def remove_group(self, group: str) -> bool:
        """See `Cgroups.remove_group`."""
        return files.remove([self._root / self._base / MONITORS / group]) and super().remove_group(group)

    def read(self, group: str, box_id: str) -> Reading:
        """See `Cgroups.read`."""
        directory = self._root / self._base / group / box_id
        peak = directory / "memory.peak"  # Linux 5.19 and later
        refused, limit = self._forks(group, box_id)
        return Reading(
            cpu_s=files.table(directory / "cpu.stat").get("usage_usec", 0) / 1e6,
            memory_peak_bytes=files.number(peak if peak.exists() else directory / "memory.current"),
            oom_kills=files.table(directory / "memory.events").get("oom_kill", 0),
            forks_refused=refused,
            pids_limit=limit,
        )

    def count(self, group: str, box_id: str) -> Counts | None:
        """See `Cgroups.count`."""
        directory = self._root / self._base / group / box_id
        cpu = files.found_in(directory / "cpu.stat", "usage_usec")
        if cpu is None:
            return None
        used = files.found(directory / "memory.current")
        if used is None:
            return Counts(cpu / 1e6, None, 0)
        cached = files.found_in(directory / "memory.stat", "inactive_file") or 0
        peak = files.found(directory / "memory.peak")
        return Counts(cpu / 1e6, max(0, used - cached), used if peak is None else peak)

    def throttled(self, group: str) -> int:
        """See `Cgroups.throttled`."""
        return files.table(self._root / self._base / group / "cpu.stat").get("nr_throttled", 0)

    def _pids_dir(self, group: str, box_id: str) -> Path:
        return self._root / self._base / group / box_id

    def _roots(self) -> Iterable[Path]:
        return (self._root,)


def _kept(directory: Path) -> int:
    """The memory of a version 2 cgroup that the kernel cannot take back: all but cached files."""
    cached = files.table(directory / "memory.stat")
    return files.number(directory / "memory.current") - cached.get("active_file", 0) - cached.get("inactive_file", 0)
