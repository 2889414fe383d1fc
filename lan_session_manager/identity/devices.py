"""The secret by which a device proves itself: made here, sent as a cookie or in a header, stored as its hash alone."""

import hashlib
import re
import secrets
from collections.abc import Mapping

from lan_session_manager.errors import InvalidInputError
from lan_session_manager.store.records import DeviceKind

HEADER = "lsm-device"
LONGEST_NAME = 40
_COOKIE, _TLS_COOKIE = "lsm-device", "__Host-lsm-device"
_COOKIE_S = 400 * 24 * 3600  # the longest that browsers keep one (RFC 6265bis, section 5.5)
# In this order, as each browser names those before it as well.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """A device token: 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """What is stored of a token. No salt: nobody can guess 256 bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def sent_token(headers: Mapping[str, str], *, is_tls: bool) -> str | None:
    """The token that a request sends, by the lower-case names of its headers; None: none, or no such thing.

    >>> sent_token({"cookie": "theme=dark; lsm-device=" + 43 * "a"}, is_tls=False) == 43 * "a"
    True
    >>> sent_token({"cookie": "lsm-device=" + 43 * "a"}, is_tls=True)
    """
    if HEADER in headers:
        tokens = {headers[HEADER].strip()}
    else:
        # A cookie of another port of this machine may have our name: of two that differ neither is believed.
        pairs = (pair.partition("=") for pair in headers.get("cookie", "").split(";"))
        name = _TLS_COOKIE if is_tls else _COOKIE
        tokens = {value.strip() for key, _, value in pairs if key.strip() == name}
    token = tokens.pop() if len(tokens) == 1 else ""
    return token if _TOKEN.fullmatch(token) else None


def cookie(token: str, *, is_tls: bool) -> str:
    """The Set-Cookie header that gives a browser its token; an empty token takes it away."""
    name, secure = (_TLS_COOKIE, "; Secure") if is_tls else (_COOKIE, "")
    age = _COOKIE_S if token else 0
    return f"{name}={token}; Max-Age={age}; Path=/; HttpOnly; SameSite=Strict{secure}"


def default_name(kind: DeviceKind, user_agent: str) -> str:
    """What a device is called until it names itself: its browser and system, as far as it says them.

    >>> default_name(DeviceKind.BROWSER, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    'Firefox on Linux'
    >>> default_name(DeviceKind.PROGRAM, "curl/8.5.0")
    'Program'
    """
    if kind is DeviceKind.PROGRAM:
        return "Program"
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "Browser")
    system = next((f" on {name}" for mark, name in _SYSTEMS if mark in user_agent), "")
    return browser + system


def checked_name(name: str) -> str:
    """The name that a device gives itself, without white space around it. Raises InvalidInputError."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidInputError(what=f"A device's name has 1 to {LONGEST_NAME} printable characters. Choose another.")
    return name
