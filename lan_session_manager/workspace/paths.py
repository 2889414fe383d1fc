"""The names and paths of files in a workspace: how bytes of the disk become text for clients, and text becomes a path.

A task may name a file with any bytes but NUL and "/". Bytes that are not UTF-8 are shown as the private characters
U+EF80 to U+EFFF (byte 0x80 + n as U+EF80 + n, the mapping of MirBSD's OPTU-8); a name that really holds one of these
characters has each of its bytes shown so. Every name thus is valid text, in JSON and in a URL, that names exactly
one file; `stored(shown(name)) == name` holds for all bytes.
"""

import re
import unicodedata

from lan_session_manager.errors import InvalidInputError, SecurityError

LONGEST_NAME = 255  # bytes, NAME_MAX of Linux
LONGEST_PATH = 4096  # bytes, PATH_MAX of Linux
DEEPEST = 64  # directories in one another

Parts = tuple[str, ...]

_RAW = 0xEF00  # U+EF80 is _RAW + 0x80
_HIDDEN = re.compile("[\udc80-\udcff\uef80-\uefff]")
_SHOWN_RAW = re.compile("[\uef80-\uefff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def shown(name: bytes) -> str:
    """The text that clients see for a file's name."""
    return _HIDDEN.sub(_as_raw, name.decode("utf-8", "surrogateescape"))


def _as_raw(found: re.Match[str]) -> str:
    return "".join(chr(_RAW + byte) for byte in found[0].encode("utf-8", "surrogateescape"))


def stored(name: str) -> bytes:
    """The bytes that a client's text stands for. The text has no surrogates: `parse_path` refuses them."""
    return _SHOWN_RAW.sub(lambda found: chr(0xDC00 + ord(found[0]) - _RAW), name).encode("utf-8", "surrogateescape")


def joined(path: Parts) -> bytes:
    """The path as one for the kernel, relative to where it starts."""
    return b"/".join(map(stored, path)) or b"."


def parse_path(text: str) -> Parts:
    """The names in a client's path, which may be those of files that a task made; "" is the workspace itself.

    Raises SecurityError for a path that leads out, InvalidInputError for one that no file can have.
    """
    if len(text) > LONGEST_PATH or "\0" in text or _SURROGATE.search(text):
        raise InvalidInputError(what="No file can have this path. Use at most 4096 bytes of text, without NUL.")
    if not text:
        return ()
    names = text.split("/")
    if text.startswith("/") or ".." in names:
        raise SecurityError
    # A text that spells valid UTF-8 in private characters is not the one that is shown for the name.
    path = tuple(shown(stored(name)) for name in names)
    if "" in names or "." in names:
        raise InvalidInputError(what='A path is names with a single "/" between them, and none of them is ".".')
    if len(path) > DEEPEST or len(joined(path)) > LONGEST_PATH:
        raise InvalidInputError(what="The path is too long: it may have 64 names and 4096 bytes. Use a shorter one.")
    if any(len(stored(name)) > LONGEST_NAME for name in path):
        raise InvalidInputError(what="A name in the path is too long: it may have 255 bytes. Use a shorter one.")
    return path


def parse_new_path(text: str) -> Parts:
    """As `parse_path`, for a file or directory that a client wants to make: its names must be fit to be shown.

    Raises SecurityError and InvalidInputError.
    """
    path = parse_path(text)
    if not path:
        raise SecurityError
    if any(
        unicodedata.category(char) in ("Cc", "Zl", "Zp") or _SHOWN_RAW.match(char) for name in path for char in name
    ):
        raise InvalidInputError(what="A name may not hold control characters. Use letters, digits and signs.")
    return path
