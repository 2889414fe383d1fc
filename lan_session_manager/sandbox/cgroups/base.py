"""What cgroups of every version do."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lan_session_manager.samples import Counts
from lan_session_manager.sandbox.box import Box, BoxLimits, GroupLimits
from lan_session_manager.sandbox.cgroups import files

TREE = "lan-session-manager"
MONITORS = "monitors"  # beside the groups, none of which is named so
PERIOD_US = 100_000
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
        """`linux.resources` of a box. The processor is shared equally among the boxes of a group, within its quota;
        a box may have a lower one of its own.
        """
        memory = {"limit": limits.memory_bytes}
        if self.limits_swap:
            memory["swap"] = limits.memory_bytes  # memory and swap together: none of it is swap
        cpu = {"quota": quota_us(limits.cpu_cores), "period": PERIOD_US} if limits.cpu_cores else None
        return {
            "memory": memory,
            **({"cpu": cpu} if cpu else {}),
            "pids": {"limit": limits.pids},
            "devices": [{"allow": False, "access": "rwm"}],
        }

    @property
    @abstractmethod
    def limits_swap(self) -> bool:
        """Whether this kernel counts swap, so that a memory limit holds on a host that has some."""

    @property
    def limits_cpu(self) -> bool:
        """Whether a quota of the processor can be set."""
        return True

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
    def place_monitor(self, group: str, pid: int) -> None:
        """Take the monitor of a box out of the server's own cgroup, where what ends the server would end it as well.

        What it spends on the output of the group's boxes is held by the group's quota of the processor or by another
        one of that size. Its memory has no limit: it has to live to write the box's end down.
        """

    @abstractmethod
    def read(self, group: str, box_id: str) -> Reading:
        """What a box has used until now, or used until it ended; zeros once it is deleted."""

    @abstractmethod
    def count(self, group: str, box_id: str) -> Counts | None:
        """What a running box has used and what it holds; None where nobody counts, and once it is deleted.

        Cached files that nobody uses are not counted as memory: the kernel takes them back before a limit is met.
        """

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
        refused, limit = files.table(directory / "pids.events").get("max", 0), files.number(directory / "pids.max")
        peak = directory / "pids.peak"  # of newer kernels; without it, the group's limit cannot be told from the box's
        return refused, limit if refused and (not peak.exists() or files.number(peak) >= limit) else 0

    @abstractmethod
    def throttled(self, group: str) -> int:
        """In how many periods (of 0.1 s) a group was held at its processor quota."""

    @abstractmethod
    def _roots(self) -> Iterable[Path]:
        """Where every hierarchy that the tree may be in is mounted."""

    def groups(self) -> set[str]:
        """The groups that exist."""
        return {child.name for root in self._roots() for child in files.children(root / self._base)} - {MONITORS}

    def remove_group(self, group: str) -> bool:
        """Remove a group. False: a box of it still lives, so it stays."""
        return files.remove([root / self._base / group for root in self._roots()])

    def remove(self) -> bool:
        """Remove the instance's part of the tree. False: a box, or its monitor, still lives."""
        removed = files.remove([root / self._base for root in self._roots()])
        for root in self._roots():
            with contextlib.suppress(OSError):  # another instance uses it
                (root / TREE).rmdir()
        return removed


def quota_us(cores: float) -> int:
    """The quota, in a period of PERIOD_US, of that many processor cores."""
    return max(_LEAST_QUOTA_US, int(cores * PERIOD_US))
