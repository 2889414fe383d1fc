"""The two files of TLS on disk: each is a certificate with its key, 0600, whole or not there."""

import contextlib
import os
from pathlib import Path

_NEW = ".new"


def read_kept(path: Path) -> bytes | None:
    """What is in the file; None: there is none. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        return file.read()


def keep(path: Path, content: bytes) -> None:
    """Write the file in one step, so that who is killed in between leaves the old one or none. Raises OSError.

    What an earlier attempt has left beside it goes.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = path.with_name(path.name + _NEW)
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
