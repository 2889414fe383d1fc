"""How often one client may do what costs the server something: a bucket of tokens for each rate and key.

A bucket is one number, the time at which it will be full again (the "theoretical arrival time" of GCRA, ITU-T I.371):
nothing runs beside, and a refused request costs and changes nothing. The figures keep programs without end out; no
person, page, class behind one address or honest script comes near them.
"""

import ipaddress
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from lan_session_manager.addresses import Address
from lan_session_manager.errors import TooManyRequestsError

MOST_KEYS = 16_384  # buckets of one rate, some 4 MB; a full one is as good as none, so only clients at work have one
_NS = 1_000_000_000
_SWEEP_NS = _NS  # between searches for full buckets while all places are taken: one takes a few milliseconds


class Rate(StrEnum):
    """What is counted. The key is the session's id, unless it is said otherwise."""

    MINT = "mint"  # new sessions and devices; by address and by MAC: see Rates.take_mint
    MINT_NETWORK = "mint_network"  # the same, by IPv6 /64
    SUBMIT = "submit"  # tasks handed in, run again ones too
    CHANGE = "change"  # other small changes: cancel, delete, rename, make a directory
    UPLOAD = "upload"  # files, or parts of one, sent
    READ = "read"  # everything that is only looked at
    SEARCH = "search"  # parts of a log searched
    SOCKET = "socket"  # dashboards opened
    HANDSHAKE = "handshake"  # of TLS; by address
    MESSAGE = "message"  # messages on them
    MESSAGE_BYTES = "message_bytes"  # their bytes
    LOGIN = "login"  # wrong tokens of the owner or of a worker; by address
    CLAIM = "claim"  # wrong codes of a session that is carried over; by address
    CLAIM_ALL = "claim_all"  # the same, of everybody together; its key is ""


@dataclass(frozen=True)
class Figure:
    """`burst` at once; an empty bucket is full again after `per_s` seconds."""

    burst: int
    per_s: int


FIGURES: Mapping[Rate, Figure] = MappingProxyType(
    {
        # A class of 40 behind one address, three times over; then one in 30 s, as each session has user ids for good.
        Rate.MINT: Figure(120, 3600),
        # All devices of a network have one /64, so this is for what changes address and MAC each time.
        Rate.MINT_NETWORK: Figure(600, 3600),
        # A script that hands in all of its work at once is stopped by the queue's bound first. 200 a second, about
        # 1 ms of processor time each, is what one session may ask for without end.
        Rate.SUBMIT: Figure(12_000, 60),
        Rate.CHANGE: Figure(6_000, 60),
        # A tree of some thousand small files, or a large file in parts of 1 MB over 1 Gbit/s for a minute.
        Rate.UPLOAD: Figure(9_000, 60),
        # The page reads a few a second; a script that polls each of 1,000 tasks once a second for a while is let be.
        Rate.READ: Figure(18_000, 60),
        # A tenth of a second of one core each at most: the search of 20 GB, and then a fifth of what one core can.
        Rate.SEARCH: Figure(600, 300),
        # LSM_MAX_SESSION_SOCKETS pages that come back together after the network was away, several times.
        Rate.SOCKET: Figure(240, 60),
        # 0.6 ms of processor time each. 40 browsers behind one address open 320 connections together; a loop of curl
        # without keep-alive some 30 a second.
        Rate.HANDSHAKE: Figure(3_000, 60),
        Rate.MESSAGE: Figure(3_000, 60),
        Rate.MESSAGE_BYTES: Figure(96 * 2**20, 60),  # hundreds of tasks with the longest command, 64 KB
        Rate.LOGIN: Figure(20, 60),  # a token has 256 bits: this is for the noise
        # A code has six digits and lives for 120 s. Everybody together finds one that is there with at most 80 tries,
        # less than 1 in 10,000; by its long secret (the QR code) a session can be claimed all the same.
        Rate.CLAIM: Figure(10, 120),
        Rate.CLAIM_ALL: Figure(40, 120),
    }
)


class Rates:
    """The buckets of all clients, in memory. For any thread."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        figures: Mapping[Rate, Figure] = FIGURES,
        most: int = MOST_KEYS,
    ) -> None:
        """`clock` gives seconds and never goes back; `most` bounds the buckets of each rate."""
        self._clock = clock
        self._buckets = {rate: _Buckets(figure, most) for rate, figure in figures.items()}
        self._lock = threading.Lock()

    def take(self, rate: Rate, *keys: str, cost: int = 1) -> None:
        """Take `cost` tokens of the buckets of all these keys, or of none.

        Raises TooManyRequestsError with the whole seconds after which it would do.
        """
        with self._lock:
            now, buckets = self._now(), self._buckets[rate]
            self._refuse(buckets.wait(now, keys, cost))
            buckets.take(now, keys, cost)

    def look(self, rate: Rate, *keys: str, cost: int = 1) -> None:
        """Raise like `take`, and take nothing: for what counts only once it is known to be wrong."""
        with self._lock:
            self._refuse(self._buckets[rate].wait(self._now(), keys, cost))

    def take_mint(self, address: Address, mac: str | None) -> None:
        """Take for one new session or device of this address. Raises like `take`."""
        network = network_of(address)
        with self._lock:
            now = self._now()
            one, many = self._buckets[Rate.MINT], self._buckets[Rate.MINT_NETWORK]
            keys = (str(address), f"mac {mac}") if mac else (str(address),)
            networks = (network,) if network != str(address) else ()
            self._refuse(max(one.wait(now, keys, 1), many.wait(now, networks, 1)))
            one.take(now, keys, 1)
            many.take(now, networks, 1)

    def _now(self) -> int:
        return int(self._clock() * _NS)

    @staticmethod
    def _refuse(wait_ns: int) -> None:
        if wait_ns > 0:
            raise TooManyRequestsError(seconds=max(1, math.ceil(wait_ns / _NS)))


class _Buckets:
    """The buckets of one rate. Times are nanoseconds."""

    def __init__(self, figure: Figure, most: int) -> None:
        self._each = figure.per_s * _NS // figure.burst
        self._whole = self._each * figure.burst
        self._most = most
        self._full_at: dict[str, int] = {}
        self._others = 0  # the bucket of everybody for whom there is no place
        self._sweep_at = 0

    def wait(self, now: int, keys: tuple[str, ...], cost: int) -> int:
        """For how long these keys have to wait for `cost` tokens; 0 or less: they have them."""
        self._sweep(now)
        return max((self._after(now, key, cost) - now - self._whole for key in keys), default=0)

    def take(self, now: int, keys: tuple[str, ...], cost: int) -> None:
        """Take them."""
        for key in keys:
            after = self._after(now, key, cost)
            if key in self._full_at or len(self._full_at) < self._most:
                self._full_at[key] = after
            else:
                self._others = after

    def _after(self, now: int, key: str, cost: int) -> int:
        is_placed = key in self._full_at or len(self._full_at) < self._most
        return max(self._full_at.get(key, 0) if is_placed else self._others, now) + cost * self._each

    def _sweep(self, now: int) -> None:
        # What is not full is never dropped: a flood of keys would else give an empty bucket back as a full one.
        if len(self._full_at) >= self._most and now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_NS
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}


def network_of(address: Address) -> str:
    """The /64 of an IPv6 address as text, "2001:db8::/64"; the address itself for IPv4, loopback and link-local."""
    parsed = ipaddress.ip_address(str(address).partition("%")[0])
    if parsed.version == 4 or parsed.is_loopback or parsed.is_link_local:
        return str(address)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
