"""Cgroups of version 1. Source: the kernel's admin-guide/cgroup-v1."""

import contextlib
import errno
from collections.abc import Iterable
from pathlib import Path

from lan_session_manager.samples import Counts
from lan_session_manager.sandbox.box import Box, GroupLimits, SandboxError
from lan_session_manager.sandbox.cgroups import files
from lan_session_manager.sandbox.cgroups.base import MONITORS, PERIOD_US, Cgroups, Reading, quota_us


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
        files.change(self._dir("pids", group) / "pids.max", limits.pids)
        cpu = self._dir("cpu", group)
        files.change(cpu / "cpu.cfs_period_us", PERIOD_US)
        quota = quota_us(limits.cpu_cores)
        # The kernel refuses a quota below that of a cgroup in it: boxes that have one of their own go down first.
        for box in files.children(cpu):
            with contextlib.suppress(OSError):  # it is removed in this moment
                if int((box / "cpu.cfs_quota_us").read_text()) > quota:
                    files.write(box / "cpu.cfs_quota_us", quota)
        files.change(cpu / "cpu.cfs_quota_us", quota)

    def limit_sockets(self, box: Box) -> None:
        """See `Cgroups.limit_sockets`. Set from here because of the runtimes only crun sets it."""
        group = self._dir("memory", box.group)
        for directory, limit in ((group / box.box_id, box.limits), (group, box.group_limits)):
            file = directory / "memory.kmem.tcp.limit_in_bytes"
            if file.exists():  # it counts UDP as well, in spite of its name
                files.change(file, limit.memory_bytes // 4)

    def place_monitor(self, group: str, pid: int) -> None:
        """See `Cgroups.place_monitor`. Of the hierarchies only those of the processor: here memory is another one."""
        for root in dict.fromkeys(self._mounts[controller] for controller in ("cpu", "cpuacct")):
            directory = root / self._base / group / MONITORS
            directory.mkdir(exist_ok=True)
            files.write(directory / "cgroup.procs", pid)

    def _limit_memory(self, directory: Path, limit: int) -> None:
        plain, with_swap = directory / "memory.limit_in_bytes", directory / "memory.memsw.limit_in_bytes"
        both = [plain, with_swap] if with_swap.exists() else [plain]
        # The sum with swap may never be below the memory alone, so the one that leads depends on the direction.
        if int(plain.read_text()) < limit:
            both.reverse()
        for file in both:
            try:
                files.change(file, limit)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                return  # more is in use than the new limit allows: the old limit stays until a later start

    def read(self, group: str, box_id: str) -> Reading:
        """See `Cgroups.read`."""
        memory = self._dir("memory", group) / box_id
        refused, limit = self._forks(group, box_id)
        return Reading(
            cpu_s=files.number(self._dir("cpuacct", group) / box_id / "cpuacct.usage") / 1e9,
            memory_peak_bytes=files.number(memory / "memory.max_usage_in_bytes"),
            oom_kills=files.table(memory / "memory.oom_control").get("oom_kill", 0),
            forks_refused=refused,
            pids_limit=limit,
        )

    def count(self, group: str, box_id: str) -> Counts | None:
        """See `Cgroups.count`."""
        memory = self._dir("memory", group) / box_id
        used = files.found(memory / "memory.usage_in_bytes")
        cpu = files.found(self._dir("cpuacct", group) / box_id / "cpuacct.usage")
        if used is None or cpu is None:
            return None
        cached = files.found_in(memory / "memory.stat", "total_inactive_file") or 0
        peak = files.found(memory / "memory.max_usage_in_bytes") or used
        return Counts(cpu / 1e9, max(0, used - cached), peak)

    def throttled(self, group: str) -> int:
        """See `Cgroups.throttled`."""
        return files.table(self._dir("cpu", group) / "cpu.stat").get("nr_throttled", 0)

    def _pids_dir(self, group: str, box_id: str) -> Path:
        return self._dir("pids", group) / box_id

    def _dir(self, controller: str, group: str) -> Path:
        return self._mounts[controller] / self._base / group

    def _roots(self) -> Iterable[Path]:
        # The runtime makes a box's cgroup, and the path to it, in every hierarchy that is mounted.
        return dict.fromkeys(self._mounts.values())
