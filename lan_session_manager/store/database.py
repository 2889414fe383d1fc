"""The database file: connections, migrations, and one writer thread that commits the jobs of many callers at once.

WAL, so that reads never wait for writes; `synchronous=FULL`, so that what was answered is on disk. Several processes
may have the same file open: each has a writer of its own, and SQLite's lock lets them take turns.
"""

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import Any, TypeVar

from lan_session_manager.errors import BusyError, StorageError
from lan_session_manager.store.faults import readable
from lan_session_manager.store.reads import Reads
from lan_session_manager.store.schema import bring_up_to_date
from lan_session_manager.store.writes import Transaction

T = TypeVar("T")

_LOCK_WAIT_MS = 30_000  # a writer of another process may hold the lock for a while; a foreign tool even longer
_WAITING_JOBS = 4096
_BATCH = 256


class Store:
    """One database file, for all threads of this process. It does not survive a fork: open it after."""

    def __init__(self, path: Path) -> None:
        """Open or make the database; its directory is there.

        Raises StorageError, NewerDatabaseError and UpgradeError.
        """
        self._path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._readers: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._jobs: queue.Queue[tuple[Callable[[Transaction], Any], Future[Any]] | None] = queue.Queue(_WAITING_JOBS)
        self._listeners: list[Callable[[], None]] = []
        self._writer: threading.Thread | None = None
        self._closed = False
        try:
            with contextlib.closing(self._connect()) as connection:
                bring_up_to_date(connection, path)
        except sqlite3.Error as error:
            raise StorageError from error

    def close(self) -> None:
        """Carry out what waits, then close every connection. Later calls raise BusyError."""
        with self._lock:
            self._closed = True
            writer = self._writer
        if writer:
            self._jobs.put(None)
            writer.join()
        with self._lock:
            for _, connection in self._readers:
                connection.close()
            self._readers.clear()

    def write(self, job: Callable[[Transaction], T]) -> Future[T]:
        """Have the writer thread run `job` in a transaction; the future is done when its result is on disk.

        A job that raises changes nothing, and its error is the future's. A commit that fails fails every job of its
        batch with StorageError or BusyError. Raises BusyError when too many jobs wait already.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise BusyError
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_for_ever, name="store-writer", daemon=True)
                self._writer.start()
            try:
                self._jobs.put_nowait((job, future))
            except queue.Full:
                raise BusyError from None
        return future

    @property
    def read(self) -> Reads:
        """Reads for the calling thread, over a connection of its own."""
        reads: Reads | None = getattr(self._local, "reads", None)
        if reads is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            with self._lock:
                if self._closed:
                    connection.close()
                    raise BusyError
                self._keep(connection)
            reads = self._local.reads = Reads(connection)
        return reads

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` in the writer thread after each commit of this process; it must be quick and not raise."""
        self._listeners.append(listener)

    def version(self) -> int:
        """A number that changes when another connection, of this or another process, has committed."""
        connection = getattr(self._local, "versions", None)
        if connection is None:
            connection = self._local.versions = self._connect()
            with self._lock:
                self._keep(connection)
        try:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise readable(error) from error

    def _keep(self, connection: sqlite3.Connection) -> None:
        """Close it with the store; those of threads that have ended are closed now. The caller has the lock."""
        for thread, old in self._readers:
            if not thread.is_alive():
                old.close()
        self._readers = [(thread, old) for thread, old in self._readers if thread.is_alive()]
        self._readers.append((threading.current_thread(), connection))

    def _connect(self) -> sqlite3.Connection:
        with contextlib.ExitStack() as unless_made:
            try:
                # Closed by the thread that calls close(), hence check_same_thread; each has one thread all the same.
                connection = sqlite3.connect(
                    self._path,
                    timeout=_LOCK_WAIT_MS / 1000,
                    isolation_level=None,
                    check_same_thread=False,
                    cached_statements=256,
                )
                unless_made.callback(connection.close)
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
            except sqlite3.Error as error:
                raise readable(error) from error
            unless_made.pop_all()
        return connection

    def _write_for_ever(self) -> None:
        connection: sqlite3.Connection | None = None
        while (first := self._jobs.get()) is not None:
            batch, last = [first], False
            while len(batch) < _BATCH:
                try:
                    more = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                    break
                batch.append(more)
            try:
                connection = connection or self._connect()
                _run_batch(connection, batch)
            except BaseException as error:  # noqa: BLE001 - whatever it is, each caller of the batch must hear of it
                for _, future in batch:
                    with contextlib.suppress(InvalidStateError):  # it has its answer, or is given up in this moment
                        future.set_exception(readable(error))
            for listener in self._listeners:
                listener()
            if last:
                break
        if connection:
            connection.close()


def _run_batch(connection: sqlite3.Connection, batch: list[tuple[Callable[[Transaction], Any], Future[Any]]]) -> None:
    transaction = Transaction(connection)
    done: list[tuple[Future[Any], Any]] = []
    refused: list[tuple[Future[Any], BaseException]] = []
    connection.execute("BEGIN IMMEDIATE")
    try:
        for job, future in batch:
            if not future.set_running_or_notify_cancel():
                continue
            connection.execute("SAVEPOINT job")
            try:
                result = job(transaction)
            except Exception as error:
                if (
                    not connection.in_transaction
                ):  # a full disk may end the whole transaction: then nobody's job is kept
                    raise
                connection.execute("ROLLBACK TO job")
                connection.execute("RELEASE job")
                refused.append((future, readable(error)))
            else:
                connection.execute("RELEASE job")
                done.append((future, result))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    for future, result in done:
        future.set_result(result)
    for future, reason in refused:  # now: what a job was refused for may be the work of another one of its batch
        future.set_exception(reason)
