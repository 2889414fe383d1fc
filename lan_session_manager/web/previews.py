"""How bytes that a task has written are shown in the page: the one place that decides it.

Everything of a task is hostile. Text, tables, JSON, Markdown and pictures never come here: the page fetches them as
bytes and makes text or an image of them. What only a browser can lay out or play comes from one address, as a type that
the ending of the name says, which the browser may not guess anew, and with a policy under which it can do nothing: no
script, no form, nothing loaded from anywhere, no origin of ours, in no frame but those of our own page.

A policy does not keep a page from having the browser open a connection ahead of need (`<link rel=preconnect>`), which
would tell somebody that it is looked at. So of a page the elements go that could do that and that show nothing here.
"""

import os
import re
from collections.abc import Mapping
from types import MappingProxyType

_IN_OUR_PAGE = "frame-ancestors 'self'"
_NOTHING = (
    "default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; " + _IN_OUR_PAGE
)
_SANDBOXED = "sandbox; " + _NOTHING
# The browser's own viewer does not run in a sandbox; it has an origin of its own, and none of a page's powers.
_PDF = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; " + _IN_OUR_PAGE

_TYPES = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".htm": "text/html; charset=utf-8",
        ".pdf": "application/pdf",
        ".mp3": "audio/mpeg",
        ".m4a": "audio/mp4",
        ".aac": "audio/aac",
        ".wav": "audio/wav",
        ".flac": "audio/flac",
        ".ogg": "audio/ogg",
        ".oga": "audio/ogg",
        ".opus": "audio/ogg",
        ".mp4": "video/mp4",
        ".m4v": "video/mp4",
        ".webm": "video/webm",
        ".ogv": "video/ogg",
    }
)
MOST_PAGE_BYTES = 8 * 1024 * 1024
_AHEAD = re.compile(rb"<(?=link|i?frame|object|embed)", re.IGNORECASE)


def is_page(name: str) -> bool:
    """Whether a file of that name is laid out as a page: then it is shown as `defused` leaves it."""
    return _TYPES.get(_ending(name), "").startswith("text/html")


def defused(content: bytes) -> bytes:
    """A page without the elements that load something, as far as a browser would know them for these.

    With the charset that its headers say, as it cannot begin with the bytes that would choose another one.
    """
    return b"\n" + _AHEAD.sub(b"<x-", content)


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def preview_headers(name: str) -> Mapping[str, str] | None:
    """The headers under which a file of that name may be shown; None: it is not."""
    kind = _TYPES.get(_ending(name))
    if kind is None:
        return None
    return {
        "Content-Type": kind,
        "Content-Disposition": "inline",
        "Content-Security-Policy": _PDF if kind == "application/pdf" else _SANDBOXED,
        "X-DNS-Prefetch-Control": "off",
    }
