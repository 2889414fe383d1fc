"""SQLite's own errors as errors that a caller can meet."""

import errno
import sqlite3

from lan_session_manager.errors import BusyError, StorageError


def is_full(error: BaseException) -> bool:
    """Whether it is that the disk has no room."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def readable(error: BaseException) -> BaseException:
    """The error to raise in place of `error`, which is its cause; a broken rule of the schema stays what it is.

    That is a fault of this program. A full disk, a lock, a damaged file are faults of the machine.
    """
    if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        mine: BaseException = BusyError() if busy else StorageError()
        mine.__cause__ = error
        return mine
    return error
