"""What the tasks of a crash test run: numbered lines, each of which says what it has to be."""

import re
import zlib
from dataclasses import dataclass
from functools import cached_property

_SCRIPT = """
import os, sys, time, zlib
token, lines, widest, pause_s, both, code = {token!r}, {lines}, {widest}, {pause_s}, {both}, {code}
fd = os.open(f"temp/{{token}}.started", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.write(fd, f"{{os.getpid()}} {{time.time()}}\\n".encode())
for n in range(lines):
    filler = "%08x" % zlib.crc32(f"{{token}} {{n}}".encode()) * (widest // 8)
    rest = memoryview(f"{{token}} {{n}} {{filler[: n * 7919 % widest]}}\\n".encode())
    while rest:
        rest = rest[os.write(2 if both and n % 3 == 1 else 1, rest) :]
    time.sleep(pause_s)
sys.exit(code)
"""
_TOKEN = re.compile(r"token, lines, widest, pause_s, both, code = '([0-9a-z-]+)'")


@dataclass(frozen=True)
class Program:
    """A program with a name of its own (`token`): how many lines, how wide, how fast, on which streams, its exit code.

    Each start of it adds a line to `temp/<token>.started` of the workspace.
    """

    token: str
    lines: int
    widest: int
    pause_s: float
    both: bool  # every third line goes to standard error
    exit_code: int

    @property
    def source(self) -> str:
        """What the Python runner is given."""
        return _SCRIPT.format(
            token=self.token,
            lines=self.lines,
            widest=self.widest,
            pause_s=self.pause_s,
            both=self.both,
            code=self.exit_code,
        )

    @cached_property
    def output(self) -> dict[str, bytes]:
        """All that it prints, by stream."""
        found = {"stdout": b"", "stderr": b""}
        pieces: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        for n in range(self.lines):
            filler = f"{zlib.crc32(f'{self.token} {n}'.encode()):08x}" * (self.widest // 8)
            stream = "stderr" if self.both and n % 3 == 1 else "stdout"
            pieces[stream].append(f"{self.token} {n} {filler[: n * 7919 % self.widest]}\n".encode())
        return found | {stream: b"".join(lines) for stream, lines in pieces.items()}


def token_in(source: str) -> str | None:
    """The token of a program, by its source."""
    found = _TOKEN.search(source)
    return found[1] if found else None
