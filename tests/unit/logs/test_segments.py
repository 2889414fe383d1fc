"""A log that is too long keeps its beginning and its end, whoever reads it and whoever dies."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lan_session_manager.logs import GAP, LogFile, LogPiece, LogText, segments
from lan_session_manager.logs.segments import NOTHING_KNOWN, Known
from tests.unit.logs.writer import Writer

SIZE = 400  # bytes of a segment


class Died(BaseException):
    """The server was killed."""


class Server:
    """One that tends the log of a writer, as long as it lives."""

    def __init__(self, writer: Writer, *, is_read: bool = True, knows_printed: bool = True) -> None:
        self._writer = writer
        self._is_read = is_read
        self._knows_printed = knows_printed
        self._seen: int | None = None  # of what the writer has begun; None: not yet known

    def tend(self) -> None:
        def begun() -> int | None:
            return None if self._seen is None else self._writer.begun - self._seen

        def printed() -> int | None:
            return len(self._writer.printed) if self._knows_printed else None

        assert segments.tend(self._writer.directory, Known(begun, printed, lambda: self._is_read))
        self._seen = self._writer.begun


@contextlib.contextmanager
def dying(at: int) -> Iterator[None]:
    """Die in place of change number `at` of a directory; changes before it are made."""
    left = [at]

    def deadly(change: object) -> object:
        def changed(*args: object, **named: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise Died
            return change(*args, **named)  # type: ignore[operator]

        return changed

    with (
        mock.patch.object(os, "link", deadly(os.link)),
        mock.patch.object(os, "rename", deadly(os.rename)),
        mock.patch.object(os, "unlink", deadly(os.unlink)),
        contextlib.suppress(Died),
    ):
        yield


def pieces_of(log: LogFile, after: int = 0, limit: int = 65536) -> list[LogPiece]:
    """All there is from an offset on, piece after piece."""
    pieces: list[LogPiece] = []
    while got := log.read(after, limit):
        for piece in got:
            assert piece.after == after < piece.next
            after = piece.next
        pieces += got
    return pieces


def runs_of(pieces: list[LogPiece]) -> list[bytes]:
    """What is between the gaps."""
    runs = [b""]
    for piece in pieces:
        if piece.stream == GAP:
            runs.append(b"")
        else:
            runs[-1] += piece.data
    return runs


def check_order(runs: list[bytes], printed: bytes) -> None:
    """Each run is a part of what was printed, in its order, and no two have a byte in common."""
    at = 0
    for run in runs:
        found = printed.find(run, at)
        assert found >= 0
        at = found + len(run)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path, SIZE)
    yield writer
    writer.close()


def numbers(first: int, last: int) -> bytes:
    return b"".join(b"%06d\n" % n for n in range(first, last))


def test_a_log_within_one_segment_is_as_it_was_printed(writer: Writer) -> None:
    server = Server(writer)
    writer.write(b"one\ntwo")
    server.tend()
    log = LogFile(writer.directory / "log")
    assert log.read(0) == [LogPiece(0, 7, "stdout", b"one\ntwo")]
    assert log.size() == 7
    assert not segments.is_cut(writer.directory)


def test_a_log_that_fits_is_whole_and_its_offsets_count_bytes(writer: Writer) -> None:
    server = Server(writer, is_read=False)
    server.tend()
    for n in range(20):
        writer.write(b"%06d" % n if n % 3 else b"%06d\n" % n, "stderr" if n % 5 == 0 else "stdout")
        server.tend()
    assert writer.begun == 2
    log = LogFile(writer.directory / "log")
    assert b"".join(piece.data for piece in pieces_of(log)) == writer.printed
    assert log.size() == len(writer.printed)
    for after in range(len(writer.printed)):
        assert (
            b"".join(piece.data for piece in pieces_of(LogFile(writer.directory / "log"), after))
            == (writer.printed[after:])
        )
    assert not segments.is_cut(writer.directory)


@pytest.mark.parametrize("is_read", [True, False])
def test_a_longer_one_has_its_beginning_a_line_in_the_middle_and_its_end(writer: Writer, is_read: bool) -> None:
    server = Server(writer, is_read=is_read)
    server.tend()
    for n in range(50_000):
        writer.write(b"%06d\n" % n)
        if writer.begun > 3 and n < 49_000:
            continue
        server.tend()
    pieces = pieces_of(LogFile(writer.directory / "log"))
    assert [piece.stream for piece in pieces] == ["stdout", GAP, "stdout", "stdout"]
    head, gap, *tail = pieces
    tail_bytes = b"".join(piece.data for piece in tail)
    assert writer.printed.startswith(head.data)
    assert writer.printed.endswith(tail_bytes)
    assert len(tail_bytes) > SIZE // 60 * 7  # a whole segment at least
    missing = len(writer.printed) - len(head.data) - len(tail_bytes)
    assert abs(gap.next - gap.after - missing) < 100
    assert gap.data.decode() == f"[… about {missing / 1000:.1f} kB of output left out here …]\n"
    assert segments.is_cut(writer.directory)


def test_what_nobody_saw_is_a_gap_of_unknown_size_until_it_can_be_known(writer: Writer) -> None:
    writer.write(numbers(0, 1000))
    Server(writer, knows_printed=False).tend()
    log = LogFile(writer.directory / "log")
    [gap] = [piece for piece in pieces_of(log) if piece.stream == GAP]
    assert gap.data.decode() == "[… an unknown amount of output left out here …]\n"
    assert len(runs_of(pieces_of(log))) == 2
    server = Server(writer)
    server.tend()
    for n in range(1000, 100_000, 100):
        writer.write(numbers(n, n + 100))
        server.tend()
    [gap] = [piece for piece in pieces_of(log) if piece.stream == GAP]
    assert "about 699." in gap.data.decode()


def test_without_a_server_the_beginning_and_the_present_segment_stay(writer: Writer) -> None:
    writer.write(numbers(0, 1000))
    assert writer.disk() <= 2 * SIZE
    assert segments.tend(writer.directory, NOTHING_KNOWN)
    head, tail = runs_of(pieces_of(LogFile(writer.directory / "log")))
    assert head
    assert writer.printed.startswith(head)
    assert tail
    assert writer.printed.endswith(tail)


def test_a_line_that_is_cut_by_the_gap_does_not_swallow_its_notice(writer: Writer) -> None:
    for n in range(100):
        writer.write(b"%06d " % n)
    segments.tend(writer.directory, NOTHING_KNOWN)
    [gap] = [piece for piece in pieces_of(LogFile(writer.directory / "log")) if piece.stream == GAP]
    assert gap.data.startswith("\n[…".encode())


def test_a_reader_in_the_middle_when_it_goes_is_told_what_it_misses_from_there(writer: Writer) -> None:
    server, log = Server(writer), LogFile(writer.directory / "log")
    server.tend()
    while writer.begun < 1:
        writer.write(b"0123456789\n")
        server.tend()
    after = log.size()
    while writer.begun < 4:
        writer.write(b"0123456789\n")
        server.tend()
    [gap] = log.read(after)
    assert (gap.stream, gap.after) == (GAP, after)
    [following] = [segment.offset for segment in segments.kept(writer.directory)][1:2]
    assert gap.next == following
    assert "less than 100 kB" in gap.data.decode()


def test_a_log_of_an_earlier_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    assert segments.tend(tmp_path, NOTHING_KNOWN)
    assert os.listdir(tmp_path) == ["log"]
    assert not segments.is_cut(tmp_path)


@pytest.mark.parametrize("mb", [1, 3, 64, 1000])
def test_four_segments_and_the_records_beside_them_stay_below_the_bound(mb: int) -> None:
    bound = mb * 1024 * 1024
    assert 4 * (segments.segment_bytes(bound) + 4096) + 40 * 1024 < bound
    assert 4 * segments.segment_bytes(bound) > bound * 0.9


def test_what_is_on_the_disk_after_a_sync_is_said_nothing_of_where_there_is_no_log(tmp_path: Path) -> None:
    segments.sync(tmp_path)
    assert segments.kept(tmp_path / "none") == []


writes = st.tuples(
    st.just("write"), st.integers(1, 60), st.sampled_from([b"", b"\n"]), st.sampled_from(["stdout", "stderr"])
)
steps = st.one_of(
    writes,
    writes,
    writes,
    st.tuples(st.just("tend")),
    st.tuples(st.just("follow"), st.integers(1, 300)),
    st.tuples(st.just("die"), st.integers(0, 4)),
    st.tuples(st.just("new reader")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=50), st.booleans(), st.booleans())
def test_whatever_happens_nothing_is_doubled_or_out_of_order_and_the_disk_is_bounded(
    done: list[tuple[object, ...]], is_read: bool, knows_printed: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        writer = Writer(Path(directory), SIZE)
        server = Server(writer, is_read=is_read, knows_printed=knows_printed)
        log, after, number = LogFile(writer.directory / "log"), 0, 0
        heard: list[LogPiece] = []
        for step in done:
            match step:
                case ("write", int(count), bytes(end), str(stream)):
                    for _ in range(count):
                        writer.write(b"<%06d>" % number + end, stream)
                        number += 1
                case ("tend",):
                    server.tend()
                case ("follow", int(limit)):
                    for piece in log.read(after, limit):
                        assert piece.after == after < piece.next
                        after = piece.next
                        heard.append(piece)
                case ("die", int(at)):
                    with dying(at):
                        server.tend()
                    server = Server(writer, is_read=is_read, knows_printed=knows_printed)
                case _:
                    log = LogFile(writer.directory / "log")
            assert writer.disk() <= 4 * SIZE
        server.tend()
        server.tend()
        writer.close()
        heard += pieces_of(log, after)
        check_order(runs_of(heard), writer.printed)
        assert writer.printed.endswith(runs_of(heard)[-1])
        whole = pieces_of(log)
        kept = runs_of(whole)
        check_order(kept, writer.printed)
        assert writer.printed.startswith(kept[0])
        assert writer.printed.endswith(kept[-1])
        assert len(kept) == 1 + segments.is_cut(writer.directory)
        if len(kept) == 1:
            assert kept[0] == writer.printed
        for piece in whole:  # whoever comes back at the end of a piece goes on with the next
            rest = pieces_of(LogFile(writer.directory / "log"), piece.next, limit=97)
            expected = [later for later in whole if later.after >= piece.next]
            assert b"".join(each.data for each in rest) == b"".join(each.data for each in expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), max_size=40), st.lists(st.integers(0, 3000), max_size=8))
def test_who_keeps_up_hears_everything_and_as_text_from_wherever_he_comes_back(
    sizes: list[int], returns: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        writer = Writer(Path(directory), SIZE)
        server, log, heard = Server(writer), LogFile(writer.directory / "log"), b""
        server.tend()
        for n, size in enumerate(sizes):
            writer.write("".join(chr(0x20AC + n) for _ in range(size)).encode()[: size * 3 - n % 2], "stdout")
            while len(writer.printed) > len(heard):
                server.tend()
                got = log.read(len(heard), 50)
                assert all(piece.stream == "stdout" for piece in got)
                heard += b"".join(piece.data for piece in got)
        assert heard == writer.printed
        whole = pieces_of(log)
        for after in (min(back, log.size()) for back in returns):
            text = LogText(after)
            given_texts = [ready for piece in pieces_of(log, text.start) if (ready := text.feed(piece))]
            given_texts += text.finish()
            for before, later in pairwise(given_texts):
                assert later.after == before.next
            if given_texts:
                assert given_texts[0].after == after
                assert given_texts[-1].next == log.size()
            is_before = any(piece.stream == GAP and after < piece.next for piece in whole)
            assert [piece.stream for piece in given_texts].count(GAP) == is_before
        writer.close()
