"""What the proxies tell of their connections, kept in memory until somebody writes it down."""

import threading
from dataclasses import dataclass, replace

from lan_session_manager.states import Verdict

_MOST = 5_000  # connections that wait to be written down one by one: about 2 MB


@dataclass(frozen=True)
class Connection:
    """A connection that a task tried to make. Times are Unix times in seconds.

    With the verdict MORE it is `more` connections that there was no room to keep one by one.
    """

    key: str  # unique over all tasks and servers
    task_id: str
    started_at: float
    host: str = ""
    port: int = 0  # 0: not known
    address: str = ""  # empty: it did not come to one
    verdict: Verdict = Verdict.STOPPED
    bytes_sent: int = 0  # by the task
    bytes_received: int = 0
    ended_at: float | None = None  # None: it goes on
    more: int = 0


class Journal:
    """The connections of all tasks since the last `take`. For any thread; nothing in it waits for a disk.

    What is not taken stays bounded: from then on connections are counted by task and not kept one by one.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[str, Connection] = {}  # by key
        self._open: set[str] = set()  # keys of those that were kept and go on
        self._more: dict[str, Connection] = {}  # by task

    def note(self, connection: Connection) -> None:
        """Keep what a connection has become; a later note with the same key takes the place of an earlier one."""
        key, goes_on = connection.key, connection.ended_at is None
        with self._lock:
            if key in self._waiting or key in self._open or len(self._waiting) < self._most:
                self._waiting[key] = connection
                (self._open.add if goes_on else self._open.discard)(key)
            elif not goes_on:
                self._count(connection)

    def _count(self, one: Connection) -> None:
        known = self._more.get(one.task_id)
        self._more[one.task_id] = replace(
            known or Connection("", one.task_id, one.started_at, verdict=Verdict.MORE),
            bytes_sent=one.bytes_sent + (known.bytes_sent if known else 0),
            bytes_received=one.bytes_received + (known.bytes_received if known else 0),
            ended_at=one.ended_at,
            more=1 + (known.more if known else 0),
        )

    def take(self) -> list[Connection]:
        """All that was noted since the last time, in its order."""
        with self._lock:
            taken = [*self._waiting.values(), *self._more.values()]
            self._waiting, self._more = {}, {}
        return taken
