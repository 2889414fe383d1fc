"""A log keeps its beginning and its end, costs no more disk than it may, and nobody who keeps up misses anything."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from lan_session_manager.engine.base import Job, Lease
from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.logs import GAP, LogFile, LogPiece, segments
from lan_session_manager.sandbox.box import opaque_id
from lan_session_manager.states import Reason
from tests.integration.sandbox.room import MB, Room

PATIENCE_S = 60.0
FLOOD = """
import os
lines = [b"%09d " % n + b"x" * 69 + b"\\n" for n in range(2_500_000)]
for n in range(0, len(lines), 800):
    os.write(1, b"".join(lines[n:n + 800]))
print("the end")
"""


def pieces_of(log: LogFile) -> list[LogPiece]:
    pieces: list[LogPiece] = []
    while got := log.read(pieces[-1].next if pieces else 0):
        assert got[0].after == (pieces[-1].next if pieces else 0)
        pieces += got
    return pieces


def box_dir(engine: LocalEngine, job: Job) -> Path:
    return engine.log_path(job.task_id).parent


def disk(directory: Path) -> int:
    """What the files below a directory take, each once, and not those that vanish meanwhile."""
    found: dict[int, int] = {}
    for where, _, names in os.walk(directory):
        for path in (where, *(f"{where}/{name}" for name in names)):
            try:
                info = os.lstat(path)
            except FileNotFoundError:
                continue
            found[info.st_ino] = info.st_blocks * 512
    return sum(found.values())


async def most_disk(engine: LocalEngine, job: Job) -> int:
    """The most that was seen until the task ended."""
    most, ended = 0, asyncio.ensure_future(engine.ended(job.task_id))
    while not ended.done():
        most = max(most, disk(box_dir(engine, job)))
        await asyncio.sleep(0.01)
    return max(most, disk(box_dir(engine, job)))


def check_numbers(pieces: list[LogPiece], last: int) -> int:
    """The lines of a FLOOD are whole and in order, from the first one to `last`. Gives the number of gaps."""
    runs = [b""]
    for piece in pieces:
        if piece.stream == GAP:
            runs.append(b"")
        else:
            runs[-1] += piece.data
    at = -1
    for run in runs:
        found = [int(line) for line in re.findall(rb"^(\d{9}) x{69}$", run, re.MULTILINE)]
        if found:  # a short one may begin and end within a line
            assert found == list(range(found[0], found[0] + len(found)))
            assert found[0] > at
            at = found[-1]
    assert runs[0].startswith(b"000000000 ")
    assert at == last
    return len(runs) - 1


def test_a_log_keeps_its_beginning_and_its_end_while_the_task_goes_on(room: Room) -> None:
    ran = room.sh("for i in {1..20000}; do echo line $i of some length; done; exit 4", limits={"log_bytes": 64 * 1024})
    assert ran.code == 4
    assert ran.out.startswith("line 1 of some length\n")
    assert ran.out.endswith("line 20000 of some length\n")
    assert len(ran.out) < 64 * 1024
    assert "more than its log may hold" in ran.ending.detail


def test_200_mb_at_full_speed_stay_below_3_mb_and_the_task_does_not_notice(room: Room) -> None:
    limits = {"log_bytes": 3 * MB, "memory_bytes": 900 * MB, "time_s": 100}
    job = room.job("/usr/bin/python3", "-c", FLOOD, limits=limits)

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        heard: list[LogPiece] = []

        async def follow() -> None:
            async for piece in engine.follow(job.task_id, 0):
                assert piece.after == (heard[-1].next if heard else 0)
                heard.append(piece)

        follower = asyncio.create_task(follow())
        assert await most_disk(engine, job) < 3 * MB
        ending = await engine.ended(job.task_id)
        assert (ending.reason, ending.exit_code) == (Reason.EXIT, 0)
        await asyncio.wait_for(follower, PATIENCE_S)
        check_numbers(heard, 2_499_999)
        assert heard[-1].data.endswith(b"the end\n")
        pieces = pieces_of(LogFile(engine.log_path(job.task_id)))
        assert check_numbers(pieces, 2_499_999) == 1
        assert await engine.log_size(job.task_id) == pieces[-1].next == heard[-1].next
        [gap] = [piece for piece in pieces if piece.stream == GAP]
        assert re.search(r"about (1[89]|2[01])\d\.\d MB", gap.data.decode())

    room.with_engine(work)


@pytest.mark.parametrize("is_watched", [True, False])
def test_single_bytes_cost_no_more_disk_than_a_log_may(room: Room, is_watched: bool) -> None:
    script = "import os\nfor n in range(1_500_000): os.write(1 + n % 2, b'.')"
    job = room.job("/usr/bin/python3", "-c", script, limits={"log_bytes": MB})

    async def work(engine: LocalEngine) -> None:
        if not is_watched:
            engine._tender.begin = lambda *_: None  # type: ignore[method-assign]
        await engine.start(job)
        assert await most_disk(engine, job) < MB
        streams = [piece.stream for piece in pieces_of(LogFile(engine.log_path(job.task_id)))]
        assert streams.count(GAP) == 1

    room.with_engine(work)


def test_whoever_keeps_up_hears_everything_through_many_segments(room: Room) -> None:
    script = "for i in {1..40}; do printf '%010000d\\n' $i; while [ ! -e go$i ]; do sleep 0.005; done; done"
    job = room.job("/bin/bash", "-c", script, limits={"log_bytes": 64 * 1024})

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        heard: list[LogPiece] = []
        async for piece in engine.follow(job.task_id, 0):
            heard.append(piece)
            if piece.next % 10_001 == 0:
                (room.workspace() / f"go{piece.next // 10_001}").touch()
        assert {piece.stream for piece in heard} == {"stdout"}
        assert b"".join(piece.data for piece in heard) == b"".join(b"%010000d\n" % n for n in range(1, 41))
        assert await engine.log_size(job.task_id) == 40 * 10_001
        assert [piece.stream for piece in pieces_of(LogFile(engine.log_path(job.task_id)))].count(GAP) == 1

    room.with_engine(work)


_SERVER = """
import asyncio, sys
from pathlib import Path
from tests.integration.sandbox.room import Room
from lan_session_manager.engine.base import *
from lan_session_manager.engine.local import LocalConfig, LocalEngine

async def main():
    engine = LocalEngine(LocalConfig(Path(sys.argv[1])))
    await engine.prepare()
    print(repr(await engine.start(eval(sys.argv[2]))), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_server_killed_amid_new_segments_leaves_a_log_that_the_next_one_goes_on_with(room: Room) -> None:
    script = """
import os, time
n = 0
while not os.path.exists("stop"):
    os.write(1, b"".join(b"%09d " % k + b"x" * 69 + b"\\n" for k in range(n, n + 50)))
    n += 50
    time.sleep(0.001)
"""
    job = room.job("/usr/bin/python3", "-c", script, limits={"log_bytes": MB})
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(room.data_dir), repr(job)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    lease = server.stdout.readline()
    directory = room.data_dir / ".lan_session_manager" / "boxes" / opaque_id(job.task_id)

    def wait_for_number(number: int) -> None:
        end = time.monotonic() + PATIENCE_S
        while segments.kept(directory)[-1].number < number:
            assert time.monotonic() < end
            time.sleep(0.001)

    wait_for_number(5)
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    before = LogFile(directory / "log").size()
    head = pieces_of(LogFile(directory / "log"))[0]
    time.sleep(0.5)  # the task prints some segments that nobody sees
    assert disk(directory) < MB

    async def work(engine: LocalEngine) -> None:
        assert await engine.adopt(eval(lease, {"Lease": Lease}))  # noqa: S307 -- what our own process printed
        follower = engine.follow(job.task_id, before)
        heard = [await asyncio.wait_for(anext(follower), PATIENCE_S)]
        assert heard[0].after == before
        while len(heard) < 100:
            heard.append(await asyncio.wait_for(anext(follower), PATIENCE_S))
        (room.workspace() / "stop").touch()
        heard += [piece async for piece in follower]
        assert all(one.next == two.after for one, two in pairwise(heard))
        assert GAP in [piece.stream for piece in heard]
        pieces = pieces_of(LogFile(engine.log_path(job.task_id)))
        assert pieces[0].data[:1000] == head.data[:1000]
        last = int(pieces[-1].data.splitlines()[-1][:9])
        assert check_numbers(pieces, last) == 1
        assert disk(directory) < MB

    room.with_engine(work)


def test_a_log_that_ended_while_no_server_ran_is_read_with_its_end(room: Room) -> None:
    job = room.job("/usr/bin/python3", "-c", FLOOD.replace("2_500_000", "250_000"), limits={"log_bytes": MB})

    async def first(engine: LocalEngine) -> None:
        engine._tender.begin = lambda *_: None  # type: ignore[method-assign]
        await engine.start(job)
        await engine.ended(job.task_id)

    async def later(engine: LocalEngine) -> None:
        pieces = pieces_of(LogFile(engine.log_path(job.task_id)))
        assert check_numbers(pieces, 249_999) == 1
        assert pieces[-1].data.endswith(b"the end\n")
        [gap] = [piece for piece in pieces if piece.stream == GAP]
        assert "an unknown amount" in gap.data.decode()
        await engine.forget(job.task_id)
        assert not box_dir(engine, job).exists()

    room.with_engine(first)
    room.with_engine(later)
