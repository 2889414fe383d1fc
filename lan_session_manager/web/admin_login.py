"""The owner's logins on the admin page: each a random cookie below /admin, kept hashed and in memory alone."""

import hashlib
import secrets
import time
from collections.abc import Callable

from starlette.requests import HTTPConnection
from starlette.responses import Response

PATH = "/admin"
BELOW = f"{PATH}/"  # where the cookie has power, and nowhere else
LIFE_S = 12 * 3600
_MOST = 32  # logins at once; of more the oldest ends
_NAME = "lsm-admin"


class AdminLogins:
    """Who is logged in. A restart of the server ends all logins."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds and never goes back."""
        self._clock = clock
        self._until: dict[str, float] = {}  # by the cookie's hash, oldest first

    def begin(self) -> str:
        """A new login's secret, for its cookie."""
        self._forget_old()
        while len(self._until) >= _MOST:
            del self._until[next(iter(self._until))]
        secret = secrets.token_urlsafe(32)
        self._until[_hash(secret)] = self._clock() + LIFE_S
        return secret

    def is_known(self, secret: str) -> bool:
        """Whether that is the secret of a login that goes on."""
        self._forget_old()
        return bool(secret) and _hash(secret) in self._until  # by its hash: how long that takes tells nothing

    def end(self, secret: str) -> None:
        """End the login of that secret, if there is one."""
        self._until.pop(_hash(secret), None)

    def _forget_old(self) -> None:
        now = self._clock()
        self._until = {secret: until for secret, until in self._until.items() if until > now}


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _name(is_tls: bool) -> str:
    return f"__Secure-{_NAME}" if is_tls else _NAME  # __Host- allows no path but "/"


def sent_cookie(connection: HTTPConnection, *, is_tls: bool) -> str:
    """The login's secret that a request sends, or nothing."""
    return connection.cookies.get(_name(is_tls), "")


def set_cookie(response: Response, secret: str, *, is_tls: bool) -> None:
    """Have the browser send the secret to /admin, and nowhere else, until the login ends; an empty one is forgotten."""
    response.set_cookie(
        _name(is_tls),
        secret,
        max_age=LIFE_S if secret else 0,
        path=PATH,
        secure=is_tls,
        httponly=True,
        samesite="strict",
    )
