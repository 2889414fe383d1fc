"""Large logs are counted before anybody looks, while they grow and when they have ended."""

import asyncio
import time
from pathlib import Path

import pytest

from lan_session_manager.engine import indexer
from lan_session_manager.engine.indexer import LogIndexer
from lan_session_manager.engine.readers import LogReaders
from lan_session_manager.logs import LogFile, files
from tests.unit.logs.test_logs import raw

_PATIENCE_S = 30


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a task, large enough for what is large here."""
    monkeypatch.setattr(indexer, "_LOOK_S", 0.01)
    monkeypatch.setattr(indexer, "_MUCH", 10_000)
    monkeypatch.setattr(indexer, "_STEP", 70_000)
    monkeypatch.setattr(files, "_KEPT", 10_000)
    path = tmp_path / "log"
    path.write_bytes(raw([("stdout", "F", b"x" * 54)] * 5_000))
    return path


async def _has_index(log: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not log.with_name("index").exists() or LogFile(log).unseen() >= 10_000:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def test_a_log_is_counted_while_it_grows_and_after_its_end(log: Path) -> None:
    async def scenario() -> None:
        readers = LogReaders(lambda _: 0)
        counting = LogIndexer(readers)
        try:
            counting.begin(log)
            await _has_index(log)
            assert not readers.is_read(log)
            with log.open("ab") as file:
                file.write(raw([("stderr", "F", b"y" * 54)] * 5_000))
            counting.end(log)
            await _has_index(log)
        finally:
            await counting.close()

    asyncio.run(scenario())
    assert LogFile(log).size() == 10_000 * 55


def test_a_log_that_is_left_alone_gets_no_index(log: Path) -> None:
    async def scenario() -> None:
        counting, other = LogIndexer(LogReaders(lambda _: 0)), log.parent / "other" / "log"
        other.parent.mkdir()
        other.write_bytes(log.read_bytes())
        try:
            counting.begin(log)
            await counting.leave(log)
            counting.end(log)
            counting.begin(other)
            await _has_index(other)
        finally:
            await counting.close()

    asyncio.run(scenario())
    assert not log.with_name("index").exists()
