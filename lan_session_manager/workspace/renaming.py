"""Renaming to a name that is free: nothing that stands there is ever replaced."""

import ctypes
import errno
import os
import stat

_NOREPLACE = 1  # linux/fs.h
_MISSING = (errno.ENOSYS, errno.EINVAL, errno.ENOTTY)  # some network file systems have no such flag

_libc = ctypes.CDLL(None, use_errno=True)


def rename_new(source: int, name: bytes, target: int, new_name: bytes) -> None:
    """Rename `name` in the directory `source` to `new_name` in the directory `target`, if that is free.

    Raises OSError: FileExistsError for a name that is taken, EINVAL for a directory that would be put into itself.
    """
    if _libc.renameat2(source, name, target, new_name, _NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number not in _MISSING:
        raise OSError(number, os.strerror(number))
    if stat.S_ISDIR(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode):
        # By itself the kernel replaces nothing but an empty directory by a directory.
        try:
            os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
        except NotADirectoryError:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
    else:
        os.link(name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        os.unlink(name, dir_fd=source)
