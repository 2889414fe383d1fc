"""The engine finds every task again after the server has died."""

import asyncio
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lan_session_manager.engine.base import Ending, Job, Lease
from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.boxes import Boxes, instance_id
from lan_session_manager.states import Reason
from tests.integration.sandbox.engines import PATIENCE_S, STUBBORN, box_dir, is_alive, until_printed, wait
from tests.integration.sandbox.room import Room

pytestmark = pytest.mark.root


_SERVER = """
import asyncio, json, sys
from dataclasses import asdict
from pathlib import Path
from lan_session_manager.engine.base import Job, SessionLimits, TaskLimits
from lan_session_manager.engine.local import LocalConfig, LocalEngine

async def main():
    engine = LocalEngine(LocalConfig(Path(sys.argv[1])))
    await engine.prepare()
    for text in sys.argv[2:]:
        job = json.loads(text)
        job = Job(**{**job, "argv": tuple(job["argv"]), "limits": TaskLimits(**job["limits"]),
                     "session_limits": SessionLimits(**job["session_limits"])})
        print(json.dumps(asdict(await engine.start(job))), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@contextmanager
def _server_with(room: Room, *jobs: Job) -> Iterator[tuple["subprocess.Popen[str]", list[Lease]]]:
    """An engine in a process of its own that has started the jobs."""
    command = [sys.executable, "-c", _SERVER, str(room.data_dir), *(json.dumps(asdict(job)) for job in jobs)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(root)}) as server:
        assert server.stdout is not None
        try:
            yield server, [Lease(**json.loads(server.stdout.readline())) for _ in jobs]
        finally:
            server.kill()


def test_tasks_outlive_a_server_that_is_killed_and_are_adopted(room: Room) -> None:
    ends = room.job("/bin/bash", "-c", "echo begun; sleep 0.3; echo over; exit 4")
    eats = room.job("/usr/bin/python3", "-c", "kept = bytearray(400 << 20)")
    stays = room.job("/bin/bash", "-c", "echo begun; while [ ! -e go ]; do sleep 0.05; done; echo over; exit 5")
    with _server_with(room, ends, eats, stays) as (server, leases):
        server.kill()
        server.wait()
    wait(lambda: all(list((box_dir(room, job) / "exits").glob("[!.]*")) for job in (ends, eats)))
    ended_before = time.time()

    async def work(engine: LocalEngine) -> None:
        assert [await engine.adopt(lease) for lease in leases] == [True, True, True]
        await engine.sweep()
        ran = room.printed(engine, ends, await engine.ended(ends.task_id))
        assert (ran.ending.reason, ran.code, ran.out) == (Reason.EXIT, 4, "begun\nover\n")
        assert ran.ending.ended_at <= ended_before
        assert ran.ending.usage.cpu_s > 0
        assert (await engine.ended(eats.task_id)).reason is Reason.OUT_OF_MEMORY
        follower = engine.follow(stays.task_id, 0)
        assert (await anext(follower)).data == b"begun\n"
        (room.workspace() / "go").touch()
        assert [piece.data async for piece in follower] == [b"over\n"]
        assert (await engine.ended(stays.task_id)).exit_code == 5

    room.with_engine(work)


def test_an_end_that_is_known_stays_known_for_every_later_server(room: Room) -> None:
    job = room.job("/usr/bin/python3", "-c", "kept = bytearray(400 << 20)")
    seen: list[tuple[Lease, Ending]] = []

    async def first(engine: LocalEngine) -> None:
        seen.append((await engine.start(job), await engine.ended(job.task_id)))

    async def later(engine: LocalEngine) -> None:
        [(lease, ending)] = seen
        assert await engine.adopt(lease)
        assert await engine.start(job) == lease
        assert await engine.ended(job.task_id) == ending

    room.with_engine(first)
    room.with_engine(later)
    room.with_engine(later)


def test_another_task_with_the_id_of_an_earlier_one_is_not_taken_for_it(room: Room) -> None:
    earlier = replace(room.job("/bin/bash", "-c", "echo earlier; exit 1"), accepted_at=100.0)
    job = replace(room.job("/bin/bash", "-c", "echo this"), task_id=earlier.task_id, accepted_at=200.0)
    # What an earlier version keeps does not say of which it is.
    unknown = replace(job, accepted_at=None)

    async def work(engine: LocalEngine, of: Job, code: int) -> None:
        await engine.start(of)
        assert (await engine.ended(of.task_id)).exit_code == code

    for of, code in ((earlier, 1), (earlier, 1), (unknown, 1), (job, 0), (job, 0)):
        room.with_engine(functools.partial(work, of=of, code=code))
    room.with_engine(lambda engine: _has_printed(engine, job, b"this\n"))


async def _has_printed(engine: LocalEngine, job: Job, data: bytes) -> None:
    assert b"".join([piece.data for piece in await engine.read_log(job.task_id, 0, 100)]) == data


def test_a_request_to_stop_survives_the_server_with_its_reason(room: Room) -> None:
    job = room.job("/bin/bash", "-c", STUBBORN)
    leases = []

    async def ask(engine: LocalEngine) -> None:
        leases.append(await engine.start(job))
        await until_printed(engine, job, b"ready")
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_ADMIN)

    async def later(engine: LocalEngine) -> None:
        assert await engine.adopt(leases[0])
        ending = await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)
        assert (ending.reason, ending.exit_code) == (Reason.CANCELLED_BY_ADMIN, 137)

    room.with_engine(ask)
    room.with_engine(later)


def test_a_time_limit_that_passes_while_no_server_runs_holds_at_the_next_start(room: Room) -> None:
    job = room.job("sleep", "60", limits={"time_s": 0.5})
    with _server_with(room, job) as (server, leases):
        server.kill()
        server.wait()
    wait(lambda: time.time() > leases[0].time_limit_at)

    async def work(engine: LocalEngine) -> None:
        assert await engine.adopt(leases[0])
        assert (await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)).reason is Reason.TIME_LIMIT

    room.with_engine(work)


def test_a_box_that_was_made_but_not_started_is_started_by_the_next_server(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = room.job("/bin/bash", "-c", "echo ran")

    async def die_before_the_start(engine: LocalEngine) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Boxes, "start", lambda *_: None)
            await engine.start(job)

    async def later(engine: LocalEngine) -> None:
        ran = await asyncio.wait_for(room.ran(engine, job), PATIENCE_S)
        assert (ran.out, ran.code) == ("ran\n", 0)

    room.with_engine(die_before_the_start)
    room.with_engine(later)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_task_whose_monitor_dies_is_lost_and_all_of_it_ends(room: Room, runtime: str) -> None:
    job = room.job("/bin/bash", "-c", "echo ready; sleep 60")

    async def work(engine: LocalEngine) -> None:
        lease = await engine.start(job)
        await until_printed(engine, job, b"ready")
        os.kill(lease.monitor_pid, signal.SIGKILL)
        ending = await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)
        assert (ending.reason, ending.exit_code) == (Reason.LOST, None)
        assert not is_alive(lease.box_pid)
        await engine.release(job.workspace)
        assert not room.groups()

    room.with_engine(work, runtime)


def test_a_monitor_that_died_with_the_server_is_found_lost_and_all_of_it_ends(room: Room) -> None:
    job = room.job("sleep", "60")
    with _server_with(room, job) as (server, leases):
        server.kill()
        server.wait()
    os.kill(leases[0].monitor_pid, signal.SIGKILL)
    wait(lambda: not is_alive(leases[0].monitor_pid))

    async def work(engine: LocalEngine) -> None:
        assert await engine.adopt(leases[0])
        ending = await engine.ended(job.task_id)
        assert (ending.reason, ending.detail) == (Reason.LOST, "The monitor of the task died.")
        assert not is_alive(leases[0].box_pid)

    room.with_engine(work)


def test_a_task_of_before_the_hosts_restart_is_lost_unless_its_end_was_written(room: Room) -> None:
    ended, cut = room.job("/bin/bash", "-c", "exit 3"), room.job("sleep", "60")
    with _server_with(room, ended, cut) as (server, leases):
        wait(lambda: list((box_dir(room, ended) / "exits").glob("[!.]*")))
        server.kill()
        server.wait()
    os.kill(leases[1].box_pid, signal.SIGKILL)
    wait(lambda: not is_alive(leases[1].monitor_pid))
    # What a restart leaves: no process, nothing in /run, no end of what was cut off, another boot.
    for path in (box_dir(room, cut) / "exits").iterdir():
        path.unlink()
    shutil.rmtree(launcher.run_dir() / instance_id(room.data_dir) / "ends")

    async def work(engine: LocalEngine) -> None:
        (box_dir(room, ended) / "ending.json").unlink(missing_ok=True)
        before = [replace(lease, boot_id="00000000-0000-4000-8000-000000000000") for lease in leases]
        assert [await engine.adopt(lease) for lease in before] == [True, True]
        assert (await engine.ended(ended.task_id)).exit_code == 3
        lost = await engine.ended(cut.task_id)
        assert (lost.reason, lost.detail) == (Reason.LOST, "The machine restarted while the task ran.")

    room.with_engine(work)


def test_another_process_with_the_same_id_is_not_taken_for_the_monitor(room: Room) -> None:
    job = room.job("sleep", "60")
    with _server_with(room, job) as (server, leases), subprocess.Popen(["sleep", "60"]) as bystander:
        try:
            server.kill()
            server.wait()
            os.kill(leases[0].monitor_pid, signal.SIGKILL)
            wait(lambda: not is_alive(leases[0].monitor_pid))

            async def work(engine: LocalEngine) -> None:
                stale = replace(leases[0], monitor_pid=bystander.pid, box_pid=bystander.pid)
                assert await engine.adopt(stale)
                assert (await engine.ended(job.task_id)).reason is Reason.LOST

            room.with_engine(work)
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_a_sweep_ends_what_no_task_owns_and_keeps_the_rest(room: Room) -> None:
    owned, kept, orphan = (room.job("sleep", "60", session=f"10_0_0_{n}") for n in (1, 2, 3))
    with _server_with(room, owned, kept, orphan) as (server, leases):
        server.kill()
        server.wait()

    async def work(engine: LocalEngine) -> None:
        assert await engine.adopt(leases[0])
        await engine.sweep(keep=[kept.task_id])
        assert [is_alive(lease.box_pid) for lease in leases] == [True, True, False]
        wait(lambda: len(room.groups()) == 2)
        assert await engine.start(kept) == leases[1]

    room.with_engine(work)
