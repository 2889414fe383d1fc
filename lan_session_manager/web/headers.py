"""The headers of every answer, and those of bytes that a user or a task has written."""

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
            "media-src 'self'; frame-src 'self'; "  # what a task made: see `web/previews.py`
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        "cache-control": "no-store",
    }
)
# Without TLS browsers ignore it, and say so on the console of every page.
TLS_HEADERS: Mapping[str, str] = MappingProxyType({"cross-origin-opener-policy": "same-origin"})

# No page of our origin, whatever they are: an origin of their own, no script, nothing loaded, in no frame.
USER_BYTES: Mapping[str, str] = MappingProxyType(
    {"Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'"}
)

_LONGEST = 255  # characters, and with that bytes, of the plain file name
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they turn "gnp.exe" into "exe.png"
_UNSAFE = frozenset('"\\/:*?<>|%;')  # of a file name on some system, or of the header's own grammar
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 !#$&'()+,.=@^_`{}~\[\]-]")


def attachment(name: str) -> dict[str, str]:
    """The headers of user bytes that are to be kept as a file under `name`, which may hold any character.

    The name is given twice (RFC 6266, appendix D): in ASCII for clients that know no other, and in UTF-8 (RFC 8187).
    In both, what could spoof or break another system's names stands as "_".
    """
    safe = "".join("_" if _is_unsafe(char) else char for char in name) or "_"
    plain = _NOT_PLAIN.sub("_", safe)[:_LONGEST]
    if plain.startswith("."):
        plain = "_" + plain[1:]
    encoded = quote(safe, safe="")
    return {**USER_BYTES, "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"}


def _is_unsafe(char: str) -> bool:
    # "Co": bytes that are no UTF-8 are shown as private characters.
    return char in _UNSAFE or char in _BIDI or unicodedata.category(char) in ("Cc", "Cs", "Co", "Zl", "Zp")
