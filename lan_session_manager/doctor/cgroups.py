"""Which cgroups this host has, and whether they count swap."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from lan_session_manager.doctor.findings import Finding, Verdict
from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.cgroups import CgroupsV1, CgroupsV2
from lan_session_manager.sandbox.host import Mount, has_swap, hybrid_mount, read_mounts


class Mode(StrEnum):
    """How cgroups are mounted."""

    NONE = "none"
    V1 = "version 1"
    HYBRID = "hybrid (version 1, with version 2 beside it)"
    V2 = "version 2"


def find_cgroups() -> list[Finding]:
    """The mode, the controllers, and swap."""
    mounts = read_mounts()
    mode = mode_of(mounts)
    offered: frozenset[str] = frozenset()
    counts_swap: bool | None = False
    if mode in (Mode.V1, Mode.HYBRID):
        offered = frozenset(word for mount in mounts if mount.kind == "cgroup" for word in mount.options)
        memory = next(mount.point for mount in mounts if mount.kind == "cgroup" and "memory" in mount.options)
        counts_swap = (memory / "memory.memsw.limit_in_bytes").exists()
    elif mode is Mode.V2:
        root = next(mount.point for mount in mounts if mount.kind == "cgroup2")
        offered = frozenset((root / "cgroup.controllers").read_text().split())
        counts_swap = _counts_swap_v2(root)
    is_rootless = launcher.mode() is launcher.Mode.ROOTLESS
    return [cgroups(mode, offered, is_rootless=is_rootless), swap(has_swap=has_swap(), is_counted=counts_swap)]


def mode_of(mounts: Sequence[Mount]) -> Mode:
    """How these mounts have cgroups: as `sandbox.cgroups.find_cgroups` sees it."""
    if any(mount.kind == "cgroup" and "memory" in mount.options for mount in mounts):
        return Mode.HYBRID if hybrid_mount(list(mounts)) else Mode.V1
    return Mode.V2 if any(mount.kind == "cgroup2" for mount in mounts) else Mode.NONE


def cgroups(mode: Mode, offered: Iterable[str], *, is_rootless: bool = False) -> Finding:
    """The finding on a mode with the controllers `offered`: by the host, or to a user without root."""
    name = "cgroups"
    if is_rootless:
        return _delegation(mode, offered)
    if mode is Mode.NONE:
        advice = "Mount cgroup version 2 at /sys/fs/cgroup, as systemd does: without it no limit would hold."
        return Finding(name, Verdict.FAIL, "not mounted, or without the memory controller", advice)
    needed = CgroupsV2.controllers if mode is Mode.V2 else CgroupsV1.controllers
    missing = sorted(set(needed) - set(offered))
    if missing:
        advice = (
            "Have the host hand them on (in a container), or start the kernel without cgroup_disable= and, on a "
            "Raspberry Pi, with cgroup_enable=memory."
        )
        return Finding(name, Verdict.FAIL, f"{mode}, without the controller {', '.join(missing)}", advice)
    return Finding(name, Verdict.PASS, f"{mode}: {', '.join(sorted(needed))}")


def _delegation(mode: Mode, offered: Iterable[str]) -> Finding:
    name = "cgroups"
    missing = sorted(set(CgroupsV2.controllers) - set(offered))
    if mode is not Mode.V2:
        advice = (
            "Have cgroup version 2 delegated: start lan-session-manager-tasks.service, or the server where its user "
            "has a systemd of its own (docs/operations.md). Until then no limit of what tasks use holds."
        )
        return Finding(name, Verdict.FAIL, "none is delegated to this user", advice)
    if missing:
        advice = "Have root put Delegate=cpu cpuset io memory pids in a drop-in of user@.service: docs/operations.md."
        return Finding(name, Verdict.FAIL, f"delegated without the controller {', '.join(missing)}", advice)
    return Finding(name, Verdict.PASS, f"{mode}: {', '.join(sorted(CgroupsV2.controllers))}, delegated")


def swap(*, has_swap: bool, is_counted: bool | None) -> Finding:
    """The finding on swap; `is_counted` None: it cannot be known."""
    name = "swap accounting"
    if not has_swap:
        return Finding(name, Verdict.PASS, "not needed: this host has no swap")
    if is_counted is None:
        return Finding(name, Verdict.SKIPPED, "there is no cgroup to see it in")
    if not is_counted:
        advice = "Start the kernel with swapaccount=1, or run swapoff -a: else a memory limit only moves tasks to swap."
        return Finding(name, Verdict.FAIL, "the host has swap, and it is not counted", advice)
    return Finding(name, Verdict.PASS, "swap counts to a task's memory")


def _counts_swap_v2(root: Path) -> bool | None:
    # The root itself has no such files.
    found = [child for child in root.iterdir() if (child / "memory.max").exists()]
    return any((child / "memory.swap.max").exists() for child in found) if found else None
