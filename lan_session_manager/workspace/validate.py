"""Whether a path, in any of the ways that clients spell one, lies inside of a session's workspace."""

import errno
import os
import re
import stat
from pathlib import Path

from lan_session_manager.errors import LSMError
from lan_session_manager.workspace.opener import beneath, closing
from lan_session_manager.workspace.owner import Owner, acting_as
from lan_session_manager.workspace.paths import LONGEST_PATH, joined, parse_path, shown

TOP = ("inputs", "outputs", "temp")
SHARED = "shared"
_USUAL = "user_sessions"  # what clients call the data directory, wherever it is
_ESCAPED = re.compile("[\udc80-\udcff]")  # bytes that are not UTF-8, as Python gives them in a path


def is_inside(data_dir: Path, name: str, text: str) -> bool:
    """Whether `text` names something in the workspace `name` or in the shared resources; it need not exist.

    It may be absolute, or relative to the current directory, to the data directory, to its parent, or to the workspace
    when it starts with one of its three directories. A path with ".." or a link on it is refused wherever it leads, and
    so is a file that no session may open. Whatever `text` holds, nothing is raised.
    """
    if not isinstance(text, str) or not 0 < len(text) <= 2 * LONGEST_PATH:
        return False
    try:
        if _ESCAPED.search(text):
            text = shown(os.fsencode(text))
        place = _below(data_dir, name, text)
        return place is not None and place[0] in (name, SHARED) and _may_be_opened(data_dir, name, place[0], place[1:])
    except (OSError, ValueError, LSMError):
        return False


def _below(data_dir: Path, name: str, text: str) -> list[str] | None:
    """The names from the data directory on, one or more, by the first reading that fits; None for a path elsewhere."""
    names = [part for part in text.split("/") if part not in ("", ".")]
    if not names or ".." in names:
        return None
    whole = names if text.startswith("/") else [*Path.cwd().parts[1:], *names]
    for base in (data_dir, data_dir.resolve()):
        depth = len(base.parts) - 1
        if tuple(whole[:depth]) == base.parts[1:] and len(whole) > depth:
            return whole[depth:]
    if text.startswith("/"):
        return None
    if names[0] in (data_dir.name, _USUAL):
        return names[1:] or None
    return [name, *names] if names[0] in TOP else names


def _opened_top(data: int, name: str) -> int:
    # It may be a mount. Nobody but the server and the owner put anything into the data directory: a link is no attack.
    try:
        return os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=data)
    except NotADirectoryError as error:
        raise OSError(errno.ELOOP, error.strerror) from error


def _may_be_opened(data_dir: Path, name: str, top: str, names: list[str]) -> bool:
    path = joined(parse_path("/".join(names)))
    try:
        with (
            closing(os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as data,
            closing(_opened_top(data, name)) as own,
            closing(_opened_top(data, top)) as root,
        ):
            held = os.fstat(own)
            owner = Owner(held.st_uid, held.st_gid, range(held.st_uid, held.st_uid + 1))
            # Nothing is read, and what the session itself has locked is inside all the same.
            with acting_as(owner, searching=True), closing(beneath(root, path, os.O_PATH)) as fd:
                info = os.fstat(fd)
    except (FileNotFoundError, NotADirectoryError):
        return True
    # A hard link may name any file of the file system: whose it is decides.
    may = top == SHARED or info.st_uid in owner.uids
    return stat.S_ISDIR(info.st_mode) or (stat.S_ISREG(info.st_mode) and may)
