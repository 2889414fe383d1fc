"""A log that comes from elsewhere, at offsets: nothing is lost, repeated or torn, whoever dies."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lan_session_manager.logs import GAP, LogFile, LogPiece
from lan_session_manager.logs.appending import LogAppender, LogHoleError
from tests.unit.logs.test_logs import everything, joined
from tests.unit.logs.test_segments import dying

LARGE = 1 << 30
STREAMS = ("stdout", "stderr")

writes = st.lists(
    st.tuples(st.sampled_from(STREAMS), st.binary(max_size=30).map(lambda data: data.replace(b"a", b"\n"))), max_size=20
)


@given(written=writes, back=st.lists(st.integers(0, 40), max_size=20))
@settings(deadline=None, max_examples=80)
def test_what_is_appended_is_read_and_repeats_have_no_effect(written: list[tuple[str, bytes]], back: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        appender, whole, of = LogAppender(Path(name), LARGE), b"", dict.fromkeys(STREAMS, b"")
        for n, (stream, data) in enumerate(written):
            again = min(len(whole), back[n] if n < len(back) else 0)
            assert appender.append(len(whole) - again, stream, whole[len(whole) - again :] + data) == len(whole + data)
            whole, of[stream] = whole + data, of[stream] + data
            if n % 5 == 4:
                appender = LogAppender(Path(name), LARGE)
                assert appender.next == len(whole)
        log = LogFile(Path(name) / "log")
        pieces = everything(log)
        assert joined(pieces) == whole
        assert {stream: joined(p for p in pieces if p.stream == stream) for stream in STREAMS} == of
        assert log.size() == len(whole)


def test_a_hole_is_refused_with_the_offset_that_has_to_come(tmp_path: Path) -> None:
    appender = LogAppender(tmp_path, LARGE)
    appender.append(0, "stdout", b"five\n")
    with pytest.raises(LogHoleError) as refused:
        appender.append(6, "stdout", b"x")
    assert refused.value.expected == appender.next == 5
    assert appender.append(0, "stdout", b"fi") == 5
    with pytest.raises(ValueError, match="stdout and stderr"):
        appender.append(5, "gap", b"x")


def test_a_long_output_keeps_its_beginning_and_its_end_within_its_bound(tmp_path: Path) -> None:
    bound, appender, at = 256 * 1024, LogAppender(tmp_path, 256 * 1024), 0
    for n in range(40):
        at = appender.append(at, STREAMS[n % 2], b"".join(b"%09d\n" % (n * 2000 + m) for m in range(2000)))
        assert sum({p.stat().st_ino: p.stat().st_size for p in tmp_path.iterdir()}.values()) <= bound
    log = LogFile(tmp_path / "log")
    head, gap, *tail = (list(part) for part in _parts(log))
    assert at == log.size() == 800_000
    assert joined(head).startswith(b"000000000\n")
    [left_out] = gap
    assert left_out.next - left_out.after == 800_000 - len(joined(head)) - len(joined(tail[0]))
    assert joined(tail[0]).endswith(b"000079999\n")
    assert LogAppender(tmp_path, bound).next == at


def _parts(log: LogFile) -> list[list[LogPiece]]:
    parts: list[list[LogPiece]] = [[]]
    after = 0
    while pieces := log.read(after):
        for piece in pieces:
            if piece.stream == GAP:
                parts += [[piece], []]
            else:
                parts[-1].append(piece)
        after = pieces[-1].next
    return parts


@pytest.mark.parametrize("at", range(8))
def test_who_dies_while_a_file_begins_goes_on_without_loss(tmp_path: Path, at: int) -> None:
    bound, sent = 128 * 1024, 0
    line = b"x" * 99 + b"\n"
    with contextlib.suppress(FileExistsError), dying(at):
        appender = LogAppender(tmp_path, bound)
        while sent < 400_000:
            sent = appender.append(sent, "stdout", line * 10)
    for _ in range(2):
        appender = LogAppender(tmp_path, bound)
        sent = appender.next
        assert sent % 100 == 0
        appender.append(sent, "stdout", line * 2)
        assert appender.next == sent + 200
    log = LogFile(tmp_path / "log")
    assert log.size() == appender.next
    assert joined(log.read(appender.next - 300)) == line * 3
    assert os.path.samestat((tmp_path / "log").stat(), max(tmp_path.glob("log.*.*"), key=_number).stat())


def _number(path: Path) -> int:
    return int(path.name.split(".")[1])


def test_a_record_that_was_begun_is_taken_away(tmp_path: Path) -> None:
    appender = LogAppender(tmp_path, LARGE)
    appender.append(0, "stdout", b"whole\n")
    with (tmp_path / "log").open("ab") as file:
        file.write(b"2026-11-22T14:08:34.261329858+00:00 stdout F tor")
    again = LogAppender(tmp_path, LARGE)
    assert again.next == 6
    again.append(6, "stderr", b"next\n")
    assert joined(LogFile(tmp_path / "log").read(0)) == b"whole\nnext\n"
