"""A file on its way to a client: as many bytes as it had when it was opened, and never more."""

import os
import threading
from collections.abc import Generator
from types import MappingProxyType, TracebackType

from lan_session_manager.errors import RangeError
from lan_session_manager.workspace.listing import modified
from lan_session_manager.workspace.opener import open_regular
from lan_session_manager.workspace.paths import Parts
from lan_session_manager.workspace.workspace import Workspace

CHUNK = 1 << 20
_UNKNOWN = "application/octet-stream"
# Only what no browser runs or lays out as a page: a task's HTML, SVG, XML or PDF stays a stream of bytes.
_HARMLESS = MappingProxyType(
    {
        **dict.fromkeys((".txt", ".log", ".csv", ".tsv", ".md", ".json", ".py", ".sh"), "text/plain; charset=utf-8"),
        ".png": "image/png",
        ".jpg": "image/jpeg",
        ".jpeg": "image/jpeg",
        ".gif": "image/gif",
        ".webp": "image/webp",
    }
)


class Download:
    """An open regular file. `size` in bytes and `modified` (Unix time in seconds) are those at its opening.

    For use from any thread, and `close` while another one reads.

    Raises NotFoundError, SecurityError, and ConflictError for what is no regular file of the session.
    """

    def __init__(self, workspace: Workspace, path: Parts) -> None:
        with workspace.opened() as root:
            self._fd, info = open_regular(root, path, workspace.owner)
        self.name = path[-1] if path else workspace.name
        self.size = info.st_size
        self.modified = modified(info)
        self.etag = f'"{info.st_ino:x}-{info.st_mtime_ns:x}-{info.st_size:x}"'
        self.content_type = _HARMLESS.get(os.path.splitext(self.name)[1].lower(), _UNKNOWN)
        self._lock = threading.Lock()
        self._open = True

    def read(self, first: int = 0, end: int | None = None) -> Generator[bytes, None, None]:
        """The bytes from `first` to before `end`, in chunks of at most CHUNK; fewer if the file was cut meanwhile.

        Raises RangeError when `first` is not below the size, but for an empty file read from its start.
        """
        end = self.size if end is None else min(end, self.size)
        if not 0 <= first < max(self.size, 1):
            raise RangeError(size=self.size)
        return self._chunks(first, end)

    def _chunks(self, at: int, end: int) -> Generator[bytes, None, None]:
        while at < end and (chunk := self._at(at, min(CHUNK, end - at))):
            yield chunk
            at += len(chunk)

    def _at(self, offset: int, size: int) -> bytes:
        # The number of a closed descriptor may be another file's by now.
        with self._lock:
            return os.pread(self._fd, size, offset) if self._open else b""

    def close(self) -> None:
        """Let go of the file; whoever still reads it finds its end."""
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._fd)

    def __enter__(self) -> "Download":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
