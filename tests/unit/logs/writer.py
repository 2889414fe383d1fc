"""A monitor as conmon is one, as far as a log can tell: records, and a new file whenever the present one is full."""

import os
from pathlib import Path

from lan_session_manager.logs import segments

_STAMP = b"2026-11-22T14:08:34.261329858+00:00"


class Writer:
    """Writes the log in `directory`, with files of `size` bytes at most; the beginning is kept from the start."""

    def __init__(self, directory: Path, size: int) -> None:
        self.directory = directory
        self.size = size
        self.printed = b""
        self.begun = 0  # files after the first one
        self._fd = os.open(directory / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._written = 0
        segments.keep_beginning(directory)

    def write(self, data: bytes, stream: str = "stdout") -> None:
        """Write what the task prints at once."""
        for line in data.splitlines(keepends=True):
            full = line.endswith(b"\n")
            record = b"%s %s %s %s" % (_STAMP, stream.encode(), b"F" if full else b"P", line if full else line + b"\n")
            if self._written + len(record) > self.size:
                self._begin()
            os.write(self._fd, record)
            self._written += len(record)
        self.printed += data

    def _begin(self) -> None:
        os.close(self._fd)
        new = self.directory / "log.tmp"
        self._fd = os.open(new, os.O_WRONLY | os.O_TRUNC | os.O_CREAT, 0o600)
        new.rename(self.directory / "log")
        self._written = 0
        self.begun += 1

    def disk(self) -> int:
        """How many bytes all files of the log have."""
        found = {path.stat().st_ino: path.stat().st_size for path in self.directory.glob("log*")}
        return sum(found.values())

    def close(self) -> None:
        """The task has ended."""
        os.close(self._fd)
