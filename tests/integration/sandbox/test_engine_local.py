"""The engine starts, follows, stops and finds again every task, whatever happens to the server meanwhile."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
import uvloop

from lan_session_manager.engine.base import BoxStartError, Ending, Engine, Job, Lease
from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.errors import StillActiveError
from lan_session_manager.sandbox.box import opaque_id
from lan_session_manager.sandbox.boxes import Boxes
from lan_session_manager.states import Reason
from tests.integration.sandbox.room import Room

pytestmark = pytest.mark.root

PATIENCE_S = 20.0
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def _box_dir(room: Room, job: Job) -> Path:
    return room.data_dir / ".lan_session_manager" / "boxes" / opaque_id(job.task_id)


def _wait(wanted: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


async def _until_printed(engine: LocalEngine, job: Job, text: bytes) -> None:
    said, follower = b"", engine.follow(job.task_id, 0)
    async for piece in follower:
        said += piece.data
        if text in said:
            break
    await follower.aclose()
    assert text in said


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_it_is_an_engine() -> None:
    def accept(engine: Engine) -> None: ...

    accept(LocalEngine.__new__(LocalEngine))


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_the_exit_code_and_both_streams_are_the_programs(room: Room, runtime: str) -> None:
    ran = room.sh("echo out; echo err >&2; exit 7", runtime=runtime)
    assert (ran.ending.reason, ran.code, ran.out, ran.err) == (Reason.EXIT, 7, "out\n", "err\n")
    assert ran.ending.usage.cpu_s > 0
    assert ran.ending.usage.memory_peak_bytes > 0
    assert abs(ran.ending.ended_at - time.time()) < PATIENCE_S


def test_a_signal_of_its_own_is_told_by_name(room: Room) -> None:
    for name, number in (("KILL", 9), ("SEGV", 11), ("TERM", 15)):
        ran = room.sh(f"kill -{name} $$; sleep 5")
        assert (ran.ending.reason, ran.code, ran.ending.detail) == (Reason.SIGNAL, 128 + number, f"SIG{name}")


def test_a_program_that_does_not_exist_ends_with_a_readable_line(room: Room) -> None:
    ran = room.run("/nonexistent/program")
    assert (ran.ending.reason, ran.code) == (Reason.EXIT, 1)
    assert "No such file or directory" in ran.err


def test_what_is_left_behind_by_the_main_program_ends_with_it(room: Room) -> None:
    ran = room.sh("setsid sh -c 'sleep 0.5; touch late' & echo $!")
    time.sleep(0.7)
    assert ran.code == 0
    assert not (room.workspace() / "late").exists()


def test_a_data_directory_may_have_any_name(tmp_path: Path) -> None:
    room = Room(tmp_path / "da:ta,dir é 'x'\n%s")
    try:
        assert room.sh("pwd; echo kept > x").out == "/workspace\n"
        assert (room.workspace() / "x").read_text() == "kept\n"
    finally:
        room.remove()


def test_a_second_start_is_the_same_task(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "echo run >> runs; sleep 0.3")

    async def work(engine: LocalEngine) -> None:
        first, second = await asyncio.gather(engine.start(job), engine.start(job))
        assert first == second == await engine.start(job)
        await engine.ended(job.task_id)
        assert await engine.start(job) == first
        assert (await engine.ended(job.task_id)).exit_code == 0

    room.with_engine(work)
    assert (room.workspace() / "runs").read_text() == "run\n"


def test_a_box_that_cannot_be_made_leaves_nothing(room: Room) -> None:
    job = replace(room.job("true"), argv=("a\0b",))
    missing = replace(room.job("true"), workspace="10_9_9_9")

    async def work(engine: LocalEngine) -> None:
        for broken in (job, missing, replace(job, argv=())):
            with pytest.raises(BoxStartError, match=r"^The task could not be started: .*\."):
                await engine.start(broken)
            assert not _box_dir(room, broken).exists()
            with pytest.raises(KeyError):
                await engine.ended(broken.task_id)
            await engine.cancel(broken.task_id, Reason.START_FAILED)
        await engine.release("10_0_0_1")
        assert not room.groups()

    room.with_engine(work)


def test_an_engine_that_is_not_prepared_starts_nothing(room: Room) -> None:
    job = room.job("touch", "x")

    async def main() -> None:
        engine = LocalEngine(LocalConfig(room.data_dir))
        with pytest.raises(BoxStartError, match="no sandbox"):
            await engine.start(job)
        assert await engine.read_log(job.task_id, 0, 100) == []
        await engine.release(job.workspace)
        await engine.close()

    asyncio.run(main())
    assert not (room.workspace() / "x").exists()


def test_ten_tasks_start_at_once(room: Room) -> None:
    jobs = [room.job("/bin/bash", "-c", f"echo {n}; exit {n}", session=f"10_0_0_{n % 3 + 1}") for n in range(10)]

    async def work(engine: LocalEngine) -> None:
        ran = await asyncio.gather(*(room.ran(engine, job) for job in jobs))
        assert [one.code for one in ran] == list(range(10))
        assert [one.out for one in ran] == [f"{n}\n" for n in range(10)]

    room.with_engine(work)


def test_it_works_in_the_loop_of_the_server_and_leaks_no_descriptor(room: Room) -> None:
    jobs = [room.job("/bin/bash", "-c", "echo x; sleep 0.05") for _ in range(6)]

    async def main() -> None:
        async with room.engine() as engine:
            await room.ran(engine, jobs[0])
            assert [piece.data async for piece in engine.follow(jobs[0].task_id, 0)] == [b"x\n"]
            await engine.release(jobs[0].workspace)
            before = len(os.listdir("/proc/self/fd"))
            for job in jobs[1:]:
                await engine.start(job)
                assert b"".join([piece.data async for piece in engine.follow(job.task_id, 0)]) == b"x\n"
                assert (await engine.ended(job.task_id)).exit_code == 0
            await engine.release(jobs[0].workspace)  # waits until the last box is removed
            assert len(os.listdir("/proc/self/fd")) == before

    uvloop.run(main())


def test_a_task_that_hears_the_request_to_stop_may_tidy_up(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "trap 'echo tidy; exit 3' TERM; echo ready; while :; do sleep 0.05; done")

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        await _until_printed(engine, job, b"ready")
        await engine.cancel(job.task_id, Reason.SESSION_ENDED)
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)  # too late: the first reason stays
        ran = room.printed(engine, job, await engine.ended(job.task_id))
        assert (ran.ending.reason, ran.code, ran.out) == (Reason.SESSION_ENDED, 3, "ready\ntidy\n")
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_ADMIN)
        assert (await engine.ended(job.task_id)).reason is Reason.SESSION_ENDED

    room.with_engine(work)


def test_a_task_that_does_not_hear_it_is_stopped_after_the_grace(room: Room) -> None:
    job = room.job("/bin/bash", "-c", STUBBORN)

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        await _until_printed(engine, job, b"ready")
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        ending = await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)
        assert (ending.reason, ending.exit_code) == (Reason.CANCELLED_BY_USER, 137)

    room.with_engine(work)


def test_a_task_is_cancelled_while_it_starts(room: Room) -> None:
    job = room.job("sleep", "60")

    async def work(engine: LocalEngine) -> None:
        starting = asyncio.create_task(engine.start(job))
        await asyncio.sleep(0)
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        await starting
        assert (await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)).reason is Reason.CANCELLED_BY_USER

    room.with_engine(work)


def test_who_stops_waiting_for_a_start_or_an_end_does_not_stop_the_task(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "sleep 0.3; exit 6")

    async def work(engine: LocalEngine) -> None:
        for waiting in (engine.start(job), engine.ended(job.task_id)):
            task = asyncio.create_task(waiting)
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)).exit_code == 6

    room.with_engine(work)


def test_a_log_is_followed_as_it_grows_and_resumed_at_any_byte(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "for i in 1 2 3; do echo line $i; sleep 0.15; done; echo err >&2")

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        pieces = [piece async for piece in engine.follow(job.task_id, 0)]
        assert b"".join(piece.data for piece in pieces) == b"line 1\nline 2\nline 3\nerr\n"
        assert [piece.after for piece in pieces] == [0, *(piece.next for piece in pieces[:-1])]
        assert [piece.stream for piece in pieces] == ["stdout", "stdout", "stdout", "stderr"]
        for after in (0, 3, 21, 25):
            rest = [piece.data async for piece in engine.follow(job.task_id, after)]
            assert b"".join(rest) == b"line 1\nline 2\nline 3\nerr\n"[after:]
        assert await engine.log_size(job.task_id) == 25
        assert (await engine.read_log(job.task_id, 7, 7))[0].data == b"line 2\n"

    room.with_engine(work)


def test_a_flood_is_followed_whole_in_large_pieces(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "seq 100000")

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        pieces = [piece.data async for piece in engine.follow(job.task_id, 0)]
        assert b"".join(pieces) == b"".join(b"%d\n" % n for n in range(1, 100001))
        assert len(pieces) < 200
        assert max(map(len, pieces)) <= 65536

    job = replace(job, limits=replace(job.limits, log_bytes=16 * 1024 * 1024))
    room.with_engine(work)


def test_a_follower_of_a_task_that_starts_sees_all_of_it(room: Room) -> None:
    job = room.job("echo", "x")

    async def work(engine: LocalEngine) -> None:
        starting = asyncio.create_task(engine.start(job))
        await asyncio.sleep(0)
        assert [piece.data async for piece in engine.follow(job.task_id, 0)] == [b"x\n"]
        await starting

    room.with_engine(work)


def test_a_forgotten_task_leaves_nothing_and_an_active_one_is_not_forgotten(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "echo x; sleep 0.3")

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        with pytest.raises(StillActiveError):
            await engine.forget(job.task_id)
        await engine.ended(job.task_id)
        assert engine.log_path(job.task_id).exists()
        await engine.forget(job.task_id)
        assert not _box_dir(room, job).exists()
        with pytest.raises(KeyError):
            await engine.ended(job.task_id)
        await engine.forget(job.task_id)

    room.with_engine(work)


def test_a_session_is_released_once_nothing_of_it_runs(room: Room) -> None:
    job, following = room.job("sleep", "0.3"), room.job("true")

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        await engine.release(job.workspace)
        assert len(room.groups()) == 1
        await engine.ended(job.task_id)
        await engine.release(job.workspace)
        assert not room.groups()
        released, ran = await asyncio.gather(engine.release(job.workspace), room.ran(engine, following))
        assert (released, ran.code) == (None, 0)

    room.with_engine(work)


def test_files_of_a_task_are_the_servers_alone(room: Room) -> None:
    job = room.job("true")

    async def work(engine: LocalEngine) -> None:
        await room.ran(engine, job)

    room.with_engine(work)
    for path in (_box_dir(room, job).parent, _box_dir(room, job)):
        assert (path.stat().st_uid, path.stat().st_mode & 0o077) == (0, 0)


# What follows is about the death of the server.

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
    _wait(lambda: all(list((_box_dir(room, job) / "exits").glob("[!.]*")) for job in (ends, eats)))
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


def test_a_request_to_stop_survives_the_server_with_its_reason(room: Room) -> None:
    job = room.job("/bin/bash", "-c", STUBBORN)
    leases = []

    async def ask(engine: LocalEngine) -> None:
        leases.append(await engine.start(job))
        await _until_printed(engine, job, b"ready")
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
    _wait(lambda: time.time() > leases[0].time_limit_at)

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
        await _until_printed(engine, job, b"ready")
        os.kill(lease.monitor_pid, signal.SIGKILL)
        ending = await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)
        assert (ending.reason, ending.exit_code) == (Reason.LOST, None)
        assert not _is_alive(lease.box_pid)
        await engine.release(job.workspace)
        assert not room.groups()

    room.with_engine(work, runtime)


def test_a_monitor_that_died_with_the_server_is_found_lost_and_all_of_it_ends(room: Room) -> None:
    job = room.job("sleep", "60")
    with _server_with(room, job) as (server, leases):
        server.kill()
        server.wait()
    os.kill(leases[0].monitor_pid, signal.SIGKILL)
    _wait(lambda: not _is_alive(leases[0].monitor_pid))

    async def work(engine: LocalEngine) -> None:
        assert not await engine.adopt(leases[0])
        assert not _is_alive(leases[0].box_pid)

    room.with_engine(work)


def test_a_task_of_before_the_hosts_restart_is_lost_unless_its_end_was_written(room: Room) -> None:
    ended, cut = room.job("/bin/bash", "-c", "exit 3"), room.job("sleep", "60")
    with _server_with(room, ended, cut) as (server, leases):
        _wait(lambda: list((_box_dir(room, ended) / "exits").glob("[!.]*")))
        server.kill()
        server.wait()
    os.kill(leases[1].box_pid, signal.SIGKILL)
    _wait(lambda: not _is_alive(leases[1].monitor_pid))
    # What a restart leaves: no process, nothing in /run, no end of what was cut off, another boot.
    for path in (_box_dir(room, cut) / "exits").iterdir():
        path.unlink()

    async def work(engine: LocalEngine) -> None:
        (_box_dir(room, ended) / "ending.json").unlink(missing_ok=True)
        before = [replace(lease, boot_id="00000000-0000-4000-8000-000000000000") for lease in leases]
        assert [await engine.adopt(lease) for lease in before] == [True, False]
        assert (await engine.ended(ended.task_id)).exit_code == 3

    room.with_engine(work)


def test_another_process_with_the_same_id_is_not_taken_for_the_monitor(room: Room) -> None:
    job = room.job("sleep", "60")
    with _server_with(room, job) as (server, leases), subprocess.Popen(["sleep", "60"]) as bystander:
        try:
            server.kill()
            server.wait()
            os.kill(leases[0].monitor_pid, signal.SIGKILL)
            _wait(lambda: not _is_alive(leases[0].monitor_pid))

            async def work(engine: LocalEngine) -> None:
                stale = replace(leases[0], monitor_pid=bystander.pid, box_pid=bystander.pid)
                assert not await engine.adopt(stale)

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
        assert [_is_alive(lease.box_pid) for lease in leases] == [True, True, False]
        _wait(lambda: len(room.groups()) == 2)
        assert await engine.start(kept) == leases[1]

    room.with_engine(work)
