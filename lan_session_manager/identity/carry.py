"""Codes by which a session is carried to another device: in memory alone, for two minutes, each for one use."""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

CODE_DIGITS = 6
LIFE_S = 120.0
MOST = 200  # codes at once


@dataclass(frozen=True)
class Carry:
    """What the other device gives: either of the two."""

    code: str  # to be typed
    secret: str  # to be scanned: 256 random bits


@dataclass(frozen=True)
class Given:
    """What a code stands for."""

    device_id: str  # of the device that has asked for it
    session_id: str  # that it opened


@dataclass(frozen=True)
class _Waiting:
    session_id: str
    code: bytes
    secret: bytes
    until: float


class Carries:
    """The codes that wait to be used. For any thread. How often wrong ones may be tried is not bounded here."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        """`clock` gives seconds and never goes back."""
        self._clock = clock
        self._most = most
        self._key = secrets.token_bytes(32)  # so that six digits cannot be found from what is kept of them
        self._waiting: dict[str, _Waiting] = {}  # by the device that has asked
        self._lock = threading.Lock()

    def make(self, device_id: str, session_id: str) -> Carry | None:
        """A code for the session that a device opens, in place of its last one; None while too many others wait."""
        with self._lock:
            self._sweep()
            self._waiting.pop(device_id, None)
            if len(self._waiting) >= self._most:
                return None
            carry = Carry(f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}", secrets.token_urlsafe(32))
            code = self._hash(carry.code)
            if any(other.code == code for other in self._waiting.values()):
                return None  # once in 5,000 times at the worst: two sessions would have one code
            until = self._clock() + LIFE_S
            self._waiting[device_id] = _Waiting(session_id, code, self._hash(carry.secret), until)
            return carry

    def claim(self, *, code: str = "", secret: str = "") -> Given | None:
        """Whose that code or that secret is, which are used up by it; None: nobody's.

        The device that has asked may have been forgotten since: who lets the other one in looks again.
        """
        given_code, given_secret = self._hash(code), self._hash(secret)
        with self._lock:
            self._sweep()
            found = None
            for device_id, waiting in self._waiting.items():  # all of them, so that the time says nothing
                is_code = hmac.compare_digest(waiting.code, given_code)
                is_secret = hmac.compare_digest(waiting.secret, given_secret)
                if is_code or is_secret:
                    found = device_id
            return Given(found, self._waiting.pop(found).session_id) if found else None

    def drop(self, device_id: str) -> None:
        """The device that has asked is forgotten, or opens another session now."""
        with self._lock:
            self._waiting.pop(device_id, None)

    def _hash(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode("utf-8", "replace"), hashlib.sha256)

    def _sweep(self) -> None:
        now = self._clock()
        self._waiting = {device: waiting for device, waiting in self._waiting.items() if waiting.until > now}
