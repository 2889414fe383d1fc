"""The log of a task that is tried once more is one log: nothing in it comes twice, and its offsets go on."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.logs import LogFile, attempts, segments
from lan_session_manager.logs.attempts import begin_attempt
from tests.unit.logs.writer import Writer

BOUND = 256 * 1024
SEGMENT = segments.segment_bytes(BOUND)
WHY = "The machine restarted while the task ran."
LINE = b"[The machine restarted while the task ran. Attempt 2 begins here.]\n"


def _all(directory: Path, after: int = 0) -> tuple[bytes, int]:
    """What a reader gets from an offset on, and the offset that comes next."""
    log, data = LogFile(directory / "log"), b""
    while pieces := log.read(after):
        for piece in pieces:
            assert piece.after == after
            data, after = data + piece.data, piece.next
    return data, after


def _attempt(directory: Path, *printed: bytes) -> None:
    writer = Writer(directory, SEGMENT)
    for part in printed:
        writer.write(part)
    writer.close()


def test_the_next_attempt_writes_behind_the_one_before(tmp_path: Path) -> None:
    _attempt(tmp_path, b"one\n")
    assert begin_attempt(tmp_path, 2, WHY, BOUND) == len(b"one\n" + LINE)
    _attempt(tmp_path, b"two\n")
    assert _all(tmp_path) == (b"one\n" + LINE + b"two\n", len(b"one\n" + LINE + b"two\n"))
    assert not segments.is_cut(tmp_path)


def test_the_line_has_a_line_of_its_own(tmp_path: Path) -> None:
    _attempt(tmp_path, b"half a li")
    begin_attempt(tmp_path, 2, "", BOUND)
    assert _all(tmp_path)[0] == b"half a li\n[Attempt 2 begins here.]\n"


def test_a_task_that_had_printed_nothing_has_the_line_only(tmp_path: Path) -> None:
    assert begin_attempt(tmp_path, 2, WHY, BOUND) == len(LINE)
    _attempt(tmp_path, b"two\n")
    assert _all(tmp_path)[0] == LINE + b"two\n"


def test_once_more_for_the_same_attempt_writes_nothing(tmp_path: Path) -> None:
    _attempt(tmp_path, b"one\n")
    first = begin_attempt(tmp_path, 2, WHY, BOUND)
    assert begin_attempt(tmp_path, 2, "", BOUND) == first
    assert _all(tmp_path)[0] == b"one\n" + LINE


def test_a_task_that_prints_such_a_line_itself_gets_ours_all_the_same(tmp_path: Path) -> None:
    _attempt(tmp_path, LINE)
    begin_attempt(tmp_path, 2, WHY, BOUND)
    assert _all(tmp_path)[0] == LINE + LINE


def test_a_record_that_the_monitor_had_not_finished_is_not_taken_for_one(tmp_path: Path) -> None:
    _attempt(tmp_path, b"one\n")
    with (tmp_path / "log").open("ab") as log:
        log.write(b"2026-11-22T14:08:34.261329858+00:00 stdout F cut o")
    begin_attempt(tmp_path, 2, WHY, BOUND)
    assert _all(tmp_path)[0] == b"one\n" + LINE


def test_a_long_log_goes_on_in_a_file_of_its_own_within_the_bound(tmp_path: Path) -> None:
    lines = b"".join(b"%07d\n" % number for number in range(4 * SEGMENT // 60))
    _attempt(tmp_path, lines)
    first = segments.kept(tmp_path)
    begins = begin_attempt(tmp_path, 2, WHY, BOUND)
    _, end = _all(tmp_path)
    assert end == begins
    assert segments.kept(tmp_path)[-1].number > first[-1].number
    _attempt(tmp_path, b"two\n")
    data, _ = _all(tmp_path)
    assert data.startswith(b"0000000\n")
    assert data.endswith(LINE + b"two\n")
    assert sum({path.stat().st_ino: path.stat().st_size for path in tmp_path.glob("log*")}.values()) < BOUND


@pytest.mark.parametrize("dies_after", ["link", "rename"])
def test_a_server_that_dies_while_it_begins_the_next_file_leaves_a_log_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: str
) -> None:
    _attempt(tmp_path, b"".join(b"%07d\n" % number for number in range(SEGMENT // 100)))
    before, end = _all(tmp_path)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        target, name = (Path, "replace") if dies_after == "link" else (attempts, "drop_middle")
        patched.setattr(target, name, die)
        with pytest.raises(KeyboardInterrupt):
            begin_attempt(tmp_path, 2, WHY, BOUND)
    assert begin_attempt(tmp_path, 2, WHY, BOUND) == end + len(LINE)
    _attempt(tmp_path, b"two\n")
    assert _all(tmp_path)[0] == before + LINE + b"two\n"


@given(st.lists(st.binary(max_size=200), max_size=6), st.lists(st.binary(max_size=200), max_size=6))
def test_whatever_both_attempts_print_each_byte_is_at_its_offset(
    tmp_path_factory: pytest.TempPathFactory, first: list[bytes], second: list[bytes]
) -> None:
    directory = tmp_path_factory.mktemp("log")
    _attempt(directory, *first)
    data, end = _all(directory)
    begins = begin_attempt(directory, 2, WHY, BOUND)
    _attempt(directory, *second)
    assert _all(directory)[0][begins:] == b"".join(second)
    resumed, _ = _all(directory, end)
    assert data + resumed == _all(directory)[0]
    os.unlink(directory / "log")
