"""Whose the files of a workspace are, and the one place where the server takes on their owner's rights.

A server that is root has rights over every file of the machine, and everything in a workspace is made to have it use
them in the wrong place. So the thread that touches such files first puts itself into the user and group id that the
session's tasks have, and lays down all capabilities: from there the kernel refuses what it would refuse to the task.

What is changed belongs to a thread and not to the process (credentials(7)): the file system ids, by setfsuid(2) and
setfsgid(2), whose wrappers tell no other thread, and the effective capabilities, by capset(2). Threads and programs
that are started meanwhile would inherit it, and a generator could carry it elsewhere: so no `yield` to a consumer, no
`await` and no new thread in there. A server that is not root has no other rights than its own: nothing is changed then.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

_NO_ID = 2**32 - 1  # is nobody's: asking for it changes nothing and tells what holds
_CAPABILITIES_V3 = 0x20080522  # linux/capability.h
_DAC_READ_SEARCH = 1 << 2  # there: look into every directory, read every file; write nothing
# The number of setgroups(2), as the wrapper of the C library would change all threads. Most machines share one table.
_SETGROUPS = {"x86_64": 116, "aarch64": 159, "riscv64": 159, "loongarch64": 159, "ppc64le": 81, "s390x": 206}

# Called with the interpreter's lock held: they never wait, and letting go of it costs more than the call.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
for _call in (_libc.setfsuid, _libc.setfsgid):
    _call.argtypes = (ctypes.c_uint32,)
    _call.restype = ctypes.c_uint32


@dataclass(frozen=True)
class Owner:
    """Whose the files of a workspace are: the ids that new ones get, and all user ids that one may have."""

    uid: int
    gid: int
    uids: range


@contextmanager
def acting_as(owner: Owner, *, searching: bool = False) -> Iterator[None]:
    """Have this thread touch files with the rights of `owner` alone; `searching`, also look into locked directories.

    That is for what reads names and sizes and no bytes, as a task may lock its directories at any moment. The thread
    has no supplementary groups from then on, which root does not need. Not to be nested. Raises PermissionError when
    the kernel does not give these ids, RuntimeError for a thread that acts as somebody already.
    """
    if os.geteuid():
        yield
        return
    if not owner.uid or not owner.gid:
        raise PermissionError(errno.EPERM, "root's files are no session's")
    if os.getgroups():
        _leave_groups()
    home = os.getegid()
    _capabilities(None)  # known before they are laid down
    if _now() != (0, home):
        raise RuntimeError("this thread acts as somebody already")
    try:
        _libc.setfsgid(owner.gid)
        _libc.setfsuid(owner.uid)
        _have(_capabilities(_DAC_READ_SEARCH if searching else 0))
        if _now() != (owner.uid, owner.gid):
            raise PermissionError(errno.EPERM, f"the kernel does not give the ids {owner.uid} and {owner.gid}")
        yield
    finally:
        _libc.setfsuid(0)
        _libc.setfsgid(home)
        _have(_capabilities(None))
        if _now() != (0, home):
            raise RuntimeError("this thread did not become itself again")


def _now() -> tuple[int, int]:
    return _libc.setfsuid(_NO_ID), _libc.setfsgid(_NO_ID)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_HEADER = _Header(_CAPABILITIES_V3, 0)  # 0: the thread that calls


@cache
def _capabilities(effective: int | None) -> "ctypes.Array[_Sets]":
    """What the server has, with those of the first 32 effective that are in `effective`; None: as they are."""
    sets = (_Sets * 2)()
    _checked(_libc.capget(ctypes.byref(_HEADER), sets))
    if effective is not None:
        sets[0].effective, sets[1].effective = effective & sets[0].permitted, 0
    return sets


def _have(sets: "ctypes.Array[_Sets]") -> None:
    _checked(_libc.capset(ctypes.byref(_HEADER), sets))


def _leave_groups() -> None:
    number = _SETGROUPS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"no session's rights can be taken on on {platform.machine()}")
    _checked(_libc.syscall(ctypes.c_long(number), ctypes.c_size_t(0), None))


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
