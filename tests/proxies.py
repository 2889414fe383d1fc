"""A proxy over loopback, targets that answer, and a client that speaks bytes."""

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lan_session_manager.destinations import Ip, Profile, parse_rule
from lan_session_manager.egress.journal import Connection
from lan_session_manager.egress.proxy import Bounds
from lan_session_manager.egress.resolver import IsClosed, Resolve
from lan_session_manager.egress.server import Egress
from lan_session_manager.states import Verdict

PATIENCE_S = 20.0
TASK = "user_10_0_0_1_task_001"
NAMES = {
    "files.example": ["127.0.0.1"],
    "two.example": ["127.0.0.1", "10.0.0.1"],
    "router.example": ["192.168.1.1"],
    "v6.example": ["::ffff:127.0.0.1"],
}


async def resolve(name: str) -> list[Ip]:
    """The names of the tests."""
    return [ipaddress.ip_address(text) for text in NAMES.get(name, [])]


def only_loopback_open(address: Ip) -> bool:
    """As if this machine's loopback were the internet."""
    return str(address) != "127.0.0.1"


@dataclass
class Out:
    """A proxy that listens at `port`, with what it has told."""

    egress: Egress
    port: int
    told: list[Connection]

    def connect(self) -> socket.socket:
        """A connection to the proxy."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)

    def say(self, data: bytes) -> bytes:
        """All that comes back for these bytes until the proxy closes."""
        with self.connect() as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
            return read_all(sock)

    def beside(self, session: str) -> "Out":
        """The proxy of a task of another session."""
        return replace(self, port=_opened(self.egress, f"a task of {session}", session))

    def verdicts(self, count: int) -> list[Verdict]:
        """What became of the first `count` connections, once they have ended."""
        return [one.verdict for one in self.ended(count)]

    def ended(self, count: int) -> list[Connection]:
        """The first `count` connections that have ended, once there are so many."""
        end = time.monotonic() + PATIENCE_S
        while True:
            self.told += self.egress.journal.take()
            over = [one for one in self.told if one.ended_at is not None]
            if len(over) >= count:
                return over
            assert time.monotonic() < end, self.told
            time.sleep(0.01)


def read_all(sock: socket.socket) -> bytes:
    """What comes until the end; what came until then if it breaks off."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(65536):
            said += data
    return said


def _opened(egress: Egress, task: str, session: str) -> int:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.setblocking(False)
    port: int = listener.getsockname()[1]
    egress.open(task, session, "some", listener)
    return port


@contextlib.contextmanager
def proxy(
    *allow: str,
    bounds: Bounds | None = None,
    is_closed: IsClosed = only_loopback_open,
    task: str = TASK,
    resolve: Resolve = resolve,
) -> Iterator[Out]:
    """The proxy of a task whose profile has these rules."""
    profile = Profile("some", tuple(parse_rule(text) for text in allow))
    egress = Egress({"some": profile}, bounds=bounds, resolve=resolve, is_closed=is_closed)
    try:
        yield Out(egress, _opened(egress, task, "a session"), [])
    finally:
        egress.shut()


@contextlib.contextmanager
def target(serve: Callable[[socket.socket], None], address: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server at an address of this machine that does this with each connection."""

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=one, args=(sock,), daemon=True).start()

    def one(sock: socket.socket) -> None:
        sock.settimeout(PATIENCE_S)
        with sock, contextlib.suppress(OSError):
            serve(sock)

    with socket.create_server((address, 0)) as listener:
        threading.Thread(target=run, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def head_of(sock: socket.socket) -> bytes:
    """A request's or an answer's head, and what has come with it."""
    said = b""
    while b"\r\n\r\n" not in said and (data := sock.recv(65536)):
        said += data
    return said
