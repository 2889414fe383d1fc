"""The index of a log is a cache: it saves the counting, and is believed about the file that it is of and no other."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.logs import LogFile
from lan_session_manager.logs.files import RecordFile
from lan_session_manager.logs.index import Index, Place
from lan_session_manager.logs.records import decode, measure
from tests.unit.logs.test_logs import joined, raw, records

LATER = b"2026-11-22T14:08:35.000000000+00:00"


@given(
    records, st.lists(st.sampled_from([b"", b"\n", b"garbage\n", b"2026-11-22T14:08:342026\n", b"no end"]), max_size=3)
)
def test_what_is_counted_is_what_is_decoded(written: list[tuple[str, str, bytes]], garbage: list[bytes]) -> None:
    block = raw(written) + b"".join(garbage)
    data = b"".join(data for _, data in decode(block))
    assert measure(block) == (len(data), data.count(b"\n"))


@pytest.mark.parametrize("tag", ["F", "P"])
def test_output_that_looks_like_a_header_is_counted_as_output(tag: str) -> None:
    block = raw([("stdout", tag, b" stderr P stdout P 2026"), ("stderr", "F", b"x stdout P y")])
    assert measure(block) == (len(b"".join(data for _, data in decode(block))), 1 + (tag == "F"))


def _large(path: Path, stamp: bytes = LATER) -> int:
    """A file of records that is worth an index; gives how many bytes it holds."""
    printed = [("stdout", "FP"[n % 9 == 0], b"%d" % n * 10) for n in range(60_000)]
    path.write_bytes(raw(printed, stamp))
    return sum(len(data) + (tag == "F") for _, tag, data in printed)


def _counted_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """(the size of a log that nobody has looked at before, how many bytes were read for it)."""
    read, actual = 0, os.pread

    def counted(fd: int, count: int, offset: int) -> bytes:
        nonlocal read
        data = actual(fd, count, offset)
        read += len(data)
        return data

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", counted)
        return LogFile(path).size(), read


def test_who_looks_after_a_restart_counts_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    size = _large(path)
    log = LogFile(path)
    assert log.advance(1_000_000) > 1_000_000
    assert log.unseen() > 1_000_000
    while log.advance(1_000_000):
        pass
    log.save()
    with path.open("ab") as file:
        file.write(raw([("stdout", "F", b"more")]))
    found, read = _counted_bytes(path, monkeypatch)
    assert found == size + 5
    assert read < 200
    again = LogFile(path)
    assert again.end() == log.end()
    assert again.byte_of(50_000) == log.byte_of(50_000)
    assert joined(again.read(size)) == b"more\n"


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other_file", "shorter_file", "other_header"])
def test_an_index_that_does_not_fit_is_made_anew(tmp_path: Path, damage: str) -> None:
    path, index = tmp_path / "log", tmp_path / "index"
    _large(path)
    log = LogFile(path)
    log.size()
    log.save()
    kept = index.read_bytes()
    match damage:
        case "cut":
            index.write_bytes(kept[:-1])
        case "changed":
            index.write_bytes(kept[:70] + bytes([kept[70] ^ 1]) + kept[71:])
        case "empty":
            index.write_bytes(b"")
        case "other_file":
            path.rename(tmp_path / "old")
            path.write_bytes((tmp_path / "old").read_bytes() + raw([("stdout", "F", b"more")]))
        case "shorter_file":
            os.truncate(path, path.stat().st_size - 1000)
        case "other_header":
            with path.open("r+b") as file:
                file.write(raw([("stderr", "F", b"")] * 20))
    expected = RecordFile(path).end()
    assert (LogFile(path).size(), LogFile(path).end().line) == (expected.decoded, expected.lines + 1)


def test_a_small_file_has_no_index(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(raw([("stdout", "F", b"x")]))
    log = LogFile(path)
    log.size()
    log.save()
    assert [found.name for found in tmp_path.iterdir()] == ["log"]


def test_an_index_stays_small_however_long_the_log_is() -> None:
    index = Index()
    for n in range(1, 20_000):
        index.add(Place(n * 300_000, n * 100_000, n * 1000))
    assert len(index._columns[0]) <= 4096
    for byte in (0, 99_999, 100_000, 1_234_567_890, 10**12):
        place = index.before_byte(byte)
        assert place.decoded <= byte
        assert place == index.front or byte - place.decoded < 100_000 * 16
    for line in (0, 1, 1000, 5_000_001):
        place = index.before_line(line)
        assert place.lines < max(line, 1)
        assert line - place.lines <= 1000 * 16
