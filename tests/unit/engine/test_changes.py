"""Nobody who follows a file is left waiting."""

import asyncio
import os
from pathlib import Path

from lan_session_manager.engine import inotify
from lan_session_manager.engine.changes import FileChanges


def test_a_write_is_heard_by_those_who_watch_that_file(tmp_path: Path) -> None:
    async def work() -> None:
        heard, other = asyncio.Event(), asyncio.Event()
        (tmp_path / "log").write_text("")
        (tmp_path / "other").write_text("")
        files = FileChanges()
        with files.watch(tmp_path / "log", heard), files.watch(tmp_path / "other", other):
            (tmp_path / "log").write_text("more")
            async with asyncio.timeout(10):
                await heard.wait()
            assert not other.is_set()
        files.close()

    asyncio.run(work())


def test_when_the_kernel_lost_something_everybody_looks_again(tmp_path: Path) -> None:
    async def work() -> None:
        first, second = asyncio.Event(), asyncio.Event()
        (tmp_path / "first").write_text("")
        (tmp_path / "second").write_text("")
        files = FileChanges()
        with files.watch(tmp_path / "first", first), files.watch(tmp_path / "second", second):
            told, tell = os.pipe()
            kernel, files._inotify._fd = files._inotify._fd, told
            os.write(tell, inotify._EVENT.pack(-1, 0x4000, 0, 0))  # IN_Q_OVERFLOW
            files._hear()
            files._inotify._fd = kernel
            os.close(told)
            os.close(tell)
            assert first.is_set()
            assert second.is_set()
        files.close()

    asyncio.run(work())
