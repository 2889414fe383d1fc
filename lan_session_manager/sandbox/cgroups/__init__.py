"""Limits for all boxes of a group together, and what a box has used: cgroups of version 1 and 2 behind one interface.

The tree is `/lan-session-manager/<instance>/<group>/<box>`. The first three levels are made here; the runtime makes the
last one from the OCI configuration and removes it when the box is deleted. Sources: cgroups(7) and, in the kernel's
documentation, admin-guide/cgroup-v1 and admin-guide/cgroup-v2.
"""

from collections.abc import Sequence

from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.box import SandboxError
from lan_session_manager.sandbox.cgroups.base import TREE, Cgroups, Reading
from lan_session_manager.sandbox.cgroups.none import NoCgroups
from lan_session_manager.sandbox.cgroups.v1 import CgroupsV1
from lan_session_manager.sandbox.cgroups.v2 import CgroupsV2
from lan_session_manager.sandbox.host import Mount

__all__ = ["TREE", "Cgroups", "CgroupsV1", "CgroupsV2", "NoCgroups", "Reading", "find_cgroups"]


def find_cgroups(instance: str, mounts: Sequence[Mount]) -> Cgroups:
    """The cgroups of this host, from its mounts: version 1 where it has the memory controller, else version 2.

    Raises SandboxError on a host without them: root runs no box without limits. In a holder's namespaces there is what
    is delegated to it: boxes run with fewer limits, or with none, and the self-test tells that.
    """
    is_rootless = launcher.mode() is launcher.Mode.ROOTLESS
    v1 = {name: mount.point for mount in reversed(mounts) if mount.kind == "cgroup" for name in sorted(mount.options)}
    if "memory" in v1:
        return CgroupsV1(instance, v1)
    for mount in mounts:
        if mount.kind == "cgroup2":
            return CgroupsV2(instance, mount.point, takes_less=is_rootless)
    if is_rootless:
        return NoCgroups(instance)
    raise SandboxError("this host has no cgroups mounted, so no limit would hold")
