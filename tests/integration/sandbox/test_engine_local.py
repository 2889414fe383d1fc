"""The engine starts every task once, in a box of its own, and knows its end."""

import asyncio
import errno
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from lan_session_manager.engine.base import BoxStartError, Engine
from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.sandbox import host, monitor
from lan_session_manager.states import Reason
from tests.integration.failing import mortal_runtime
from tests.integration.sandbox.engines import PATIENCE_S, box_dir
from tests.integration.sandbox.room import Room

pytestmark = pytest.mark.root


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
        assert (ran.ending.reason, ran.code, ran.ending.detail) == (
            Reason.SIGNAL, 128 + number, f"SIG{name}, or exit code {128 + number} of its own: these look alike.",
        )  # fmt: skip


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
            assert not box_dir(room, broken).exists()
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


def test_a_thread_that_gets_no_mounts_of_its_own_once_gets_them_later(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter, failed = host.enter_private_mounts, False

    def fails_once() -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise OSError(errno.ENOSPC, "no space left")
        enter()

    async def main() -> None:
        engine = LocalEngine(LocalConfig(room.data_dir))
        monkeypatch.setattr(host, "enter_private_mounts", fails_once)
        with pytest.raises(OSError, match="no space"):
            await engine.prepare()
        await engine.prepare()
        await engine.close()

    asyncio.run(main())


def test_a_box_whose_runtime_dies_once_it_is_made_is_given_up_and_leaves_nothing(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The monitor waits for the words of the runtime, whose end of the pipe the box has as well.
    monkeypatch.setattr(monitor, "_PATIENCE_S", 1.0)
    runtime, mode = mortal_runtime(tmp_path)
    job = room.job("touch", "ran")

    async def work(engine: LocalEngine) -> None:
        mode.write_text("create after\n")
        with pytest.raises(BoxStartError, match=r"^The task could not be started: .*\."):
            await engine.start(job)
        assert not box_dir(room, job).exists()
        mode.write_text("never\n")
        await engine.release(job.workspace)
        assert not room.groups()
        assert not (room.workspace() / "ran").exists()
        assert (await room.ran(engine, job)).code == 0

    room.with_engine(work, str(runtime))
