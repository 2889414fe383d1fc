"""What a task printed is followed, resumed and forgotten."""

import asyncio
from dataclasses import replace

import pytest

from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.errors import StillActiveError
from tests.integration.sandbox.engines import box_dir
from tests.integration.sandbox.room import Room

pytestmark = pytest.mark.root


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
        assert not box_dir(room, job).exists()
        with pytest.raises(KeyError):
            await engine.ended(job.task_id)
        await engine.forget(job.task_id)

    room.with_engine(work)


def test_files_of_a_task_are_the_servers_alone(room: Room) -> None:
    job = room.job("true")

    async def work(engine: LocalEngine) -> None:
        await room.ran(engine, job)

    room.with_engine(work)
    for path in (box_dir(room, job).parent, box_dir(room, job)):
        assert (path.stat().st_uid, path.stat().st_mode & 0o077) == (0, 0)
