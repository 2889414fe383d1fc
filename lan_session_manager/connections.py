"""Writes down every connection that tasks try to make, some at once, and shows them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from lan_session_manager.activity import iso
from lan_session_manager.egress.journal import Connection, Journal
from lan_session_manager.store import Store
from lan_session_manager.store.records import ConnectionRecord, NewConnection

_EACH_S = 0.5


class ConnectionLog:
    """From the proxies' journal to the database. For the process of the server."""

    def __init__(self, store: Store, journal: Journal, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._taken: list[Connection] = []  # and not on disk yet
        self._begun = False  # the connections of an earlier server have their end

    async def run(self) -> None:
        """Write down what there is, twice a second, until cancelled.

        Raises StorageError or BusyError where that fails; what was to be written is tried again with the next call.
        """
        if not self._begun:
            await asyncio.wrap_future(self._store.write(lambda tx: tx.end_connections(self._clock())))
            self._begun = True
        while True:
            await self.flush()
            await asyncio.sleep(_EACH_S)

    async def flush(self) -> None:
        """Write down what there is. Raises like `run`."""
        self._taken = self._taken or self._journal.take()
        if self._taken:
            noted = [NewConnection(**asdict(one)) for one in self._taken]
            await asyncio.wrap_future(self._store.write(lambda tx: tx.note_connections(noted)))
            self._taken = []


def connection_view(connection: ConnectionRecord) -> dict[str, Any]:
    """A connection as the owner of its task and the owner of the machine see it."""
    return {
        "task_id": connection.task_id,
        "session_id": connection.session_id,
        "host": connection.host,
        "port": connection.port or None,
        "address": connection.address or None,
        "verdict": str(connection.verdict),
        "bytes_sent": connection.bytes_sent,
        "bytes_received": connection.bytes_received,
        "started_at": iso(connection.started_at),
        "ended_at": iso(connection.ended_at),
        "more": connection.more,
    }
