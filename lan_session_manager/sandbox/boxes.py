"""The boxes of one server on this host: make one, start it, read its end, remove what is left. Every call blocks.

For calls from any thread that has entered the private mounts (`host.enter_private_mounts`); those about one box one
after another. On disk: `<state>/boxes/<box id>/` has what must outlive a restart of the host, `<run>/` what must not.
"""

import contextlib
import json
import logging
import os
import shutil
import time
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from lan_session_manager.samples import Counts
from lan_session_manager.sandbox import bundle, host, launcher, monitor
from lan_session_manager.sandbox.box import TASK_UID, Box, SandboxError
from lan_session_manager.sandbox.cgroups import Cgroups, NoCgroups, Reading, find_cgroups
from lan_session_manager.sandbox.layers import Layers
from lan_session_manager.sandbox.monitor import BoxFiles, Monitored
from lan_session_manager.sandbox.rootfs import System, make_system
from lan_session_manager.sandbox.runtime import Runtime, find_program

_MOST_OPEN = 20_000  # files of one box that are looked at: about 0.1 s
# Of the namespace itself: beyond it they count for the host's root, so that one task could take them from everybody.
_NAMESPACE_LIMITS = {"max_inotify_instances": 8, "max_inotify_watches": 4096, "max_user_namespaces": 0}
_MONITOR_ENDS_S = 5.0  # a monitor goes on for a moment after its box

_log = logging.getLogger(__name__)
# What the runtime says, and what it means to the task's owner. Its own words name paths of the host: they are logged.
_MEANINGS = (
    ("resource temporarily unavailable", "the session has as many processes as it may have: let a task end first"),
    ("cannot allocate memory", "the session uses all the memory that it may: let a task end first"),
    ("no space left on device", "the server's disk is full"),
    ("read-only file system", "the server's disk cannot be written to"),
    ("did not answer", "the server is too busy to make a box"),
)


@dataclass(frozen=True)
class BoxEnd:
    """How a box ended: its code in the way of a shell (128 + signal number), when in Unix time, and what it used."""

    code: int
    at: float
    used: Reading


def instance_id(data_dir: Path) -> str:
    """The name of the server over a data directory: the same after a restart, another for every directory."""
    return sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()[:12]


class Boxes:
    """The boxes of the server `instance`, made by the runtime at `runtime`.

    What outlives a restart of the host is in `state_dir`.
    """

    def __init__(self, instance: str, state_dir: Path, runtime: Path) -> None:
        self._instance = instance
        self._run = launcher.run_dir() / instance
        self.state_dir = state_dir
        self._kept = state_dir / "boxes"
        self.runtime = Runtime(runtime, self._run / "state")
        self._conmon = Path()
        self._layers = Layers(self._run / "layers", System(self._run / "rootfs", Path()))
        self._cgroups: Cgroups | None = None
        self._is_prepared = False

    @property
    def run_dir(self) -> Path:
        """The instance's directory in /run, which others may pass through but not list."""
        return self._run

    @property
    def prepared(self) -> bool:
        """Whether boxes can be made."""
        return self._is_prepared

    @property
    def cgroups(self) -> Cgroups:
        """The cgroups of this instance, also before `prepare`: boxes that an earlier server made may be in them.

        Raises SandboxError where this host has none.
        """
        if self._cgroups is None:
            self._cgroups = find_cgroups(self._instance, host.read_mounts())
        return self._cgroups

    def prepare(self) -> None:
        """Make everything that all boxes need. Raises SandboxError, with the reason, where that cannot be."""
        if os.geteuid() != 0:
            raise SandboxError(launcher.why_not())
        conmon = find_program("conmon")
        if conmon is None:
            raise SandboxError("conmon, the monitor of a box, is not installed")
        self._conmon = conmon
        try:
            self._prepare_directories()
            mounts = host.read_mounts()
            self._layers = Layers(self._run / "layers", make_system(self._run / "rootfs"), mounts)
            cgroups = find_cgroups(self._instance, mounts)
            cgroups.prepare()
            self.runtime = replace(self.runtime, has_cgroups=not isinstance(cgroups, NoCgroups))
            self._cgroups, self._is_prepared = cgroups, True
        except OSError as error:
            raise SandboxError(f"the sandbox cannot be prepared: {error}") from error

    def _prepare_directories(self) -> None:
        self._kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._kept.chmod(0o700)
        boot_file, boot = self._run / "boot", host.boot_id()
        # Where /run is not emptied by a restart of the host, the runtime would find boxes that are long gone.
        if self._run.exists() and (not boot_file.exists() or boot_file.read_text() != boot):
            shutil.rmtree(self._run)
        for directory, mode in (
            (launcher.run_dir(), 0o755),
            (self._run, 0o755),  # the runtime passes here as a user of the box's own range
            (self._run / "state", 0o700),
            (self._run / "bundles", 0o700),
            (self._run / "ends", 0o700),
            (self._run / "layers", 0o755),
        ):
            directory.mkdir(exist_ok=True)
            directory.chmod(mode)
        boot_file.write_text(boot)

    def files(self, box_id: str) -> BoxFiles:
        """The files of a box, whether or not it exists."""
        return BoxFiles(self._kept / box_id, self._run / "ends" / box_id)

    def create(self, box: Box, at_most_s: int) -> Monitored:
        """Make a box up to the point where its program would begin. Raises SandboxError; nothing of it is left then."""
        if not self._is_prepared:
            raise SandboxError("The task could not be started: this server has no sandbox.")
        self._check_workspace(box)
        cgroups, bundle_dir = self.cgroups, self._run / "bundles" / box.box_id
        starts = launcher.current()
        if bundle_dir.exists():  # an earlier server died while it made this box
            self.remove(box.box_id)
        try:
            cgroups.ensure_group(box.group, box.group_limits)
            with self._layers.over(box.workspace, box.shared) as system:
                config = bundle.config(
                    box,
                    system,
                    cgroups.box_path(box.group, box.box_id),
                    cgroups.box_resources(box.limits),
                    starts.open_files(),
                )
                bundle_dir.mkdir(mode=0o700)
                (bundle_dir / "config.json").write_text(json.dumps(config))
                files = self.files(box.box_id)
                made = monitor.create(
                    self._conmon,
                    self.runtime,
                    box.box_id,
                    bundle_dir,
                    files,
                    box.limits.log_bytes,
                    at_most_s,
                    starts,
                    partial(cgroups.place_monitor, box.group),
                )
            cgroups.limit_sockets(box)
            host.limit_user_namespace(made.box_pid, _NAMESPACE_LIMITS)
            host.pin_oom_score(made.box_pid, bundle.OOM_SCORE)
            return made
        except (OSError, SandboxError) as error:
            self.remove(box.box_id)
            raise _explained(box.box_id, error) from error

    def start(self, box_id: str) -> None:
        """Let the program of a created box begin; nothing happens if it has begun.

        Raises SandboxError; nothing of the box is left then.
        """
        try:
            self.runtime.start(box_id)
        except SandboxError as error:
            if self.runtime.status(box_id) in ("running", "stopped"):
                return
            self.remove(box_id)
            raise _explained(box_id, error) from error

    def end(self, group: str, box_id: str) -> BoxEnd | None:
        """How a box ended, or None as long as its monitor has not written it. To be asked before `remove`."""
        found = self.files(box_id).exit_code()
        if found is None:
            return None
        return BoxEnd(found[0], found[1], self.used(group, box_id))

    def used(self, group: str, box_id: str) -> Reading:
        """What a box has used so far; zeros where nothing of it is left."""
        with contextlib.suppress(OSError, SandboxError):
            return self.cgroups.read(group, box_id)
        return Reading()

    def count(self, group: str, box_id: str) -> Counts | None:
        """What a running box has used and what it holds; None where nobody counts."""
        with contextlib.suppress(OSError, SandboxError):
            return self.cgroups.count(group, box_id)
        return None

    def unlinked_bytes(self, group: str, box_id: str) -> int | None:
        """What files without a name take that a box holds open on the disk of `state_dir`: `host.unlinked_bytes`."""
        device = self.state_dir.stat().st_dev
        return host.unlinked_bytes(self.cgroups.processes(group, box_id), device, _MOST_OPEN)

    def remove(self, box_id: str) -> None:
        """Kill what lives of a box and remove everything of it but its files on disk."""
        try:
            self.runtime.delete(box_id)
        except SandboxError as error:
            _log.warning("box %s is not removed: %s", box_id, error)
        shutil.rmtree(self._run / "bundles" / box_id, ignore_errors=True)

    def forget_spare(self, box_id: str) -> None:
        """Remove the exit code of a box that is kept in memory, once it is kept elsewhere."""
        shutil.rmtree(self.files(box_id).spare, ignore_errors=True)

    def known(self) -> set[str]:
        """The boxes that exist on this host, running or not."""
        return {*self.runtime.known(), *os.listdir(self._run / "bundles")}

    def remove_all(self) -> None:
        """Kill and remove every box of the instance, its cgroups and its run directory. Files on disk stay."""
        for box_id in self.known():
            self.remove(box_id)
        end = time.monotonic() + _MONITOR_ENDS_S
        while not self.cgroups.remove() and time.monotonic() < end:
            time.sleep(0.02)
        shutil.rmtree(self._run, ignore_errors=True)
        with contextlib.suppress(OSError):  # another instance uses it
            launcher.run_dir().rmdir()

    @staticmethod
    def _check_workspace(box: Box) -> None:
        for path, owner in ((box.workspace, box.uid_base + TASK_UID), (box.shared, None)):
            try:
                found = os.lstat(path)
            except OSError:
                raise SandboxError(f"The task could not be started: {path.name} does not exist.") from None
            if path.resolve() != path or not os.path.isdir(path) or owner not in (None, found.st_uid):
                raise SandboxError(f"The task could not be started: {path.name} is not the session's own directory.")


def _explained(box_id: str, error: Exception) -> SandboxError:
    _log.warning("box %s is not made: %s", box_id, error)
    said = str(error).lower()
    meaning = next((meaning for sign, meaning in _MEANINGS if sign in said), "the sandbox did not accept it")
    return SandboxError(f"The task could not be started: {meaning}.")
