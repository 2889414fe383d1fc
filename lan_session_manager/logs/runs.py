"""Files of a log of which each goes on where the one before it ended, read as one by lines and bytes."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from lan_session_manager.logs.files import RecordFile


@dataclass(frozen=True)
class Run:
    """Files, one at least, each with the offset of its first byte; nothing is left out between them.

    `rest` is what follows them and is in no file. The line numbers of a run start at 0. Every call raises
    FileNotFoundError where one of the files is gone.
    """

    files: tuple[tuple[RecordFile, int], ...]
    rest: bytes = b""

    @property
    def begin(self) -> int:
        """The offset of the first byte."""
        return self.files[0][1]

    def end(self) -> int:
        """The offset after the last byte."""
        return self._end_of_files() + len(self.rest)

    def lines_before(self, byte: int) -> int:
        """How many line feeds are before an offset."""
        at = self._find(byte)
        file, offset = self.files[at]
        lines = sum(file.end().lines for file, _ in self.files[:at]) + file.lines_before(max(0, byte - offset))
        return lines + (self.rest.count(b"\n", 0, max(0, byte - self._end_of_files())) if self.rest else 0)

    def line_start(self, lines: int) -> int | None:
        """The offset behind so many line feeds; None if there are fewer."""
        if lines <= 0:
            return self.begin
        for file, offset in self.files:
            found = file.line_start(lines)
            if found is not None:
                return offset + found
            lines -= file.end().lines
        ends = [n + 1 for n, byte in enumerate(self.rest) if byte == ord("\n")]
        return self._end_of_files() + ends[lines - 1] if lines <= len(ends) else None

    def line_end(self, byte: int) -> int:
        """The offset of the line after the one that holds `byte`, or of the end if that one has no line feed."""
        start = self.line_start(self.lines_before(byte) + 1)
        return self.end() if start is None else start

    def back(self, byte: int, lines: int, most: int) -> int:
        """Where the line so many lines before `byte` begins; none that ends more than `most` bytes before it."""
        first = self.lines_before(max(self.begin, byte - most))
        return self.line_start(max(first, self.lines_before(byte) - lines)) or self.begin

    def skip(self, after: int, until: int, may_skip: Callable[[bytes], bool]) -> int:
        """As `RecordFile.skip`, within one file."""
        file, offset = self.files[self._find(after)]
        return offset + file.skip(after - offset, until - offset, may_skip)

    def _find(self, byte: int) -> int:
        return max(0, bisect_right(self.files, byte, key=lambda part: part[1]) - 1)

    def _end_of_files(self) -> int:
        file, offset = self.files[-1]
        return offset + file.end().decoded
