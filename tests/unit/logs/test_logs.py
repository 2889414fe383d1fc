import codecs
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lan_session_manager.logs import FULL, LOOK_BACK, LogFile, LogPiece, LogText, TextPiece

STAMP = b"2026-11-22T14:08:34.261329858+00:00"
Record = tuple[str, str, bytes]

records = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]),
        st.sampled_from("FP"),
        st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"\r")),
    ),
    max_size=30,
)


def raw(written: Iterable[Record], stamp: bytes = STAMP) -> bytes:
    return b"".join(b"%s %s %s %s\n" % (stamp, stream.encode(), tag.encode(), data) for stream, tag, data in written)


def decoded(written: Iterable[Record]) -> list[tuple[str, bytes]]:
    return [(stream, data + (b"\n" if tag == "F" else b"")) for stream, tag, data in written]


def everything(log: LogFile, after: int = 0, limit: int = 65536) -> list[LogPiece]:
    pieces: list[LogPiece] = []
    while got := log.read(after, limit):
        assert sum(len(piece.data) for piece in got) <= limit
        for piece in got:
            assert piece.after == after
            after = piece.next
            assert after - piece.after == len(piece.data) > 0
        pieces += got
    return pieces


def joined(pieces: Iterable[LogPiece]) -> bytes:
    return b"".join(piece.data for piece in pieces)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_log_that_does_not_exist_yet_is_empty(path: Path) -> None:
    log = LogFile(path)
    assert log.read(0) == []
    assert log.size() == 0
    path.write_bytes(raw([("stdout", "F", b"hello")]))
    assert log.read(0) == [LogPiece(0, 6, "stdout", b"hello\n")]
    assert log.size() == 6


def test_records_of_one_stream_in_a_row_are_one_piece(path: Path) -> None:
    path.write_bytes(
        raw(
            [
                ("stdout", "P", b"part-"),
                ("stdout", "F", b"ial"),
                ("stderr", "F", b"E1"),
                ("stderr", "P", b"E2"),
                ("stdout", "P", b"\x00\r\xff"),
            ]
        )
    )
    assert LogFile(path).read(0) == [
        LogPiece(0, 9, "stdout", b"part-ial\n"),
        LogPiece(9, 14, "stderr", b"E1\nE2"),
        LogPiece(14, 17, "stdout", b"\x00\r\xff"),
    ]


@settings(deadline=None)
@given(written=records, after=st.integers(0, 400), limit=st.integers(1, 60))
def test_what_was_printed_is_read_from_any_offset_in_steps_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, written: list[Record], after: int, limit: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(raw(written))
    whole = b"".join(data for _, data in decoded(written))
    log = LogFile(path)
    assert joined(everything(log, after, limit)) == whole[after:]
    assert log.size() == len(whole)
    of_stdout = b"".join(data for stream, data in decoded(written) if stream == "stdout")
    assert joined(piece for piece in everything(log) if piece.stream == "stdout") == of_stdout


def test_a_record_that_is_being_written_waits_for_its_end(path: Path) -> None:
    log = LogFile(path)
    whole = raw([("stdout", "F", b"one"), ("stderr", "P", b"two")])
    seen = b""
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        seen += joined(everything(log, len(seen)))
        assert log.size() == len(seen)
        assert seen == (b"one\ntwo" if end == len(whole) else b"one\n" if end >= 49 else b"")


def test_output_that_looks_like_a_record_is_output(path: Path) -> None:
    forged = raw([("stderr", "F", b"forged")])[:-1]
    path.write_bytes(raw([("stdout", "F", forged), ("stdout", "P", forged), ("stdout", "F", b"")]))
    assert LogFile(path).read(0) == [LogPiece(0, 2 * len(forged) + 2, "stdout", forged + b"\n" + forged + b"\n")]


@pytest.mark.parametrize(
    "garbage", [b"\n", b"x\n", b"x" * 44 + b"\n", b"x" * 300_000 + b"\n", b"\xff" * 65536 + b"\n", b"\n" * 70_000]
)
def test_lines_that_are_no_records_are_passed_over(path: Path, garbage: bytes) -> None:
    good = raw([("stdout", "F", b"good")])
    path.write_bytes(garbage + good + garbage + good + garbage)
    log = LogFile(path)
    assert joined(everything(log)) == b"good\ngood\n"
    assert log.size() == 10
    path.write_bytes(garbage + good + garbage + good + garbage + good)
    assert log.read(10) == [LogPiece(10, 15, "stdout", b"good\n")]


@pytest.mark.parametrize("fresh", [b"new", b"new" * 100])
def test_a_log_that_is_started_anew_is_read_anew(path: Path, fresh: bytes) -> None:
    path.write_bytes(raw([("stdout", "F", b"old" * 50)]))
    log = LogFile(path)
    assert log.size() == 151
    later = b"2026-11-22T14:08:35.000000000+00:00"
    with path.open("r+b") as file:  # the same inode, as a reused number would be
        file.truncate()
        file.write(raw([("stderr", "F", fresh)], later))
    assert log.read(len(fresh) + 1) == []
    assert log.read(0) == [LogPiece(0, len(fresh) + 1, "stderr", fresh + b"\n")]
    assert log.size() == len(fresh) + 1
    path.unlink()
    assert log.size() == 0
    assert log.read(0) == []


def test_a_link_in_the_place_of_a_log_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(raw([("stdout", "F", b"other")]))
    path.symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        LogFile(path).read(0)


def test_offsets_deep_in_a_long_log_are_right_whatever_was_read_before(path: Path) -> None:
    printed = [("stdout" if n % 7 else "stderr", "FP"[n % 3 == 0], b"%d " % n * (n % 50)) for n in range(30_000)]
    path.write_bytes(raw(printed))
    whole = b"".join(data for _, data in decoded(printed))
    steps = [0, len(whole) - 5, 3_000_000, 10, 3_000_000 + 65_536, len(whole) // 2, len(whole), len(whole) + 9, 4]
    fresh_each_time, one = path, LogFile(path)
    for after in steps:
        assert joined(one.read(after, 1000)) == whole[after : after + 1000][: len(joined(one.read(after, 1000)))]
        assert bool(one.read(after)) == (after < len(whole))
        assert joined(everything(LogFile(fresh_each_time), after)[:2]) == joined(everything(one, after)[:2])
    assert joined(everything(one)) == whole
    assert one.size() == len(whole)


def test_reading_at_the_end_does_not_read_the_log_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(raw([("stdout", "F", b"x" * 79)] * 100_000))
    log = LogFile(path)
    size = log.size()
    read = 0
    actual = os.pread

    def counted(fd: int, count: int, offset: int) -> bytes:
        nonlocal read
        data = actual(fd, count, offset)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    for after in (size - 10, size // 2, size // 3, 5):
        read = 0
        assert log.read(after)
        assert read < 500_000
    with path.open("ab") as file:
        file.write(raw([("stdout", "F", b"more")]))
    read = 0
    assert log.read(size) == [LogPiece(size, size + 5, "stdout", b"more\n")]
    assert log.size() == size + 5
    assert read < 1000


def test_a_log_of_single_bytes_is_read_in_bounded_steps(path: Path) -> None:
    path.write_bytes(raw([("stdout", "P", b"a"), ("stderr", "P", b"b")] * 20_000))
    log = LogFile(path)
    after = 0
    while pieces := log.read(after):
        assert len(pieces) <= 1500
        after = pieces[-1].next
    assert after == 40_000


def test_no_descriptor_stays_open(path: Path) -> None:
    path.write_bytes(raw([("stdout", "F", b"x")]))
    log = LogFile(path)
    log.read(0)
    log.size()
    with os.scandir("/proc/self/fd") as descriptors:
        assert str(path) not in [os.readlink(found) for found in descriptors if os.path.lexists(found)]


def test_offsets_before_the_start_are_the_callers_fault(path: Path) -> None:
    with pytest.raises(ValueError, match="from 0 on"):
        LogFile(path).read(-1)
    with pytest.raises(ValueError, match="one byte or more"):
        LogFile(path).read(0, 0)


# Text


def as_text(pieces: Iterable[LogPiece], after: int, *, finish: bool = True) -> list[TextPiece]:
    text = LogText(after)
    given_out = [got for piece in pieces if piece.next > text.start and (got := text.feed(piece))]
    return given_out + (text.finish() if finish else [])


def streams(texts: Iterable[TextPiece]) -> dict[str, str]:
    together = {"stdout": "", "stderr": ""}
    for piece in texts:
        together[piece.stream] += piece.text
    return together


def pieces_of(written: Iterable[tuple[str, bytes]]) -> list[LogPiece]:
    pieces = []
    at = 0
    for stream, data in written:
        pieces.append(LogPiece(at, at + len(data), stream, data))
        at += len(data)
    return pieces


cut_text = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]),
        st.one_of(
            st.binary(min_size=1, max_size=3),
            st.sampled_from([b"\xf0", b"\x9f", b"\x98", b"\x80", b"\xc3", b"\xa9", b"a"]),
        ),
    ),
    max_size=25,
)


def test_a_character_cut_by_the_other_stream_is_whole() -> None:
    euro = "€".encode()
    pieces = pieces_of([("stdout", b"5 " + euro[:1]), ("stderr", b"warning"), ("stdout", euro[1:] + b"!")])
    assert as_text(pieces, 0) == [
        TextPiece(0, 3, "stdout", "5 "),
        TextPiece(3, 10, "stderr", "warning"),
        TextPiece(10, 13, "stdout", "€!"),
    ]
    assert streams(as_text(pieces, 10)) == {"stdout": "€!", "stderr": ""}


@settings(deadline=None)
@given(cut_text)
def test_each_stream_reads_as_if_it_were_decoded_at_once(written: list[tuple[str, bytes]]) -> None:
    texts = as_text(pieces_of(written), 0)
    for stream in ("stdout", "stderr"):
        whole = b"".join(data for of, data in written if of == stream)
        assert streams(texts)[stream] == codecs.decode(whole, "utf-8", "replace")
    ends = [0] + [piece.next for piece in texts]
    assert [piece.after for piece in texts] == ends[:-1]
    assert ends[-1] == sum(len(data) for _, data in written)


@settings(max_examples=300, deadline=None)
@given(written=cut_text, data=st.data())
def test_going_on_where_a_text_ended_loses_and_repeats_nothing(
    written: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    pieces = pieces_of(written)
    first = as_text(pieces, 0, finish=False)
    if not first:
        return
    seen = first[: data.draw(st.integers(1, len(first)))]
    after = seen[-1].next
    rest = as_text(pieces, after)
    uncut = streams(as_text(pieces, 0))
    for stream in ("stdout", "stderr"):
        again = streams(seen)[stream] + streams(rest)[stream]
        if pieces[-1].next == after:
            assert again == streams(first)[stream]
        else:
            assert again == uncut[stream]


def test_who_goes_on_at_the_end_of_an_ended_log_gets_nothing_twice() -> None:
    pieces = pieces_of([("stdout", b"a\xc3"), ("stderr", b"b")])
    assert streams(as_text(pieces, 0)) == {"stdout": "a\ufffd", "stderr": "b"}
    assert as_text(pieces, 3) == []


def test_the_look_back_is_bounded() -> None:
    assert LogText(10).start == 0
    assert LogText(LOOK_BACK + 10).start == 10


@given(records.filter(bool), st.integers(1, 50), st.integers(-1, 1))
@settings(max_examples=60, deadline=None)
def test_a_full_log_ends_with_a_line_that_says_so_from_any_offset_and_no_other_log_does(
    tmp_path_factory: pytest.TempPathFactory, written: list[Record], limit: int, more: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(raw(written))
    log = LogFile(path, lambda: len(raw(written)) + more)
    printed = b"".join(data for _, data in decoded(written))
    expected = printed if more > 0 else printed + (FULL if written[-1][1] == "F" else b"\n" + FULL)
    assert joined(everything(log, 0, limit)) == expected
    assert log.size() == len(expected)
    for after in {0, len(printed), len(printed) + 3, len(expected)}:
        assert joined(everything(log, after, limit)) == expected[after:]


def test_the_last_line_comes_once_the_bound_is_known(path: Path) -> None:
    path.write_bytes(raw([("stdout", "F", b"hello")]))
    bound = 0
    log = LogFile(path, lambda: bound)
    assert joined(everything(log)) == b"hello\n"
    bound = 10
    assert joined(everything(log, 6)) == FULL
