"""A bundle as the server makes it, run by the runtime alone: what a box costs without server and monitor."""

import json
import os
import resource
import secrets
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from lan_session_manager.sandbox import bundle, host
from lan_session_manager.sandbox.box import TASK_UID, Box, BoxLimits, GroupLimits, group_id, opaque_id, user_range
from lan_session_manager.sandbox.cgroups import find_cgroups
from lan_session_manager.sandbox.layers import Layers
from lan_session_manager.sandbox.rootfs import make_system
from lan_session_manager.sandbox.runtime import Runtime, find_runtimes

COMMAND = ("/bin/bash", "-c", "echo first")
_MB = 1024 * 1024


def quantiles(milliseconds: list[float]) -> dict[str, float]:
    """The least, the middle, and the one that 95 of 100 are below."""
    ranked = sorted(milliseconds)
    return {
        "min": round(ranked[0], 1),
        "p50": round(statistics.median(ranked), 1),
        "p95": round(ranked[int(len(ranked) * 0.95)], 1),
    }


class Bare:
    """A box with the limits of a task in `directory`, run again and again. The calling thread gets private mounts."""

    def __init__(self, directory: Path) -> None:
        self._instance = "bench" + secrets.token_hex(4)
        self._run = Path("/run/lan-session-manager") / self._instance
        self._workspace = directory / "bare"
        host.enter_private_mounts()
        self.name = ""

    def __enter__(self) -> "Bare":
        (self._run / "layers").mkdir(parents=True)
        self._run.chmod(0o755)
        slot = user_range(65_000)
        self._workspace.mkdir()
        os.chown(self._workspace, slot + TASK_UID, slot + TASK_UID)
        shared = self._workspace.parent / "bare-shared"
        shared.mkdir()
        mounts = host.read_mounts()
        self._system = make_system(self._run / "rootfs")
        self._layers = Layers(self._run / "layers", self._system, mounts)
        self._cgroups = find_cgroups(self._instance, mounts)
        self._cgroups.prepare()
        limits, group_limits = BoxLimits(512 * _MB, 256, 1024 * _MB, 64 * _MB), GroupLimits(1024 * _MB, 512, 2.0)
        self._box = Box(
            opaque_id("bench"), group_id("bench"), COMMAND, {"PATH": "/usr/bin:/bin"}, self._workspace, shared, slot,
            limits, group_limits,
        )  # fmt: skip
        self._cgroups.ensure_group(self._box.group, group_limits)
        self._runtime = Runtime(find_runtimes("")[0], self._run / "state")
        self.name = self._runtime.version()
        return self

    def __exit__(self, *_: object) -> None:
        self._cgroups.remove_group(group_id("bench"))
        self._cgroups.remove()
        shutil.rmtree(self._run)

    def run(self, change: Callable[[dict[str, Any]], object] | None = None, *, layered: bool = False) -> float:
        """Milliseconds from before its mounts, if it is `layered`, to the first byte that the command prints.

        `change` changes its configuration before that.
        """
        box, files = self._box, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        path, resources = self._cgroups.box_path(box.group, box.box_id), self._cgroups.box_resources(box.limits)
        begun = time.perf_counter()
        with self._layers.over(box.workspace, box.shared) if layered else nullcontext(self._system) as system:
            config = bundle.config(box, system, path, resources, files)
            if change:
                change(config)
            (self._run / "config.json").write_text(json.dumps(config))
            process = subprocess.Popen(
                [self._runtime.path, "--root", self._runtime.state, "run", "--bundle", self._run, "bench"],
                stdin=subprocess.PIPE,  # crun gives /dev/null away to the box's user, the host's own
                stdout=subprocess.PIPE,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR": "/run"},
            )
            if process.stdout is None or process.stdout.read(1) != b"f":
                raise RuntimeError("the bare run printed nothing")
            first = time.perf_counter()
            process.communicate(timeout=20)
        return (first - begun) * 1000
