"""What a task may use at most holds, and a task that wants more harms itself and nobody else."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from lan_session_manager.engine.base import BoxStartError
from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.states import Reason
from tests.integration.sandbox.room import MB, Room

pytestmark = pytest.mark.root

EAT = "import sys\nkept = bytearray(int(sys.argv[1]))\nprint('got it')\n"
FILL_SOCKETS = """
import socket, sys
held, total = [], 0
try:
    if sys.argv[1] == "udp":
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.setblocking(False)
        for _ in range(900):
            taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            taker.bind(("127.0.0.1", 0))
            held.append(taker)
            for _ in range(3):
                out.sendto(b"x" * 60000, taker.getsockname())
        for taker in held:
            taker.setblocking(False)
            try:
                while True:
                    total += len(taker.recv(65536))
            except BlockingIOError:
                pass
    else:
        server = socket.create_server(("127.0.0.1", 0))
        for _ in range(60):
            giver = socket.create_connection(server.getsockname(), timeout=1)
            held += [giver, server.accept()[0]]
            giver.setblocking(False)
            try:
                while True:
                    total += giver.send(b"x" * 65536)
            except BlockingIOError:
                pass
except OSError:
    pass
print(total)
"""
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


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_what_waits_in_sockets_is_held_by_the_memory_limit(room: Room, kind: str) -> None:
    ran = room.python(FILL_SOCKETS, kind, limits={"memory_bytes": 64 * MB})
    assert ran.code in (0, 137)  # where the kernel counts it as memory the task may be ended for it
    assert ran.code == 137 or 0 < int(ran.out) < 64 * MB


def test_what_the_kernel_counts_for_root_is_held_in_each_box(room: Room) -> None:
    program = (
        "import ctypes, re\nlibc = ctypes.CDLL(None)\n"
        "print(sum(libc.inotify_init() >= 0 for _ in range(200)))\n"
        "limits = open('/proc/self/limits').read()\n"
        "for name in ('Max pending signals', 'Max msgqueue size'):\n"
        "    print(re.search(name + r'\\s+(\\d+)', limits)[1])\n"
        "print(open('/proc/sys/user/max_user_namespaces').read().strip())\n"
    )
    assert room.python(program).out.split() == ["8", "1024", "262144", "0"]


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


# Not bash: it tries again for 15 s when it cannot fork.
FORKS = "exec dash -c 'for i in $(seq 60); do sleep 60 & done; exit 1'"


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_task_that_failed_is_told_that_it_met_its_limit_of_processes(room: Room, runtime: str) -> None:
    ran = room.sh(FORKS, limits={"pids": 40}, runtime=runtime)
    assert (ran.ending.reason, ran.ending.detail) == (
        Reason.EXIT,
        "The task met its limit of 40 processes and threads.",
    )


def test_a_task_that_failed_is_told_that_its_session_met_its_limit_of_processes(room: Room) -> None:
    ran = room.sh(FORKS, pids=40)
    assert ran.ending.detail == "The session's tasks together met their limit of processes and threads."


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_task_that_may_write_nothing_can_delete_and_print(room: Room, runtime: str) -> None:
    (room.workspace() / "old").write_bytes(b"x")
    (room.workspace() / "old").chmod(0o666)
    ran = room.sh("rm -f old; echo gone; ls; exec echo more > new", limits={"file_bytes": 0}, runtime=runtime)
    assert (ran.out, ran.ending.reason, ran.code) == ("gone\n", Reason.DISK_QUOTA, 153)
    assert (room.workspace() / "new").stat().st_size == 0


def test_what_a_task_holds_open_without_a_name_is_counted(room: Room) -> None:
    hide = "exec 3> gone; rm gone; head -c 5M /dev/zero >&3; echo hidden; sleep 60"
    job = room.job("/bin/bash", "-c", hide)

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        follower = engine.follow(job.task_id, 0)
        assert (await anext(follower)).data == b"hidden\n"
        await follower.aclose()
        assert await engine.unlinked_bytes(job.task_id) == 5 * MB
        await engine.cancel(job.task_id, Reason.DISK_QUOTA)
        assert (await asyncio.wait_for(engine.ended(job.task_id), 20)).reason is Reason.DISK_QUOTA
        assert await engine.unlinked_bytes(job.task_id) == 0

    room.with_engine(work)


def test_a_task_that_is_stopped_for_the_disk_gets_no_grace(room: Room) -> None:
    job = room.job("/bin/bash", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")

    async def work(engine: LocalEngine) -> None:
        engine._config = replace(engine._config, grace_s=60.0)
        await engine.start(job)
        follower = engine.follow(job.task_id, 0)
        assert (await anext(follower)).data == b"ready\n"
        await follower.aclose()
        await engine.cancel(job.task_id, Reason.DISK_QUOTA)
        assert (await asyncio.wait_for(engine.ended(job.task_id), 20)).exit_code == 137

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


def test_a_lower_limit_of_a_session_ends_no_task_that_runs(room: Room) -> None:
    program = EAT + "sys.stdout.flush()\nimport os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\n"
    holds = room.job("/usr/bin/python3", "-c", program, str(100 * MB), memory_bytes=512 * MB)
    less = replace(room.job("true"), session_limits=replace(holds.session_limits, memory_bytes=64 * MB))

    async def work(engine: LocalEngine) -> None:
        await engine.start(holds)
        follower = engine.follow(holds.task_id, 0)
        assert (await anext(follower)).data.startswith(b"got it")
        await follower.aclose()
        assert (await room.ran(engine, less)).code == 0
        (room.workspace() / "go").touch()
        ending = await engine.ended(holds.task_id)
        assert (ending.reason, ending.exit_code, ending.child_out_of_memory) == (Reason.EXIT, 0, False)

    room.with_engine(work)


def test_a_session_gets_no_more_than_its_share_of_the_processor(room: Room) -> None:
    burn = """
import time

begun, end = time.process_time(), time.monotonic() + 1
while time.monotonic() < end:
    pass
print(time.process_time() - begun)
"""
    ran = room.python(burn, cpu_cores=0.25)
    assert float(ran.out) < 0.5  # a quarter of a second, and what the kernel gives ahead at both ends
    assert float(ran.out) < ran.ending.usage.cpu_s < 0.5 + 1  # the interpreter's own start is in it


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
