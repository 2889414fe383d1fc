"""The Range header of a download (RFC 9110, section 14): one range of bytes, or the whole."""

import re

from lan_session_manager.errors import RangeError

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(first byte, the byte after the last) that the header asks of `size` bytes.

    None for the whole: without a header, for several ranges, and for one that is malformed, which is to be ignored.
    Raises RangeError for a range that starts after the end.
    """
    found = _ONE.fullmatch((header or "").strip())
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        last = int(found[2])
        if last == 0 or size == 0:
            raise RangeError(size=size)
        return max(0, size - last), size
    first, end = int(found[1]), int(found[2]) + 1 if found[2] else max(size, int(found[1]) + 1)
    if end <= first:
        return None
    if first >= size:
        raise RangeError(size=size)
    return first, min(end, size)
