"""A server that is killed and comes back at the same ports over the same directory."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.boxes import instance_id
from tests.crash.plan import Blow, Hit
from tests.server import ROOT, Server, free_ports, remove_leftovers

_START_S = 120.0
_STOP_S = 30.0
_LOOK_S = 0.02
_MOMENT_S = 5.0  # for which a blow waits at most that belongs to a moment
ENVIRONMENT = {"LSM_SLOTS": "4", "LSM_QUEUE_BOUND": "5000", "LSM_TASK_MEMORY_MB": "64"}


class Revenant:
    """The server of a crash test. Its devices tell it when they begin to submit, and when they have the answer."""

    def __init__(self, place: Path, environment: Mapping[str, str] = ENVIRONMENT) -> None:
        """`environment` is added to its environment, without which its settings are as they come."""
        self._place = place
        self._environment = environment
        self.data_dir = place / "user_sessions"
        self.port, self.ws_port = free_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = place / "server.log"
        self._submits = asyncio.Event()
        self._answered = asyncio.Event()
        self._dies_with_the_answer = False
        self.blows: dict[Blow, int] = dict.fromkeys(Blow, 0)
        self.back_s: list[float] = []  # from each beginning of a start to the first answer
        self.stop_s: list[float] = []  # how long it took to stop when it was asked to
        self.killed_boxes: set[str] = set()  # whose monitors were killed
        self._process: subprocess.Popen[bytes] | None = None
        self._run_dir = launcher.run_dir() / instance_id(self.data_dir)

    def spawn(self) -> None:
        """Begin a start."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LSM_")}
        command = [sys.executable, str(ROOT / "session_web_server.py"), "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "--ws-port", str(self.ws_port), "--data-dir", str(self.data_dir)],
                env=clean | dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._place,
            )

    async def come_back(self) -> None:
        """Start, and wait until it answers. Raises AssertionError if it does not."""
        begun = time.monotonic()
        self.spawn()
        await self.serving()
        self.back_s.append(time.monotonic() - begun)

    async def serving(self) -> None:
        """Wait until it answers. Raises AssertionError if it does not."""
        end = time.monotonic() + _START_S
        async with httpx.AsyncClient(base_url=self.url, timeout=5) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/api/system/health")).status_code == 200:
                        return
                assert self._process is not None
                assert self._process.poll() is None, f"the server has ended by itself:\n{self.output[-4000:]}"
                assert time.monotonic() < end, f"the server does not answer:\n{self.output[-4000:]}"
                await asyncio.sleep(_LOOK_S)

    async def suffer(self, hit: Hit) -> None:
        """Take one blow, and serve again after it."""
        await asyncio.sleep(hit.after_s)
        match hit.blow:
            case Blow.MONITOR:
                if self._kill_monitor(hit.pick):
                    self.blows[hit.blow] += 1
                return
            case Blow.STOP:
                self.stop_s.append(await self.stopped())
            case Blow.SUBMIT:
                await _next(self._submits)
                await asyncio.sleep(hit.delay_s)
                await self.kill9()
            case Blow.ANSWERED:
                self._dies_with_the_answer = True
                await _next(self._answered)
                await self.kill9()
            case Blow.SERVING:
                await self.kill9()
            case Blow.STARTING:
                await self.kill9()
                self.spawn()
                await asyncio.sleep(hit.delay_s)
                await self.kill9()
        self.blows[hit.blow] += 1
        await asyncio.sleep(hit.away_s)
        await self.come_back()

    def submits(self) -> None:
        """A device begins to submit."""
        self._submits.set()

    def answered(self) -> None:
        """A device has the answer to a submit: what it says is true from now on, whatever becomes of the server."""
        if self._dies_with_the_answer and self._process is not None:
            self._process.kill()
        self._answered.set()

    async def kill9(self) -> None:
        """End it as a crash does."""
        self._dies_with_the_answer = False
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.wait, _STOP_S)

    async def stopped(self) -> float:
        """Ask it to stop, and give how many seconds that took. Raises AssertionError if it does not."""
        assert self._process is not None
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not stop:\n{self.output[-4000:]}") from None
        return time.monotonic() - begun

    def monitors(self) -> dict[str, psutil.Process]:
        """The monitors of this server's boxes, by the box's id."""
        found = {}
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                if process.name() != "conmon":
                    continue
                words = process.cmdline()
                if any(word.startswith(f"{self._run_dir}/") for word in words):
                    found[words[words.index("--cid") + 1]] = process
        return found

    def _kill_monitor(self, pick: float) -> bool:
        boxes = self.data_dir / ".lan_session_manager" / "boxes"
        of_tasks = sorted(item for item in self.monitors().items() if (boxes / item[0] / "started.json").exists())
        if not of_tasks:
            return False
        box_id, monitor = of_tasks[int(pick * len(of_tasks))]
        self.killed_boxes.add(box_id)
        with contextlib.suppress(psutil.NoSuchProcess):
            monitor.kill()
        return True

    @property
    def output(self) -> str:
        """All that the servers have printed."""
        return self.log.read_text(errors="replace")

    @property
    def server(self) -> Server:
        """The server as other tests know it."""
        assert self._process is not None
        return Server(self._process, self.port, self.ws_port, self.url, self.data_dir, self.log)

    def remove(self) -> None:
        """End it and everything of it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(_STOP_S)
        remove_leftovers(self.data_dir)


async def _next(event: asyncio.Event) -> None:
    event.clear()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), _MOMENT_S)
