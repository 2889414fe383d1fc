"""Which hosts are this server. The one place that says so, for every port, route and WebSocket.

A page that rebinds its own name to this machine's address (DNS rebinding) still sends that name as Host. An address
cannot be rebound, so every address that the machine has is fine, and of names those that are the machine's own or that
the owner has allowed.
"""

import time
from collections.abc import Callable, Iterable

from lan_session_manager import names
from lan_session_manager.hosts import Host, parse_host
from lan_session_manager.names import Own

_OLD_S = 10.0  # after this an address or a name that the machine has lost is no longer known
_AGAIN_S = 1.0  # and what is not known is looked for this often at the most


class KnownHosts:
    """The machine's names and addresses, looked up again as they change, and what the owner has allowed."""

    def __init__(
        self,
        allowed: Iterable[str] = (),
        look: Callable[[], Own] = names.look,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = frozenset(parse_host(text).text for text in allowed)
        self._look = look
        self._clock = clock
        self._own = look()
        self._looked_at = clock()

    def knows(self, host: Host, *, local: str, peer_is_here: bool) -> bool:
        """Whether `host` is this server.

        `local` is the address that the connection came in at, which is an own one by that; `peer_is_here` says whether
        the peer is this machine, as only there "localhost" means this machine.
        """
        text = host.text
        if text in self._allowed or host.is_loopback:
            return True
        if text == "localhost":
            return peer_is_here
        if host.is_address and text == local.partition("%")[0]:
            return True
        age = self._clock() - self._looked_at
        if age >= _OLD_S or (age >= _AGAIN_S and not self._is_own(host)):
            self._own = self._look()
            self._looked_at = self._clock()
        return self._is_own(host)

    def owns(self, name: str) -> bool:
        """Whether a name is the machine's own, or allowed."""
        return name in self._allowed or name in self._own.names

    def _is_own(self, host: Host) -> bool:
        return host.text in (self._own.addresses if host.is_address else self._own.names)
