"""The proxies of all tasks, in an event loop and a thread of their own: what they carry holds up nothing else."""

import asyncio
import logging
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from types import MappingProxyType

from lan_session_manager.destinations import Profile
from lan_session_manager.egress.journal import Journal
from lan_session_manager.egress.places import Places
from lan_session_manager.egress.proxy import Bounds, Means, TaskProxy
from lan_session_manager.egress.resolver import Closed, IsClosed, Resolve, addresses_of

_log = logging.getLogger(__name__)

_NO_PROFILES: Mapping[str, Profile] = MappingProxyType({})
_SHUT_S = 5.0


class Egress:
    """The way out for the tasks of this server, by the network profiles of its settings.

    `resolve` and `is_closed` are how names become addresses and which addresses nobody may reach; None: by the
    machine's resolver, and everything that is not the internet. Every method is for any thread, and none waits for the
    network. The thread is started with the first proxy.
    """

    def __init__(
        self,
        profiles: Mapping[str, Profile] = _NO_PROFILES,
        *,
        bounds: Bounds | None = None,
        resolve: Resolve | None = None,
        is_closed: IsClosed | None = None,
    ) -> None:
        self.journal = Journal()
        self._profiles = profiles
        self._bounds = bounds or Bounds()
        self._resolve = resolve
        self._is_closed = is_closed
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._means: Means | None = None
        self._proxies: dict[str, asyncio.Task[None]] = {}  # of the thread alone

    def open(self, task_id: str, session: str, network: str, listener: socket.socket) -> None:
        """Serve a task of a session at a socket that listens in its network namespace, the proxy's own from now on.

        A profile that the settings do not have opens nothing.
        """
        profile = self._profiles.get(network) or Profile(network)
        with self._lock:
            loop = self._running()
        loop.call_soon_threadsafe(self._open, task_id, session, profile, listener)

    def close(self, task_id: str) -> None:
        """Close the task's listener and all its connections; nothing happens if it has none."""
        with self._lock:
            loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._close, task_id)

    def shut(self) -> None:
        """Close everything and end the thread; the journal stays. Tasks go on, without a network."""
        with self._lock:
            thread, loop, self._thread, self._loop = self._thread, self._loop, None, None
        if thread is not None and loop is not None:
            loop.call_soon_threadsafe(self._stop.set)
            thread.join(_SHUT_S)

    def _running(self) -> asyncio.AbstractEventLoop:
        """The loop of the thread, which is started if need be. The caller has the lock."""
        if self._loop is None:
            ready: Future[asyncio.AbstractEventLoop] = Future()
            self._thread = threading.Thread(target=self._run, args=(ready,), name="egress", daemon=True)
            self._thread.start()
            self._loop = ready.result()
        return self._loop

    def _run(self, ready: "Future[asyncio.AbstractEventLoop]") -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve(ready))

    async def _serve(self, ready: "Future[asyncio.AbstractEventLoop]") -> None:
        self._stop = asyncio.Event()
        self._means = Means(
            resolve=self._resolve or addresses_of,
            is_closed=self._is_closed or Closed(),
            journal=self.journal,
            bounds=self._bounds,
            places=Places(self._bounds.all_connections),
            names=Places(self._bounds.all_names),
        )
        ready.set_result(asyncio.get_running_loop())
        await self._stop.wait()
        proxies = list(self._proxies.values())
        for proxy in proxies:
            proxy.cancel()
        if proxies:
            await asyncio.wait(proxies)

    def _open(self, task_id: str, session: str, profile: Profile, listener: socket.socket) -> None:
        self._close(task_id)
        if self._means is None or self._stop.is_set():
            listener.close()
            return
        proxy = asyncio.create_task(TaskProxy(task_id, session, profile, listener, self._means).run())
        self._proxies[task_id] = proxy
        proxy.add_done_callback(lambda done: self._done(task_id, listener, done))

    def _close(self, task_id: str) -> None:
        if proxy := self._proxies.pop(task_id, None):
            proxy.cancel()

    def _done(self, task_id: str, listener: socket.socket, proxy: "asyncio.Task[None]") -> None:
        listener.close()  # one that was cancelled before its first step has not
        if self._proxies.get(task_id) is proxy:
            del self._proxies[task_id]
        if not proxy.cancelled() and (error := proxy.exception()):
            _log.error("the proxy of %s met a fault", task_id, exc_info=error)
