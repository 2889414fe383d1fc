"""The files of cgroups: they are read and written whole, and a cgroup is a directory."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def write(file: Path, value: object) -> None:
    """Write a value to a file that the kernel has. Raises OSError."""
    # Without O_CREAT: a file that the kernel does not have must not be made, whatever stands below the mount point.
    fd = os.open(file, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def change(file: Path, value: object) -> None:
    """Write a value to a file that holds another one. Raises OSError."""
    if file.read_text().strip() != str(value):
        write(file, value)


def number(file: Path) -> int:
    """The number in a file; 0 where there is none."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(file.read_text())
    return 0


def found(file: Path) -> int | None:
    """The number in a file; None where there is none, or the cgroup is removed in this moment."""
    with contextlib.suppress(OSError, ValueError):
        return int(_read(file))
    return None


def found_in(file: Path, name: str) -> int | None:
    """The number of that name in a flat keyed file; None as `found`. Most of such a file is not looked at."""
    with contextlib.suppress(OSError, ValueError):
        text, sign = b"\n" + _read(file), b"\n" + name.encode() + b" "
        at = text.index(sign) + len(sign)
        return int(text[at : text.index(b"\n", at)])
    return None


def _read(file: Path) -> bytes:
    # For what is read all the time: several times cheaper than a file object.
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 16384)
    finally:
        os.close(fd)


def table(file: Path) -> dict[str, int]:
    """A flat keyed file: a name and a number on each line."""
    with contextlib.suppress(FileNotFoundError):
        pairs = (line.split() for line in file.read_text().splitlines())
        return {name: int(number) for name, number in pairs}
    return {}


def children(directory: Path) -> list[Path]:
    """The cgroups right below one, if it exists."""
    with contextlib.suppress(FileNotFoundError):
        return [child for child in directory.iterdir() if child.is_dir()]
    return []


def remove(directories: Iterable[Path]) -> bool:
    """Remove cgroups and those below them; False if one of them has processes, and so is still there."""
    gone = True
    for directory in directories:
        remove(children(directory))
        try:
            directory.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            gone = False
    return gone
