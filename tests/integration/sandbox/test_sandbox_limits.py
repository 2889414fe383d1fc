"""What a task may use at most holds, and a task that wants more harms itself and nobody else."""

import asyncio
import contextlib
import re
from dataclasses import replace

import pytest

from lan_session_manager.engine.base import BoxStartError
from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.states import Reason
from tests.integration.sandbox.room import MB, Room

pytestmark = pytest.mark.root

EAT = "import sys\nkept = bytearray(int(sys.argv[1]))\nprint('got it')\n"
FORK_BOMB = "bomb() { bomb | bomb & }; bomb; sleep 60"


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_task_that_takes_too_much_memory_is_stopped_and_says_why(room: Room, runtime: str) -> None:
    ran = room.python(EAT, str(200 * MB), limits={"memory_bytes": 64 * MB}, runtime=runtime)
    assert ran.out == ""
    assert (ran.ending.reason, ran.code, ran.ending.child_out_of_memory) == (Reason.OUT_OF_MEMORY, 137, False)
    assert 60 * MB < ran.ending.usage.memory_peak_bytes <= 64 * MB


def test_a_child_that_is_stopped_for_memory_is_told_of_though_the_task_ends_well(room: Room) -> None:
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {EAT!r}, '{200 * MB}'])\nprint('over')\n"
    ran = room.python(program, limits={"memory_bytes": 64 * MB})
    assert (ran.out, ran.ending.reason, ran.code) == ("over\n", Reason.EXIT, 0)
    assert ran.ending.child_out_of_memory


def test_files_in_tmp_count_as_memory_and_have_a_bound_of_their_own(room: Room) -> None:
    ran = room.sh("head -c 100M /dev/zero > /tmp/x; echo $?; stat -c %s /tmp/x", limits={"memory_bytes": 64 * MB})
    assert ran.out.split() == ["1", str(32 * MB)]
    assert "No space left" in ran.err
    assert ran.ending.usage.memory_peak_bytes > 30 * MB


def test_the_tasks_of_a_session_share_its_memory_and_one_of_them_is_stopped(room: Room) -> None:
    hold = EAT + "import time\nsys.stdout.flush()\ntime.sleep(1.5)\n"
    jobs = [
        room.job("/usr/bin/python3", "-c", hold, str(80 * MB), limits={"memory_bytes": 120 * MB}, memory_bytes=120 * MB)
        for _ in range(2)
    ]

    async def work(engine: LocalEngine) -> None:
        ran = await asyncio.gather(*(room.ran(engine, job) for job in jobs))
        assert sorted(one.ending.reason for one in ran) == [Reason.EXIT, Reason.OUT_OF_MEMORY]

    room.with_engine(work)


def test_a_fork_bomb_is_held_cancelled_whole_and_the_neighbour_starts(room: Room) -> None:
    bomb = room.job("/bin/bash", "-c", FORK_BOMB, limits={"pids": 40}, session="10_0_0_1")
    neighbour = room.job("/bin/bash", "-c", "echo neighbour", session="10_0_0_2")

    async def work(engine: LocalEngine) -> None:
        await engine.start(bomb)
        follower = engine.follow(bomb.task_id, 0)
        said = b""
        while b"Resource temporarily unavailable" not in said:
            said += (await anext(follower)).data
        await follower.aclose()
        assert (await room.ran(engine, neighbour)).out == "neighbour\n"
        await engine.cancel(bomb.task_id, Reason.CANCELLED_BY_USER)
        ending = await asyncio.wait_for(engine.ended(bomb.task_id), 20)
        assert ending.reason is Reason.CANCELLED_BY_USER
        await engine.release("10_0_0_1")
        assert not list(room.cgroups("pids", "10_0_0_1"))

    room.with_engine(work)


def test_a_session_without_processes_left_says_so_to_its_next_task(room: Room) -> None:
    hold = room.job("/bin/bash", "-c", "for i in {1..60}; do sleep 60 & done; echo held; wait", pids=30)
    following = room.job("/bin/bash", "-c", "echo next", pids=30)

    async def work(engine: LocalEngine) -> None:
        await engine.start(hold)
        follower = engine.follow(hold.task_id, 0)
        said = b""
        while b"temporarily unavailable" not in said:
            said += (await anext(follower)).data
        await follower.aclose()
        # One runtime needs a thread more than the other: the box is not made, or its program does not begin.
        with contextlib.suppress(BoxStartError):
            ran = await room.ran(engine, following)
            assert ran.code != 0
            assert ran.out == ""
            assert "temporarily unavailable" in ran.err

    room.with_engine(work)


def test_a_task_that_runs_too_long_is_stopped_and_says_why(room: Room) -> None:
    ran = room.sh("echo begun; sleep 60; echo over", limits={"time_s": 0.3})
    assert (ran.out, ran.ending.reason, ran.code) == ("begun\n", Reason.TIME_LIMIT, 143)


def test_a_session_gets_no_more_than_its_share_of_the_processor(room: Room) -> None:
    burn = "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    ran = room.python(burn, cpu_cores=0.25)
    assert float(ran.out) < 0.5  # a quarter of a second, and what the kernel gives ahead at both ends
    assert 0.1 < ran.ending.usage.cpu_s < 0.6


def test_a_log_keeps_its_beginning_and_is_bounded_while_the_task_goes_on(room: Room) -> None:
    ran = room.sh("for i in {1..20000}; do echo line $i of some length; done; exit 4", limits={"log_bytes": 64 * 1024})
    assert ran.code == 4
    assert ran.out.startswith("line 1 of some length\n")
    assert len(ran.out) < 64 * 1024
    assert re.fullmatch(r"(line \d+ of some length\n)+(line.*)?", ran.out)


def test_limits_of_a_session_can_be_changed_while_a_task_of_it_runs(room: Room) -> None:
    first = room.job("sleep", "60")
    more, less = (
        replace(room.job("true"), session_limits=replace(first.session_limits, memory_bytes=size * MB, pids=size))
        for size in (2048, 128)
    )

    async def work(engine: LocalEngine) -> None:
        await engine.start(first)
        for job, size in ((more, 2048), (less, 128)):
            assert (await room.ran(engine, job)).code == 0
            [group] = room.cgroups("memory", "10_0_0_1")
            if (group / "memory.limit_in_bytes").exists():
                assert int((group / "memory.limit_in_bytes").read_text()) == size * MB
            else:
                assert int((group / "memory.max").read_text()) == size * MB

    room.with_engine(work)
