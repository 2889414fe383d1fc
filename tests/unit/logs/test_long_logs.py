"""Lines, tails and searches of a log are those of the bytes that were printed, wherever records and files are cut."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lan_session_manager.logs import GAP, LogFile, files, search
from lan_session_manager.logs.lines import Line, lines_after, lines_before, lines_of
from lan_session_manager.logs.search import Hit, Search
from tests.unit.logs.test_logs import raw
from tests.unit.logs.test_segments import SIZE, Server
from tests.unit.logs.writer import Writer

WORDS = [b"ab", b"AB", b"a", b"b", b"\n", b"\n", b"\r", b"\xc3\xa4", b"\xc3\x84", b"\xc3", b"\xff", b"\xc3\x9f", b"ss"]
CODES = [b"\x1b[31m", b"\x1b[0m", b"\x1b[3", b"\x1b", b"\x1b]8;;x\x1b\\", b" stdout P ", b"x" * 40]
printed = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stdout", "stderr"]),
        st.lists(st.sampled_from(WORDS + CODES), max_size=8).map(b"".join),
    ),
    max_size=12,
)


@dataclass(frozen=True)
class Naive:
    """What was printed, kept whole: bytes of one stream in a row are one run."""

    runs: list[tuple[str, bytes]]

    @property
    def whole(self) -> bytes:
        return b"".join(data for _, data in self.runs)

    def lines(self) -> list[Line]:
        found, at, number = [], 0, 1
        for stream, data in self.runs:
            for part in data.split(b"\n")[:-1]:
                end = at + len(part) + 1
                found.append(Line(at, end, number, stream, part.decode("utf-8", "replace"), is_partial=False))
                at, number = end, number + 1
            if rest := data.rpartition(b"\n")[2]:
                text = rest.decode("utf-8", "replace")
                found.append(Line(at, at + len(rest), number, stream, text, is_partial=True))
                at += len(rest)
        return found

    def hits(self, text: str, *, ignore_case: bool) -> list[tuple[int, int]]:
        """The bytes of each hit, by a look at every character of every line."""
        found, at = [], 0
        for _, data in self.runs:
            for part in data.split(b"\n"):
                found += [(at + start, at + end) for start, end in _found(part, text, ignore_case=ignore_case)]
                at += len(part) + 1
            at -= 1
        return found


def _found(line: bytes, text: str, *, ignore_case: bool) -> Iterator[tuple[int, int]]:
    shown: list[tuple[str, int, int]] = []  # each character that is seen, folded, and its bytes
    decoded, at = line.decode("utf-8", "surrogateescape"), 0
    codes = {code.start(): code.end() for code in search._CODES.finditer(decoded)}
    n = 0
    while n < len(decoded):
        end = codes.get(n, n + 1)
        size = len(decoded[n:end].encode("utf-8", "surrogateescape"))
        if n not in codes:
            folded = decoded[n].casefold() if ignore_case else decoded[n]
            shown += [(one, at, at + size) for one in folded]
        at, n = at + size, end
    wanted = text.casefold() if ignore_case else text
    n = 0
    while n + len(wanted) <= len(shown):
        if "".join(one for one, _, _ in shown[n : n + len(wanted)]) == wanted:
            end = shown[n + len(wanted) - 1][2]
            yield shown[n][1], end
            n = next((m for m in range(n, len(shown)) if shown[m][1] >= end), len(shown))
        else:
            n += 1


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def naive_of(written: list[tuple[str, bytes]]) -> Naive:
    runs: list[tuple[str, bytes]] = []
    for stream, data in written:
        if runs and runs[-1][0] == stream:
            runs[-1] = (stream, runs[-1][1] + data)
        elif data:
            runs.append((stream, data))
    return Naive(runs)


def log_of(written: list[tuple[str, bytes]], directory: Path, cuts: st.DataObject | None = None) -> LogFile:
    """A log with these bytes, in records of random sizes and, with `cuts`, in two files."""
    records = []
    for stream, data in written:
        for line in data.split(b"\n")[:-1]:
            at = cuts.draw(st.integers(0, len(line))) if cuts else len(line) // 8192 * 8192
            records += [(stream, "P", line[n : min(n + 8192, at)]) for n in range(0, at, 8192)]
            records += [(stream, "F", line[at:])]
        rest = data.rpartition(b"\n")[2]
        records += [(stream, "P", rest[n : n + 8192]) for n in range(0, len(rest), 8192)]
    for old in directory.glob("log*"):
        old.unlink()
    path = directory / "log"
    at = cuts.draw(st.integers(0, len(records))) if cuts else 0
    if not at:
        path.write_bytes(raw(records))
    else:
        first = directory / "log.0.0"
        first.write_bytes(raw(records[:at]))
        end = sum(len(data) + (tag == "F") for _, tag, data in records[:at])
        (directory / f"log.1.{end}").write_bytes(raw(records[at:]))
    return LogFile(path)


def all_hits(log: LogFile, looking: Search, most: int, patience: int) -> list[Hit]:
    hits: list[Hit] = []
    after: int | None = 0
    for _ in range(1000):
        if after is None:
            break
        left = iter([False] * patience)
        found = looking.run(log, after, None, most, partial(next, left, True))
        assert len(found.hits) <= most
        hits += found.hits
        assert found.next is None or found.next > after
        after = found.next
    assert found.searched_to == log.size()
    return hits


small_windows = mock.patch.multiple(search, _READ=64, _WINDOW=48, _OVERLAP=24, _LONGEST_CODE=16)
small_blocks = mock.patch.object(files, "_BLOCK", 700)


@given(written=printed, data=st.data(), most=st.integers(1, 5))
@settings(deadline=None, max_examples=150)
def test_paging_either_way_gives_every_line_once(
    place: Path, written: list[tuple[str, bytes]], data: st.DataObject, most: int
) -> None:
    naive = naive_of(written)
    with small_blocks:
        log = log_of(written, place, data)
        forth: list[Line] = []
        at = 0
        while page := lines_after(log, at, most).lines:
            assert 0 < len(page) <= most
            assert page[-1].next > at
            forth += page
            at = page[-1].next
        assert forth == naive.lines()
        back: list[Line] = []
        before: int | None = None
        while page := lines_before(log, before, most).lines:
            assert len(page) <= most
            back = page + back
            before = page[0].after
            if before == 0:
                break
        assert back == naive.lines()
        end = lines_of(log, 1, 1).end
        assert (end.byte, end.line) == (len(naive.whole), naive.whole.count(b"\n") + 1)
        for number in range(1, naive.whole.count(b"\n") + 2):
            found = lines_of(log, number, most).lines
            assert found[:1] == [line for line in naive.lines() if line.number == number][:1]


@given(written=printed, data=st.data(), ignore_case=st.booleans(), patience=st.integers(0, 3), most=st.integers(1, 6))
@settings(deadline=None, max_examples=300)
def test_a_search_in_any_steps_finds_what_a_look_at_every_character_finds(
    place: Path, written: list[tuple[str, bytes]], data: st.DataObject, ignore_case: bool, patience: int, most: int
) -> None:
    naive = naive_of(written)
    text = data.draw(st.sampled_from(["a", "ab", "AB", "aB", "ä", "s", "ss", "ß", "Äss", "[3", "ba", "std", "x" * 3]))
    with small_blocks:
        log = log_of(written, place, data)
        hits = all_hits(log, Search(text, ignore_case=ignore_case), most, patience)
    assert [(hit.start, hit.end) for hit in hits] == naive.hits(text, ignore_case=ignore_case)
    whole = naive.whole
    for hit in hits:
        assert hit.after == whole.rfind(b"\n", 0, hit.start) + 1 or b"\n" not in whole[hit.after : hit.start]
        assert hit.line == whole.count(b"\n", 0, hit.start) + 1
        found = hit.text[hit.at : hit.at + hit.length]
        assert text in found or (ignore_case and text.casefold() in found.casefold())


@given(
    parts=st.lists(st.sampled_from([b"ab", b"a", b"b", b"c", b"\xc3\xa4", b"\x1b[31m"]), min_size=1, max_size=200),
    text=st.sampled_from(["ab", "ba", "aab", "ä", "cä"]),
    patience=st.integers(0, 2),
)
@settings(deadline=None, max_examples=150)
def test_a_hit_where_a_line_without_an_end_is_cut_is_found_once(
    place: Path, parts: list[bytes], text: str, patience: int
) -> None:
    written = [("stdout", b"".join(parts))]
    with small_windows:
        hits = all_hits(log_of(written, place), Search(text, ignore_case=False), 1000, patience)
    expected = naive_of(written).hits(text, ignore_case=False)
    found = [(hit.start, hit.end) for hit in hits]
    assert [hit for hit in found if hit[1] - hit[0] < 24] == [hit for hit in expected if hit[1] - hit[0] < 24]


def test_a_very_long_line_is_one_and_its_neighbours_are_found(tmp_path: Path) -> None:
    long = b"y" * 3_000_000
    bar = b"".join(b"\r%d of 100000" % n for n in range(100_000))
    whole = b"first\n" + long + b"\n" + bar + b"\nlast\n"
    log = log_of([("stdout", whole)], tmp_path)
    expected = [(6, 1, 0), (len(long) + 7, 2, len(long) - 32 * 1024), (len(whole) - 5, 3, 0), (len(whole), 4, 0)]
    for page in (lines_after(log, 0, 10).lines, lines_before(log, None, 10).lines[-4:]):
        assert [(line.next, line.number) for line in page] == [(end, n) for end, n, _ in expected[-len(page) :]]
    page = lines_after(log, 0, 10).lines
    assert page[1].text == "y" * (32 * 1024)
    assert page[1].cut == len(long) - 32 * 1024
    assert page[2].text.endswith("\r99999 of 100000")
    assert page[2].cut == len(bar) - len(page[2].text)
    assert lines_before(log, page[2].after, 1).lines == page[1:2]
    [hit] = Search("LAST", ignore_case=True).run(log, 0, None, 10, lambda: False).hits
    assert (hit.after, hit.line, hit.text) == (len(whole) - 5, 4, "last")


def test_a_line_of_very_many_pieces_costs_no_more_than_another(tmp_path: Path) -> None:
    log = log_of([("stdout", b"a"), ("stderr", b"b")] * 40_000, tmp_path)
    page = lines_before(log, None, 100).lines
    assert [line.text for line in page] == ["a", "b"] * 50
    assert page[-1].next == 80_000
    assert lines_after(log, 0, 100).lines[-1].next == 100


def test_lines_before_and_behind_a_gap_have_numbers_where_these_are_known(tmp_path: Path) -> None:
    writer = Writer(tmp_path, SIZE)
    server = Server(writer)
    for n in range(100):
        writer.write(b"%03d\n" % n)
        server.tend()
    log = LogFile(tmp_path / "log")
    everything: list[Line] = []
    at = 0
    while page := lines_after(log, at, 7).lines:
        everything += page
        at = page[-1].next
    [gap] = [line for line in everything if line.stream == GAP]
    assert lines_after(log, 0, 1).gaps == [(gap.after, gap.next)]
    for line in everything:
        if line.after < gap.after:
            assert line.number == int(line.text) + 1
        elif line is not gap:
            assert line.number is None
            assert line.after == 4 * int(line.text)
    before: int | None = None
    back: list[Line] = []
    while page := lines_before(log, before, 7).lines:
        back = page + back
        before = page[0].after
        if not before:
            break
    assert back == everything
    assert lines_before(log, gap.after + 5, 2).lines == [gap]
    assert lines_of(log, 90, 1).lines == [gap]
    hits = Search("0", ignore_case=False).run(log, 0, None, 1000, lambda: False).hits
    assert {hit.line is None for hit in hits if hit.start > gap.after} == {True}
    assert {hit.line == int(hit.text) + 1 for hit in hits if hit.start < gap.after} == {True}
    writer.close()


@pytest.mark.parametrize("text", ["a", "\u00e4", "\x1b[1ma"])
def test_no_more_is_looked_for_in_a_line_than_is_wanted(place: Path, text: str) -> None:
    log = log_of([("stdout", (text * 100_000).encode())], place)
    with mock.patch.object(search, "Hit", side_effect=Hit) as made:
        found = Search(text[-1], ignore_case=False).run(log, 0, None, 3, lambda: False)
    assert len(found.hits) == 3
    assert found.next == found.hits[-1].end
    assert made.call_count <= 4
