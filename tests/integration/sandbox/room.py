"""What the tests of boxes share: an engine over a data directory of its own, and short ways to run something."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from lan_session_manager.engine.base import Ending, Job, SessionLimits, TaskLimits
from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.logs import LogFile
from lan_session_manager.sandbox import host
from lan_session_manager.sandbox.box import TASK_UID, group_id, user_range
from lan_session_manager.sandbox.boxes import Boxes, instance_id
from lan_session_manager.sandbox.cgroups import TREE, find_cgroups
from lan_session_manager.sandbox.runtime import find_runtimes

MB = 1024 * 1024
GRACE_S = 0.5
# Others for each process that runs tests beside this one: what counts by user id counts its own boxes alone.
FIRST_SLOT = 100 * (1 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")))
LIMITS = TaskLimits(memory_bytes=256 * MB, pids=64, time_s=30, file_bytes=64 * MB, log_bytes=MB)
SESSION_LIMITS = SessionLimits(memory_bytes=1024 * MB, pids=256, cpu_cores=2.0)


@dataclass(frozen=True)
class Ran:
    """A task that has ended, and what it printed."""

    ending: Ending
    out: str
    err: str

    @property
    def code(self) -> int | None:
        return self.ending.exit_code


class Room:
    """A data directory; its sessions are made as they are named, each with a range of user ids of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._slots: dict[str, int] = {}
        self._numbers = count(1)
        (data_dir / "shared").mkdir(parents=True)
        (data_dir / ".lan_session_manager").mkdir(mode=0o700)

    def workspace(self, session: str = "10_0_0_1", slot: int | None = None) -> Path:
        """The workspace of a session; at the first call with a range of user ids by its number."""
        path = self.data_dir / session
        if session not in self._slots:
            self._slots[session] = FIRST_SLOT + len(self._slots) if slot is None else slot
            owner = user_range(self._slots[session]) + TASK_UID
            path.mkdir(mode=0o700)
            os.chown(path, owner, owner)
        return path

    def job(self, *argv: str, session: str = "10_0_0_1", limits: dict[str, Any] | None = None, **more: Any) -> Job:
        """A task that has not started. `limits` are changes to LIMITS, `more` are changes to SESSION_LIMITS."""
        self.workspace(session)
        return Job(
            task_id=f"user_{session}_task_{next(self._numbers):03}",
            workspace=session,
            user_slot=self._slots[session],
            argv=argv,
            limits=replace(LIMITS, **(limits or {})),
            session_limits=replace(SESSION_LIMITS, **more),
        )

    @asynccontextmanager
    async def engine(self, runtime: str = "") -> AsyncIterator[LocalEngine]:
        """A prepared engine over the directory."""
        engine = LocalEngine(LocalConfig(self.data_dir, runtime, GRACE_S))
        await engine.prepare()
        try:
            yield engine
        finally:
            await engine.close()

    async def ran(self, engine: LocalEngine, job: Job) -> Ran:
        """Start a task, wait for its end, and read its log."""
        await engine.start(job)
        return self.printed(engine, job, await engine.ended(job.task_id))

    def printed(self, engine: LocalEngine, job: Job, ending: Ending) -> Ran:
        """What a task that has ended printed."""
        log, pieces, after = LogFile(engine.log_path(job.task_id)), [], 0
        while found := log.read(after):
            pieces += found
            after = found[-1].next
        out, err = (
            b"".join(piece.data for piece in pieces if piece.stream == stream).decode(errors="replace")
            for stream in ("stdout", "stderr")
        )
        return Ran(ending, out, err)

    def with_engine(self, work: Callable[[LocalEngine], Awaitable[None]], runtime: str = "") -> None:
        """Run `work` with an engine, in an event loop of its own."""

        async def main() -> None:
            async with self.engine(runtime) as engine:
                await work(engine)

        asyncio.run(main())

    def run(self, *argv: str, runtime: str = "", **more: Any) -> Ran:
        """Run one task to its end."""
        return self.run_job(self.job(*argv, **more), runtime)

    def run_job(self, job: Job, runtime: str = "") -> Ran:
        """Run one task to its end."""

        async def main() -> Ran:
            async with self.engine(runtime) as engine:
                return await self.ran(engine, job)

        return asyncio.run(main())

    def sh(self, script: str, **more: Any) -> Ran:
        """Run one shell script to its end."""
        return self.run("/bin/bash", "-c", script, **more)

    def python(self, program: str, *args: str, **more: Any) -> Ran:
        """Run one Python program to its end."""
        return self.run("/usr/bin/python3", "-c", program, *args, **more)

    def cgroups(self, controller: str, session: str) -> list[Path]:
        """The cgroup of a session in the hierarchy of a controller, if it exists."""
        found = [
            mount.point / TREE / instance_id(self.data_dir) / group_id(session)
            for mount in host.read_mounts()
            if (mount.kind == "cgroup" and controller in mount.options) or mount.kind == "cgroup2"
        ]
        return [path for path in found if path.exists()]

    def groups(self) -> set[str]:
        """The groups that the kernel has for this directory."""
        return find_cgroups(instance_id(self.data_dir), host.read_mounts()).groups()

    def remove(self) -> None:
        """Kill and remove every box, and what the host keeps of the directory's instance."""

        def work() -> None:
            for runtime in find_runtimes():
                boxes = Boxes(instance_id(self.data_dir), self.data_dir / ".lan_session_manager", runtime)
                boxes.prepare()
                boxes.remove_all()

        with ThreadPoolExecutor(1, initializer=host.enter_private_mounts) as pool:
            pool.submit(work).result()
