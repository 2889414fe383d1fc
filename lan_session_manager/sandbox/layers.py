"""Inodes of a box's own for all that boxes share with the host and with each other.

Whoever can read a file may watch its inode (inotify(7), dnotify) and lock it (flock(2)): with plain binds a task would
see when other sessions' tasks and the host's own programs open a file, could hold a lock that they wait for, and could
connect to a socket that such a program has there. An overlay has inodes of its own, over the same pages in memory, so
each box gets overlays that nobody else has: of its root, of /usr, of the shared resources.

What a running task has looked up once, it goes on seeing as it was, also that it was not there: an overlay is not told
when somebody renames or removes what lies below it. Files that are written in place, and names that were not looked up
before, are seen as they are. The next task sees everything as it is.

The mounts are made in the private namespace of the thread that makes the box, and are taken away there once the
runtime has them: nothing is left on the host, and none of its paths but those of packages stands in a box's mountinfo.
"""

import errno
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lan_session_manager.sandbox import host
from lan_session_manager.sandbox.host import Mount
from lan_session_manager.sandbox.rootfs import System

_log = logging.getLogger(__name__)

# <sys/mount.h>; the first four are those of statvfs(3) as well
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND = 1, 2, 4, 8, 32, 4096
# What can never be: no overlayfs, not for this user, not over this file system. Anything else is a fault of the moment.
_NEVER = (errno.ENODEV, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.ELOOP)
# Both off for the log's sake: without them the kernel says at each mount what it cannot do for lack of an upper layer.
_OPTIONS = "xino=off,index=off"
# The devices that every box has (OCI runtime specification, config-linux.md, "Default Devices").
_DEVICES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
)
_USR = Path("/usr")
_DEV = Path("/dev")


class Layers:
    """Makes the overlays of boxes at `directory`, an empty directory that others may pass through."""

    def __init__(self, directory: Path, system: System, mounts: Sequence[Mount] = ()) -> None:
        self._directory = directory
        self._system = system
        # An overlay has one mount of the host and none of those below it.
        self._below_usr = sorted({mount.point for mount in mounts if _USR in mount.point.parents})

    @contextmanager
    def over(self, workspace: Path, shared: Path) -> Iterator[System]:
        """The system of one box with its workspace and the shared resources, as long as the context is open.

        The workspace comes without setuid and devices whatever the runtime makes of its options. Where this host cannot
        have an overlay, its own directory stands in the system (the self-test sees that). Raises OSError if an overlay
        that can be made is not.
        """
        if not host.has_private_mounts():
            yield self._system
            return
        host.mount("tmpfs", self._directory, "tmpfs", _NOSUID, "mode=755,size=64k")
        try:
            system = self._made(workspace, shared)
            with self._own_devices():
                yield system
        finally:
            host.detach(self._directory)

    def _made(self, workspace: Path, shared: Path) -> System:
        (self._directory / "empty").mkdir()
        # By another name: an overlay's options, which a box can read, would show the host's, and end it at a colon.
        alias = self._directory / "below"
        alias.mkdir()
        self._bind(shared, alias, _RDONLY)
        own = self._directory / "workspace"
        own.mkdir()
        self._bind(workspace, own)
        wanted = {
            "root": (self._system.root, self._system.root),
            "usr": (_USR, _USR),
            "shared": (shared, alias),
            **{name.replace("/", "-"): (Path("/", name), Path("/", name)) for name in self._system.bound},
        }
        sources = {workspace: own}
        for name, (path, lower) in wanted.items():
            if self._overlay(lower, made := self._directory / name):
                sources[path] = made
        if _USR in sources:
            self._overlay_below_usr(sources[_USR])
            if _USR in self._system.init.parents:
                sources[self._system.init] = sources[_USR] / self._system.init.relative_to(_USR)
        return replace(self._system, root=sources.pop(self._system.root, self._system.root), sources=sources)

    @staticmethod
    def _bind(path: Path, at: Path, flags: int = 0) -> None:
        host.mount(str(path), at, flags=_BIND)
        kept = os.statvfs(at).f_flag & (_RDONLY | _NOEXEC)  # as the owner has mounted it
        host.mount("none", at, flags=_BIND | _REMOUNT | _NOSUID | _NODEV | flags | kept)

    def _overlay(self, lower: Path, at: Path) -> bool:
        at.mkdir(exist_ok=True)
        try:
            layers = f"lowerdir={lower}:{self._directory / 'empty'}"
            host.mount("overlay", at, "overlay", _RDONLY | _NOSUID | _NODEV, f"{layers},{_OPTIONS}")
        except OSError as error:
            if error.errno not in _NEVER:
                raise
            _log.warning("%s is shared with boxes as it is: no overlay can be made of it (%s)", lower, error)
            return False
        return True

    def _overlay_below_usr(self, usr: Path) -> None:
        for point in self._below_usr:
            at = usr / point.relative_to(_USR)
            if not at.exists():
                continue  # it lies under another mount
            if not (point.is_dir() and self._overlay_at(point, at)):
                self._bind(point, at, _RDONLY)

    def _overlay_at(self, lower: Path, at: Path) -> bool:
        return ":" not in str(lower) and "," not in str(lower) and "\\" not in str(lower) and self._overlay(lower, at)

    @contextmanager
    def _own_devices(self) -> Iterator[None]:
        """Give the thread a /dev of its own, for the runtime to take the box's devices from it."""
        devices = self._directory / "dev"
        devices.mkdir()
        try:
            for name, (major, minor) in _DEVICES.items():
                os.mknod(devices / name, 0o20666, os.makedev(major, minor))
                (devices / name).chmod(0o666)  # whatever the server's umask
        except PermissionError:  # in a user namespace: the runtime takes the host's own
            yield
            return
        host.mount(str(devices), _DEV, flags=_BIND)
        try:
            yield
        finally:
            host.detach(_DEV)
