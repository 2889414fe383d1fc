"""The end of a log is kept as it comes, with the kernel's own notices of a new file."""

import asyncio
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lan_session_manager.engine import inotify
from lan_session_manager.engine.tender import LogTender
from lan_session_manager.logs import GAP, LogFile, segments
from tests.unit.logs.writer import Writer

SIZE = 64 * 1024


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 -- what is waited for is on the disk
            await asyncio.sleep(0.001)


async def until_kept(writer: Writer) -> None:
    await until(lambda: segments.is_present_kept(writer.directory))


def streams_of(log: LogFile) -> list[str]:
    after, streams = 0, []
    while pieces := log.read(after):
        streams += [piece.stream for piece in pieces]
        after = pieces[-1].next
    return [stream for stream, _ in itertools.groupby(streams)]


def test_each_new_file_is_kept_and_known_to_follow_the_one_before_it(tmp_path: Path) -> None:
    async def work() -> None:
        writer, tending = Writer(tmp_path, SIZE), LogTender()
        tending.begin(tmp_path, lambda: len(writer.printed), lambda: True)
        log, said = LogFile(tmp_path / "log"), b""
        for n in range(20_000):
            writer.write(b"%06d\n" % n)
            if n % 500 == 0:
                await until_kept(writer)
                said += b"".join(piece.data for piece in log.read(len(said)))
        await tending.end(tmp_path)
        while pieces := log.read(len(said)):
            said += b"".join(piece.data for piece in pieces)
        assert said == writer.printed
        assert streams_of(LogFile(tmp_path / "log")) == ["stdout", GAP, "stdout"]
        writer.close()
        await tending.close()

    asyncio.run(work())


def test_files_that_nobody_saw_are_a_gap(tmp_path: Path) -> None:
    async def work() -> None:
        writer, tending = Writer(tmp_path, SIZE), LogTender()
        tending.begin(tmp_path, lambda: len(writer.printed), lambda: True)
        await until_kept(writer)
        await asyncio.sleep(0.05)  # so that its first look is over
        for n in range(4000):
            writer.write(b"%06d\n" % n)
        assert writer.begun > 2
        await tending.end(tmp_path)
        assert streams_of(LogFile(tmp_path / "log")) == ["stdout", GAP, "stdout"]
        assert LogFile(tmp_path / "log").size() == len(writer.printed)
        writer.close()
        await tending.close()

    asyncio.run(work())


def test_after_the_kernel_lost_something_nothing_is_taken_for_whole(tmp_path: Path) -> None:
    async def work() -> None:
        writer, tending = Writer(tmp_path, SIZE), LogTender()
        tending.begin(tmp_path, lambda: None, lambda: True)
        await until_kept(writer)
        await asyncio.sleep(0.05)
        told, tell = os.pipe2(os.O_NONBLOCK)
        kernel, tending._inotify._fd = tending._inotify._fd, told
        os.write(tell, inotify._EVENT.pack(-1, 0x4000, 0, 0))  # IN_Q_OVERFLOW
        while not writer.begun:
            writer.write(b"what comes next\n")
        await tending.end(tmp_path)
        assert kernel is not None
        tending._inotify._fd = kernel
        os.close(told)
        os.close(tell)
        assert streams_of(LogFile(tmp_path / "log")) == ["stdout", GAP, "stdout"]
        writer.close()
        await tending.close()

    asyncio.run(work())


def test_where_the_kernel_cannot_tell_it_is_looked_at_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        writer, tending = Writer(tmp_path, SIZE), LogTender()
        monkeypatch.setattr(tending._inotify, "add", lambda _: None)
        tending.begin(tmp_path, lambda: None, lambda: True)
        for n in range(4000):
            writer.write(b"%06d\n" % n)
        await asyncio.sleep(0)
        await until(lambda: len(segments.kept(tmp_path)) == 2)
        await tending.end(tmp_path)
        assert streams_of(LogFile(tmp_path / "log")) == ["stdout", GAP, "stdout"]
        writer.close()
        await tending.close()

    asyncio.run(work())
