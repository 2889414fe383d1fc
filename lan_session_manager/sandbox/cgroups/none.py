"""No cgroups: boxes keep everything apart, and no limit of memory, processor or processes holds."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lan_session_manager.samples import Counts
from lan_session_manager.sandbox.box import Box, BoxLimits, GroupLimits
from lan_session_manager.sandbox.cgroups.base import Cgroups, Reading


class NoCgroups(Cgroups):
    """For a server without root to which none are delegated. The self-test then finds that no limit holds."""

    version = "no cgroups"
    limits_cpu = False
    limits_swap = False

    def box_path(self, group: str, box_id: str) -> str:
        """See `Cgroups.box_path`."""
        return ""

    def box_resources(self, limits: BoxLimits) -> dict[str, Any]:
        """See `Cgroups.box_resources`."""
        return {}

    def prepare(self) -> None:
        """See `Cgroups.prepare`."""

    def ensure_group(self, group: str, limits: GroupLimits) -> None:
        """See `Cgroups.ensure_group`."""

    def limit_sockets(self, box: Box) -> None:
        """See `Cgroups.limit_sockets`."""

    def place_monitor(self, group: str, pid: int) -> None:
        """See `Cgroups.place_monitor`."""

    def read(self, group: str, box_id: str) -> Reading:
        """See `Cgroups.read`."""
        return Reading()

    def count(self, group: str, box_id: str) -> Counts | None:
        """See `Cgroups.count`."""
        return None

    def throttled(self, group: str) -> int:
        """See `Cgroups.throttled`."""
        return 0

    def _pids_dir(self, group: str, box_id: str) -> Path:
        return Path("/nonexistent")

    def _roots(self) -> Iterable[Path]:
        return ()
