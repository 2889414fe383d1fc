"""The one way to open anything in a workspace: beneath a descriptor, through no link, onto no other file system.

The kernel resolves the path with openat2 (Linux 5.6). Where that is missing or forbidden, each directory on the way is
opened for itself without following links; another mount of the same file system is then not noticed.

Who opens acts as the session (`owner`), which may have locked its own files (chmod 0): they are unlocked for it, as the
page would otherwise neither show nor delete them.
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from lan_session_manager.errors import (
    BusyError,
    ConflictError,
    InvalidInputError,
    LSMError,
    NotFoundError,
    SecurityError,
    StorageError,
)
from lan_session_manager.workspace.owner import Owner as Owner
from lan_session_manager.workspace.paths import Parts, joined

_OPENAT2 = 437  # the number of the call on every architecture of Linux but alpha
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x01, 0x02, 0x04, 0x08  # linux/openat2.h
_RESOLVE = _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH
_TRIES = 16  # EAGAIN: a rename at the wrong moment, or a lease that a task holds on its file

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK
_PASSING = os.O_PATH | os.O_DIRECTORY

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_NOT_A_FILE = (
    "This is a link, a pipe, a device or somebody else's file. Only regular files of the session can be opened."
)
IS_A_DIRECTORY = "There is a directory of that name. Choose another name, or open the directory."


def beneath(root: int, path: bytes, flags: int) -> int:
    """A new descriptor of `path` below the directory `root`, which programs do not inherit.

    Raises OSError: ELOOP for a link anywhere on the way or at its end, EXDEV for a path that leaves.
    """
    if b"\0" in path:
        raise OSError(errno.EINVAL, "a path has no NUL")
    resolve = _by_kernel if _kernel_resolves() else _by_steps
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            return resolve(root, path, flags)
    return resolve(root, path, flags)


@cache
def _kernel_resolves() -> bool:
    """Whether there is an openat2 that works: older kernels have none, some seccomp profiles forbid it (EPERM)."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        os.close(_by_kernel(root, b".", os.O_PATH | os.O_DIRECTORY))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return False
        raise
    finally:
        os.close(root)
    return True


def _by_kernel(root: int, path: bytes, flags: int) -> int:
    # Without O_NOFOLLOW: with it, a link at the end would be ENOTDIR for O_DIRECTORY, and open for O_PATH.
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE)
    while True:
        fd = _libc.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(root),
            ctypes.c_char_p(path),
            ctypes.c_char_p(how),
            ctypes.c_size_t(24),
        )
        if fd >= 0:
            return int(fd)
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


def _by_steps(root: int, path: bytes, flags: int) -> int:
    if path.startswith(b"/") or b".." in path.split(b"/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    *parents, last = path.split(b"/")
    device = os.fstat(root).st_dev
    at = os.dup(root)
    try:
        for name in parents:
            step = _step(at, name, _PASSING, device)
            os.close(at)
            at = step
        return _step(at, last, flags, device)
    finally:
        os.close(at)


def _step(at: int, name: bytes, flags: int, device: int) -> int:
    try:
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    except NotADirectoryError:  # O_DIRECTORY says this of a link as well
        if stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise
    info = os.fstat(fd)
    refused = errno.EXDEV if info.st_dev != device else errno.ELOOP if stat.S_ISLNK(info.st_mode) else 0
    if refused:
        os.close(fd)
        raise OSError(refused, os.strerror(refused))
    return fd


def reached(root: int, path: bytes, flags: int) -> int:
    """As `beneath`, also through and to what its owner, as whom this thread acts, has locked: it is unlocked for good.

    A directory can then be searched as well, and with `unlock` be written to.
    """
    try:
        fd = beneath(root, path, flags)
    except PermissionError:
        _unlock_on_the_way(root, path)
        return beneath(root, path, flags)
    if flags & os.O_DIRECTORY:
        try:
            os.stat(b".", dir_fd=fd)
        except PermissionError:
            unlock(fd)
    return fd


def unlock(fd: int) -> None:
    """Give the owner of a directory or of a regular file the rights to use it, if this thread acts as the owner.

    Never root's, so that it does not matter who calls.
    """
    info = os.fstat(fd)
    wanted = stat.S_IRWXU if stat.S_ISDIR(info.st_mode) else stat.S_IRUSR if stat.S_ISREG(info.st_mode) else 0
    if info.st_uid and info.st_mode & wanted != wanted:
        with suppress(PermissionError):
            # By its name here, as a descriptor that was opened without any right (O_PATH) cannot be changed itself.
            os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(info.st_mode) | wanted)


def _unlock_on_the_way(root: int, path: bytes) -> None:
    unlock(root)
    names = path.split(b"/")
    for number in range(1, len(names) + 1):
        with closing(beneath(root, b"/".join(names[:number]), os.O_PATH)) as fd:
            unlock(fd)


@contextmanager
def closing(fd: int) -> Iterator[int]:
    """The descriptor, closed at the end."""
    try:
        yield fd
    finally:
        os.close(fd)


def open_directory(root: int, path: Parts) -> int:
    """A new descriptor of a directory below `root`. Raises NotFoundError and SecurityError."""
    with refusals():
        return reached(root, joined(path), DIRECTORY)


def open_regular(root: int, path: Parts, owner: Owner) -> tuple[int, os.stat_result]:
    """A new descriptor for reading a regular file of `owner` below `root`, and its facts.

    Raises NotFoundError, SecurityError for a link, ConflictError for what is no regular file or is another's: a hard
    link may name any file of the file system, so that the file's own user id decides. Opening never waits.
    """
    with refusals():
        fd = reached(root, joined(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    info = os.fstat(fd)
    if stat.S_ISREG(info.st_mode) and info.st_uid in owner.uids:
        return fd, info
    os.close(fd)
    raise ConflictError(what=IS_A_DIRECTORY if stat.S_ISDIR(info.st_mode) else _NOT_A_FILE)


@contextmanager
def refusals() -> Iterator[None]:
    """What the kernel refuses becomes the error that a caller can meet."""
    try:
        yield
    except OSError as error:
        meaning = _meaning(error.errno)
        if meaning is None:
            raise
        raise meaning from error


def _meaning(number: int | None) -> LSMError | None:
    match number:
        case errno.ENOENT | errno.ENOTDIR | errno.ESTALE:
            return NotFoundError()
        case errno.ELOOP | errno.EXDEV:
            return SecurityError()
        case errno.ENXIO | errno.ENODEV | errno.EPERM | errno.EACCES:
            return ConflictError(what=_NOT_A_FILE)
        case errno.EISDIR | errno.EEXIST | errno.ENOTEMPTY:
            return ConflictError(what=IS_A_DIRECTORY)
        case errno.ENAMETOOLONG | errno.EINVAL:
            return InvalidInputError(
                what="No file can have this path. Use a shorter one, of letters, digits and signs."
            )
        case errno.EAGAIN | errno.EBUSY | errno.EMFILE | errno.ENFILE:
            return BusyError()
        case errno.ENOSPC | errno.EDQUOT | errno.EROFS | errno.EIO | errno.EFBIG:
            return StorageError()
    return None
