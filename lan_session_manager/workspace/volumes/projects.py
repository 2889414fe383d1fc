"""Hard quotas by project quotas (ext4, XFS): the kernel counts all files of a directory tree.

A workspace and its staging directory have the same project id, which what is made in them inherits. The id is of a
range of our own and follows from the session's user id; a box cannot change it, as it is in a user namespace.
"""

import contextlib
import ctypes
import errno
import fcntl
import logging
import os
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from lan_session_manager.errors import HardQuotaError, VolumeError
from lan_session_manager.settings import MB
from lan_session_manager.workspace.opener import DIRECTORY, beneath, closing
from lan_session_manager.workspace.owner import Owner
from lan_session_manager.workspace.usage import Quota
from lan_session_manager.workspace.volumes.base import Held, Place, volumes_directory
from lan_session_manager.workspace.volumes.loops import ToolError, remove_tree
from lan_session_manager.workspace.walk import Walk

_log = logging.getLogger(__name__)

# linux/fs.h: struct fsxattr {xflags, extsize, nextents, projid, cowextsize, pad[8]} and its two calls.
_ATTRIBUTES = struct.Struct("=5I8x")
_GET_ATTRIBUTES, _SET_ATTRIBUTES = 0x801C581F, 0x401C5820
_INHERIT = 0x200
# linux/quota.h: struct if_dqblk, whose limits of space are in KB; the commands are for project quotas (type 2).
_LIMITS = struct.Struct("=8QI4x")
_GET_QUOTA, _SET_QUOTA, _VALID_LIMITS = 0x80000702, 0x80000802, 5
_QUOTACTL_FD = 443  # Linux 5.14; the number of the call on every architecture

FIRST_PROJECT = 0x4C00_0000
_USERS = 65536  # user ids of a session: the part of its id that tells sessions apart is above them
_STEP = 65536  # to the next range, where another server on this file system uses the same ids
_PROBE_PROJECT = FIRST_PROJECT - 1
_NOBODY = 65534
_OWN_BYTES, _OWN_FILES = 32 * 1024, 7  # workspace, staging, the three tops, the facts twice

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Projects:
    """Project quotas for the workspaces below `data_dir`. Not `limits`: those that were set are taken away again."""

    line = "project quotas of the file system"

    def __init__(self, data_dir: Path, *, limits: bool) -> None:
        self._data_dir = data_dir
        self._directory = volumes_directory(data_dir)
        self._limits = limits

    def probe(self) -> None:
        """Have somebody write beyond a limit. Raises HardQuotaError where the kernel lets that happen."""
        scratch = self._directory / f".probe-{os.getpid()}"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            scratch.mkdir(mode=0o700)
            os.chown(scratch, _NOBODY, _NOBODY)
            with closing(os.open(scratch, DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)) as fd:
                _set_project(fd, _PROBE_PROJECT)
                set_limits(fd, _PROBE_PROJECT, MB, 8)
                try:
                    for command in ("head -c 4M /dev/zero > large", "touch 1 2 3 4 5 6 7 8 9"):
                        _as_nobody(command, scratch)
                    used = sum((scratch / name).stat().st_blocks * 512 for name in os.listdir(fd))
                    if used > MB or len(os.listdir(fd)) > 7:
                        raise HardQuotaError(why="the file system counts project quotas and does not enforce them")
                finally:
                    set_limits(fd, _PROBE_PROJECT, 0, 0)
        except OSError as error:
            raise HardQuotaError(why=f"the file system has no project quotas ({error.strerror})") from error
        finally:
            with contextlib.suppress(OSError):
                for name in os.listdir(scratch):
                    (scratch / name).unlink()
                scratch.rmdir()
                self._directory.rmdir()  # where nothing else is in it

    def ready(self, name: str, owner: Owner, quota: Quota, *, may_move: Callable[[], bool]) -> None:
        """See `Volumes.ready`. Nothing is moved: also what runs is counted from now on (`may_move` does not matter)."""
        del may_move
        try:
            with (
                closing(self._made(self._data_dir / name, owner)) as workspace,
                closing(self._made(self._staging(name), owner)) as staging,
            ):
                project = project_of(staging) or self._free_project(workspace, owner)
                if self._limits:
                    set_limits(workspace, project, quota.bytes + _OWN_BYTES, quota.files + _OWN_FILES)
                elif project_of(staging):
                    set_limits(workspace, project, 0, 0)
                    return
                if not project_of(staging):
                    _tag(workspace, project)
                    _set_project(staging, project)  # the last one, as it tells that all are
        except OSError as error:
            _log.error("the project quota of %s could not be set: %s", name, error)
            raise VolumeError(why="the kernel did not take its quota") from error

    def place(self, name: str) -> Place | None:
        """See `Volumes.place`."""
        return Place(self._data_dir, name, self._staging(name)) if self._staging(name).is_dir() else None

    def held(self, name: str) -> Held | None:
        """See `Volumes.held`."""
        if not self._limits:
            return None
        try:
            with closing(os.open(self._staging(name), DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)) as staging:
                project = project_of(staging)
                if not project:
                    return None
                most_bytes, most_files, used_bytes, used_files = get_quota(staging, project)
        except OSError:
            return None
        return Held(
            bytes=max(0, used_bytes - _OWN_BYTES),
            files=max(0, used_files - _OWN_FILES + 1),
            free_bytes=max(0, most_bytes - used_bytes),
            free_files=max(0, most_files - used_files),
        )

    def discard(self, name: str) -> None:
        """See `Volumes.discard`: the files are in the workspace, and the kernel keeps nothing but numbers."""
        try:
            remove_tree(self._staging(name))
        except ToolError as error:
            raise VolumeError(why="what was kept for it could not be removed") from error

    def release(self, name: str) -> None:
        """See `Volumes.release`: the kernel keeps nothing but numbers."""

    def _staging(self, name: str) -> Path:
        return self._directory / f"{name}.staging"

    @staticmethod
    def _made(directory: Path, owner: Owner) -> int:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        fd = os.open(directory, DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_uid not in owner.uids:
                os.fchown(fd, owner.uid, owner.gid)
        except BaseException:
            os.close(fd)
            raise
        return fd

    @staticmethod
    def _free_project(workspace: int, owner: Owner) -> int:
        """An id that nobody else's files on the file system have."""
        project = project_of(workspace)
        if project >= FIRST_PROJECT:
            return project
        project = FIRST_PROJECT + owner.uid // _USERS
        while get_quota(workspace, project)[3]:
            project += _STEP
        return project


def _tag(root: int, project: int) -> None:
    """Give everything in the directory the project id, top down, so that nothing new can be missed. Raises OSError."""
    _set_project(root, project)
    walk = Walk(root)
    for path, info in walk:
        if stat.S_ISDIR(info.st_mode) or stat.S_ISREG(info.st_mode):
            with (
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                closing(beneath(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)) as fd,
            ):
                if stat.S_ISREG(os.fstat(fd).st_mode) or stat.S_ISDIR(os.fstat(fd).st_mode):
                    _set_project(fd, project)
    if not walk.complete:
        raise OSError(errno.EFBIG, "there are more files than can be counted")


def project_of(fd: int) -> int:
    """The project id of a file or directory; 0 where it has none. Raises OSError."""
    return int(_attributes(fd)[3])


def _attributes(fd: int) -> tuple[int, ...]:
    return _ATTRIBUTES.unpack(fcntl.ioctl(fd, _GET_ATTRIBUTES, bytes(_ATTRIBUTES.size)))


def _set_project(fd: int, project: int) -> None:
    flags, extent, extents, _, cow = _attributes(fd)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        flags |= _INHERIT
    fcntl.ioctl(fd, _SET_ATTRIBUTES, _ATTRIBUTES.pack(flags, extent, extents, project, cow))


def get_quota(fd: int, project: int) -> tuple[int, int, int, int]:
    """Of a project on the file system of `fd`: bytes and files that it may have, and that it has. Raises OSError."""
    block = ctypes.create_string_buffer(_LIMITS.size)
    try:
        _quotactl(fd, _GET_QUOTA, project, block)
    except FileNotFoundError:  # XFS: nobody has used it
        return 0, 0, 0, 0
    most_kb, _, used, most_files, _, used_files, *_ = _LIMITS.unpack(block.raw)
    return most_kb * 1024, most_files, used, used_files


def set_limits(fd: int, project: int, most_bytes: int, most_files: int) -> None:
    """Limit a project on the file system of `fd`; 0: no limit. Raises OSError."""
    packed = _LIMITS.pack(-(-most_bytes // 1024), 0, 0, most_files, 0, 0, 0, 0, _VALID_LIMITS)
    _quotactl(fd, _SET_QUOTA, project, ctypes.create_string_buffer(packed, _LIMITS.size))


def _quotactl(fd: int, command: int, project: int, block: "ctypes.Array[ctypes.c_char]") -> None:
    numbers = (ctypes.c_long(_QUOTACTL_FD), ctypes.c_int(fd), ctypes.c_int(ctypes.c_int32(command & 0xFFFFFFFF).value))
    if _libc.syscall(*numbers, ctypes.c_int(project), block) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _as_nobody(command: str, directory: Path) -> None:
    # Root is above all quotas.
    subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=directory,
        user=_NOBODY,
        group=_NOBODY,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin"},
        timeout=30,
        check=False,
    )
