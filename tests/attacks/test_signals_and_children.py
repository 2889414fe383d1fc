"""No task outlives its end: not by ignoring signals, by hiding its children, or by breaking its init."""

import asyncio
import os
import time
from collections.abc import Callable

import psutil
import pytest

from lan_session_manager.engine.base import Job, Lease
from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.sandbox.box import TASK_UID, user_range
from lan_session_manager.states import Reason
from tests.attacks.tries import HELPERS, run_python, wait_for_words
from tests.integration.sandbox.room import Ran, Room

pytestmark = pytest.mark.root

PATIENCE_S = 20.0
READY = "print('ready', flush=True)\n"
IGNORE = "for number in set(range(1, 65)) - {9, 19, 32, 33}:\n    signal.signal(number, signal.SIG_IGN)\n"
# Fills the code of the first process with nothing to do and a jump to itself at the end: it never does anything again.
FREEZE_INIT = """
memory = os.open("/proc/1/mem", os.O_RDWR)
for line in open("/proc/1/maps").read().splitlines():
    if " r-xp " in line and "[" not in line:
        first, end = (int(number, 16) for number in line.split()[0].split("-"))
        if os.uname().machine == "x86_64":
            code = b"\\x90" * (end - first - 2) + b"\\xeb\\xfe"
        else:
            code = b"\\x00\\x00\\x00\\x14" * ((end - first) // 4)
        os.pwrite(memory, code, first)
        print("written", flush=True)
"""


def _living(room: Room, session: str = "10_0_0_1") -> list[psutil.Process]:
    """The host's processes with the user id of a session's tasks."""
    uid = os.stat(room.workspace(session)).st_uid
    assert uid >= user_range(0) + TASK_UID
    found = []
    for process in psutil.process_iter(["uids", "status"]):
        uids = process.info["uids"]
        if uids is not None and uids.real == uid and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def _attack(
    room: Room,
    runtime: str,
    program: str,
    then: Callable[[LocalEngine, Job, Lease], object] | None = None,
    **limits: float,
) -> Ran:
    """Run a program until it says that it is ready, cancel it unless `then` does something else, and wait."""
    job = room.job("/usr/bin/python3", "-c", HELPERS + program, limits=limits or None)
    came: list[Ran] = []

    async def work(engine: LocalEngine) -> None:
        lease = await engine.start(job)
        said = await wait_for_words(engine, job, "ready")
        assert "ready" in said, said
        if then is None:
            await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        else:
            then(engine, job, lease)
        came.append(room.printed(engine, job, await asyncio.wait_for(engine.ended(job.task_id), PATIENCE_S)))

    room.with_engine(work, runtime)
    assert _living(room) == []
    return came[0]


def _nothing(engine: LocalEngine, job: Job, lease: Lease) -> None:
    """Leave the task to itself."""


def test_a_task_that_ignores_every_signal_is_stopped(room: Room, runtime: str) -> None:
    ran = _attack(room, runtime, IGNORE + READY + "time.sleep(60)")
    assert (ran.ending.reason, ran.code) == (Reason.CANCELLED_BY_USER, 137)


def test_a_task_that_ignores_every_signal_is_stopped_at_its_time_limit(room: Room, runtime: str) -> None:
    ran = _attack(room, runtime, IGNORE + READY + "time.sleep(60)", _nothing, time_s=0.5)
    assert (ran.ending.reason, ran.code) == (Reason.TIME_LIMIT, 137)


def test_a_task_that_stops_itself_is_ended_at_its_time_limit(room: Room, runtime: str) -> None:
    ran = _attack(room, runtime, READY + "os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(60)", _nothing, time_s=0.5)
    assert (ran.ending.reason, ran.code) == (Reason.TIME_LIMIT, 137)


def test_a_task_that_is_born_again_at_every_signal_is_stopped_whole(room: Room, runtime: str) -> None:
    program = """
def again(number, frame):
    if os.fork():
        os._exit(0)
signal.signal(signal.SIGTERM, again)
os.setsid() if os.fork() == 0 else time.sleep(60)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
    ran = _attack(room, runtime, program)
    assert ran.ending.reason is Reason.CANCELLED_BY_USER


def test_a_daemon_dies_with_its_task(room: Room, runtime: str) -> None:
    program = """
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in range(64):
        try:
            os.close(number)
        except OSError:
            pass
    for number in set(range(1, 65)) - {9, 19, 32, 33}:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(60)
    os._exit(0)
os.wait()
print("ready", flush=True)
os._exit(4)
"""
    ran = _attack(room, runtime, program, _nothing)
    assert (ran.ending.reason, ran.code) == (Reason.EXIT, 4)


def test_a_child_that_keeps_the_output_open_does_not_hold_back_the_end(room: Room, runtime: str) -> None:
    begun = time.monotonic()
    ran = _attack(
        room, runtime, "if os.fork() == 0:\n    time.sleep(60)\nprint('ready', flush=True)\nos._exit(3)", _nothing
    )
    assert (ran.ending.reason, ran.code, ran.out) == (Reason.EXIT, 3, "ready\n")
    assert time.monotonic() - begun < 55  # the child's own end


def test_a_task_cannot_stop_or_kill_its_init(room: Room, runtime: str) -> None:
    program = """
for number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGKILL):
    os.kill(1, number)
state = next(line for line in open("/proc/1/status") if line.startswith("State"))
print("ready", state.split()[1] in "SR", flush=True)
os._exit(6)
"""
    ran = _attack(room, runtime, program, _nothing)
    assert (ran.ending.reason, ran.code, ran.out) == (Reason.EXIT, 6, "ready True\n")


def test_a_signal_to_everybody_reaches_only_the_box(room: Room, runtime: str) -> None:
    bystander = psutil.Process()
    program = """
if os.fork() == 0:
    signal.pause()
print("ready", flush=True)
time.sleep(0.1)
os.kill(-1, signal.SIGKILL)
os._exit(2)
"""
    ran = _attack(room, runtime, program, _nothing)
    assert (ran.ending.reason, ran.code) == (Reason.EXIT, 2)  # the sender is spared, its children are not
    assert bystander.is_running()


def test_a_task_that_kills_its_own_group_harms_only_itself(room: Room, runtime: str) -> None:
    ran = _attack(room, runtime, READY + "time.sleep(0.1)\nos.killpg(0, signal.SIGKILL)\ntime.sleep(60)", _nothing)
    assert ran.ending.reason is Reason.SIGNAL
    assert (ran.code, ran.ending.detail[:7]) == (137, "SIGKILL")


def test_a_task_cannot_signal_its_monitor_or_any_process_of_the_host(room: Room, runtime: str) -> None:
    program = """
print("ready", flush=True)
while not os.path.exists("pids"):
    time.sleep(0.02)
time.sleep(0.05)
for pid in map(int, open("pids").read().split()):
    for attack in (lambda: os.kill(pid, 0), lambda: os.kill(pid, 9), lambda: os.close(os.pidfd_open(pid))):
        try:
            attack()
            print("done")
        except OSError as error:
            print(name_of(error))
os._exit(7)
"""

    def tell(engine: LocalEngine, job: Job, lease: Lease) -> None:
        # No process of a box has these numbers: its namespace has just begun to count.
        pids = [pid for pid in (lease.monitor_pid, lease.box_pid, os.getpid()) if pid > 100]
        assert pids
        made = room.workspace() / "pids.new"
        made.write_text(" ".join(map(str, pids)))
        made.chmod(0o644)
        made.rename(room.workspace() / "pids")

    ran = _attack(room, runtime, program, tell)
    (room.workspace() / "pids").unlink()
    assert (ran.ending.reason, ran.code) == (Reason.EXIT, 7)
    assert set(ran.out.split()) == {"ready", "ESRCH"}


def test_a_task_that_takes_over_its_init_is_cancelled_all_the_same(room: Room, runtime: str) -> None:
    ran = _attack(room, runtime, FREEZE_INIT + READY + "os._exit(0)")
    assert "written" in ran.out
    assert (ran.ending.reason, ran.code) == (Reason.CANCELLED_BY_USER, 137)


def test_a_task_that_takes_over_its_init_is_ended_at_its_time_limit(room: Room, runtime: str) -> None:
    ran = _attack(room, runtime, FREEZE_INIT + READY + "os._exit(0)", _nothing, time_s=0.5)
    assert "written" in ran.out
    assert (ran.ending.reason, ran.code) == (Reason.TIME_LIMIT, 137)


def test_a_task_that_breaks_its_init_ends_itself(room: Room, runtime: str) -> None:
    broken = FREEZE_INIT.replace("memory, code, first", "memory, bytes(end - first), first")
    ran = _attack(room, runtime, broken + READY + "os._exit(0)", _nothing)
    assert "written" in ran.out
    assert ran.ending.reason in (Reason.SIGNAL, Reason.EXIT)
    assert ran.code != 0


def test_a_task_cannot_write_lines_of_its_log_in_the_name_of_another_stream(room: Room, runtime: str) -> None:
    forged = "2026-01-01T00:00:00.000000000+00:00 stderr F forged"
    ran = run_python(room, f"os.write(1, b'x\\n{forged}\\nP' + b'\\n' * 3)", runtime=runtime)
    assert (ran.out, ran.err) == (f"x\n{forged}\nP\n\n\n", "")


def test_a_task_cannot_end_its_log_by_playing_with_its_pipes(room: Room, runtime: str) -> None:
    program = """
for number in (0, 1, 2):
    fcntl.fcntl(number, fcntl.F_SETFL, os.O_NONBLOCK)
    fcntl.fcntl(number, 1031, 4096)  # F_SETPIPE_SZ
kept = []
for number in (0, 1, 2):
    try:
        kept.append(os.open(f"/proc/self/fd/{number}", os.O_RDWR))  # both ends of a pipe in one hand
    except PermissionError:
        pass
if os.fork() == 0:
    time.sleep(60)
os.write(1, b"all of it")
os._exit(9)
"""
    ran = run_python(room, program, runtime=runtime)
    assert (ran.out, ran.err, ran.ending.reason, ran.code) == ("all of it", "", Reason.EXIT, 9)
