"""Limits that a task has of its own, beside those of its session; and that an end has the reason that it had."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from lan_session_manager.engine.base import Job
from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.engine.records import Records
from lan_session_manager.logs import REMOVED
from lan_session_manager.sandbox.box import opaque_id
from lan_session_manager.states import Reason
from tests.integration.sandbox.engines import PATIENCE_S, box_dir, until_printed, wait
from tests.integration.sandbox.room import MB, Room

pytestmark = pytest.mark.root

BURN = "while [ ! -e enough ]; do :; done"


def _cpu(room: Room, job: Job) -> tuple[dict[str, int], int | None]:
    """What the kernel counts of a box's processor time, and its quota in microseconds for each 0.1 s, if any."""
    [group] = room.cgroups("cpu", job.workspace)
    box = group / opaque_id(job.task_id)
    counts = {name: int(number) for name, number in map(str.split, (box / "cpu.stat").read_text().splitlines())}
    v1 = box / "cpu.cfs_quota_us"
    quota = v1.read_text().strip() if v1.exists() else (box / "cpu.max").read_text().split()[0]
    return counts, None if quota in ("-1", "max") else int(quota)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_task_is_held_at_its_own_share_of_the_processor_and_its_neighbour_is_not(room: Room, runtime: str) -> None:
    held = room.job("/bin/bash", "-c", f"echo go; {BURN}", limits={"cpu_cores": 0.1}, cpu_cores=4.0)
    free = room.job("/bin/bash", "-c", f"echo go; {BURN}", cpu_cores=4.0)

    async def work(engine: LocalEngine) -> None:
        await asyncio.gather(engine.start(held), engine.start(free))
        await asyncio.gather(until_printed(engine, held, b"go"), until_printed(engine, free, b"go"))
        await asyncio.to_thread(wait, lambda: _cpu(room, held)[0]["nr_throttled"])
        assert _cpu(room, held)[1] == 10_000
        counts, quota = _cpu(room, free)
        assert quota is None
        assert counts["nr_throttled"] == 0
        (room.workspace() / "enough").touch()
        for job in (held, free):
            assert (await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)).exit_code == 0

    room.with_engine(work, runtime)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_more_processor_than_the_session_has_is_what_the_session_has(room: Room, runtime: str) -> None:
    job = room.job("/bin/bash", "-c", "echo go; sleep 60", limits={"cpu_cores": 2.0}, cpu_cores=0.5)

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        assert _cpu(room, job)[1] == 50_000
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)

    room.with_engine(work, runtime)


def test_a_session_gets_less_processor_while_a_task_with_a_share_of_its_own_runs(room: Room) -> None:
    runs = room.job("/bin/bash", "-c", "echo go; sleep 60", limits={"cpu_cores": 1.5}, cpu_cores=2.0)
    later = replace(room.job("true"), session_limits=replace(runs.session_limits, cpu_cores=0.5))
    more = replace(room.job("true"), session_limits=replace(runs.session_limits, cpu_cores=1.0))

    async def work(engine: LocalEngine) -> None:
        await engine.start(runs)
        assert (await room.ran(engine, later)).code == 0
        assert _cpu(room, runs)[1] in (50_000, 150_000)  # version 2 lets it stand above its session's
        assert (await room.ran(engine, more)).code == 0
        await engine.cancel(runs.task_id, Reason.CANCELLED_BY_USER)

    room.with_engine(work)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_no_process_of_a_task_has_more_files_open_than_it_may(room: Room, runtime: str) -> None:
    program = (
        "import os, resource\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))\n"
        "opened = []\n"
        "try:\n"
        "    while True: opened.append(os.open('/dev/null', os.O_RDONLY))\n"
        "except OSError as error:\n"
        "    print(soft, hard, len(opened) + 3, error.strerror)\n"
    )
    ran = room.python(program, limits={"open_files": 1500}, runtime=runtime)
    assert ran.out == "1024 1500 1500 Too many open files\n"
    assert room.python(program, limits={"open_files": 100}, runtime=runtime).out.startswith("100 100 ")


def test_a_cancel_that_comes_after_the_end_does_not_change_it(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "exit 3")

    async def work(engine: LocalEngine) -> None:
        held = await engine._run(engine._keeper.make, job)
        await asyncio.to_thread(wait, lambda: list((box_dir(room, job) / "exits").glob("[!.]*")))
        await asyncio.sleep(0.1)
        # As by a server that hears of both at once: the wish is noted, and then the end is looked at.
        engine._watch(held)
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        ending = await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)
        assert (ending.reason, ending.exit_code) == (Reason.EXIT, 3)

    room.with_engine(work)


def test_who_is_stopped_first_for_the_time_and_then_by_somebody_ran_too_long(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "trap '' TERM; echo go; sleep 60 & wait; sleep 60", limits={"time_s": 0.3})

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        records = Records(box_dir(room, job))
        await asyncio.to_thread(wait, records.stop)
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        assert (await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)).reason is Reason.TIME_LIMIT

    room.with_engine(work)


@pytest.mark.parametrize(
    ("script", "reason", "code", "detail"),
    [
        ("exit 137", Reason.SIGNAL, 137, "SIGKILL"),  # a shell says the same of a program that was killed
        ("exit 128", Reason.EXIT, 128, ""),
        ("exit 255", Reason.EXIT, 255, ""),
        ("kill -XFSZ $$", Reason.DISK_QUOTA, 153, "A file would have grown"),
        ("ulimit -t 1; while :; do :; done", Reason.SIGNAL, None, ""),  # a limit that it set itself
    ],
)
def test_the_reason_of_an_end_is_what_the_kernel_says(
    room: Room, script: str, reason: Reason, code: int | None, detail: str
) -> None:
    ending = room.sh(script).ending
    assert ending.reason is reason
    assert code is None or ending.exit_code == code
    assert ending.detail.startswith(detail)


def test_a_log_that_is_dropped_says_so_and_takes_next_to_nothing(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "head -c 500000 /dev/zero | tr '\\0' x | fold", limits={"log_bytes": 8 * MB})

    async def work(engine: LocalEngine) -> None:
        await room.ran(engine, job)
        before = await engine.kept_bytes(job.task_id)
        assert before > 500_000
        size = await engine.log_size(job.task_id)
        left = await engine.drop_log(job.task_id)
        assert left == await engine.kept_bytes(job.task_id) <= 16 * 1024
        assert size > await engine.log_size(job.task_id) == len(REMOVED)
        assert [piece.data async for piece in engine.follow(job.task_id, 0)] == [REMOVED]
        assert await engine.drop_log(job.task_id) == left
        await engine.forget(job.task_id)
        assert await engine.kept_bytes(job.task_id) == await engine.drop_log(job.task_id) == 0

    room.with_engine(work)


def test_what_is_kept_of_a_task_is_the_blocks_of_all_its_files(room: Room) -> None:
    job = room.job("true")

    async def work(engine: LocalEngine) -> None:
        await room.ran(engine, job)
        (box_dir(room, job) / "exits" / "more").write_bytes(bytes(3 * MB))
        sparse: Path = box_dir(room, job) / "sparse"
        sparse.touch()
        os.truncate(sparse, 1 << 30)
        assert 3 * MB <= await engine.kept_bytes(job.task_id) < 4 * MB

    room.with_engine(work)


def test_what_a_monitor_spends_on_output_is_the_sessions(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "echo go; sleep 60")

    async def work(engine: LocalEngine) -> None:
        lease = await engine.start(job)
        [group] = room.cgroups("cpu", job.workspace)
        places = [line.rsplit(":", 1)[1] for line in Path(f"/proc/{lease.monitor_pid}/cgroup").read_text().splitlines()]
        held = [place for place in places if group.name in place.split("/")]
        assert held
        assert not [place for place in held if opaque_id(job.task_id) in place]
        # Its memory is not the session's: that would end it together with what takes too much.
        for memory in room.cgroups("memory", job.workspace):
            assert str(lease.monitor_pid) not in [
                pid for file in memory.rglob("cgroup.procs") for pid in file.read_text().split()
            ]
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        await engine.ended(job.task_id)
        await engine.release(job.workspace)
        assert not room.groups()

    room.with_engine(work)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_session_that_floods_its_log_is_held_with_its_monitor(room: Room, runtime: str) -> None:
    flood = room.job("/bin/bash", "-c", "yes", limits={"log_bytes": 64 * 1024}, cpu_cores=0.5)
    other = room.job("/bin/bash", "-c", "exit 5", cpu_cores=0.5)

    async def work(engine: LocalEngine) -> None:
        await engine.start(flood)
        await until_printed(engine, flood, b"y\n")
        assert (await asyncio.wait_for(room.ran(engine, other), PATIENCE_S)).code == 5
        await engine.cancel(flood.task_id, Reason.CANCELLED_BY_USER)
        ending = await asyncio.wait_for(engine.ended(flood.task_id), PATIENCE_S)
        assert ending.reason is Reason.CANCELLED_BY_USER

    room.with_engine(work, runtime)
