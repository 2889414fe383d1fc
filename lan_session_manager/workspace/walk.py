"""Going through a tree in which everything may change at any moment: through no link, in bounded time and memory."""

import errno
import os
import stat
from collections.abc import Iterator

from lan_session_manager.workspace.opener import DIRECTORY, closing, reached
from lan_session_manager.workspace.paths import DEEPEST, LONGEST_PATH

MOST = 250_000  # entries of one walk: about a second, and 30 MB of memory if all of them are directories
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)
_REFUSED = (errno.EACCES, errno.EPERM)


class Walk:
    """Everything below the directory `root`: its path from there, in bytes, and the facts of the entry itself.

    `complete` is False once something was left out because it is beyond the bounds: more than `most` entries, more than
    64 directories in one another, a path longer than the kernel takes, or a directory that may not be looked into. What
    vanishes meanwhile is left out silently.
    """

    def __init__(self, root: int, most: int = MOST) -> None:
        self._root = root
        self._left = most
        self.complete = True

    def __iter__(self) -> Iterator[tuple[bytes, os.stat_result]]:
        waiting = [b""]
        while waiting:
            directory = waiting.pop()
            try:
                fd = reached(self._root, directory or b".", DIRECTORY)
            except OSError as error:
                if error.errno not in (*_GONE, *_REFUSED):
                    raise
                self.complete = self.complete and error.errno in _GONE
                continue
            with closing(fd), os.scandir(fd) as entries:
                for entry in entries:
                    if not self._left:
                        self.complete = False
                        return
                    self._left -= 1
                    try:
                        info = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    except PermissionError:  # locked again since it was opened
                        self.complete = False
                        continue
                    name = os.fsencode(entry.name)
                    path = directory + b"/" + name if directory else name
                    yield path, info
                    if stat.S_ISDIR(info.st_mode):
                        if path.count(b"/") + 1 >= DEEPEST or len(path) >= LONGEST_PATH - 256:
                            self.complete = False
                        else:
                            waiting.append(path)
