"""Finds a text in a log, a part of the log at a time.

What is searched is what a person sees: each stream's text without the codes for colours and the cursor. A hit is in one
line and in one stream, however many records the monitor made of it. Bytes that are not UTF-8 are found by nothing.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice

from lan_session_manager.logs.reading import LogFile
from lan_session_manager.logs.records import GAP

LONGEST = 200  # characters of a query
_READ = 256 * 1024
_WINDOW = 128 * 1024  # of a line without an end, looked at together
_OVERLAP = 8 * 1024  # of which so much is looked at once more with what follows: no hit is longer, with its codes
_AROUND = 80  # characters of text before and behind a hit
_CODES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]{0,2048}(?:\x07|\x1b\\)|[@-Z\\^_])")
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b\n]{0,2048}\x1b?)?\Z")
_LONGEST_CODE = 2100
_NO_TEXT = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Hit:
    """The bytes of the log from `start` to `end` are what was looked for, with codes between if there are any.

    `after` is the first byte of the line, and `line` its number; None: behind a gap nobody knows that. `text` is what
    stands around it in that line, without codes: the hit are its characters from `at` on, `length` of them.
    """

    after: int
    line: int | None
    start: int
    end: int
    stream: str
    text: str
    at: int
    length: int


@dataclass(frozen=True)
class Found:
    """The hits of a part of the log. `next`: search on from there; None: all was searched, up to `searched_to`."""

    hits: list[Hit]
    next: int | None
    searched_to: int


class Search:
    """Looks for `text`, which has no line feed and 1 to LONGEST characters; `ignore_case` by Unicode's case folding."""

    def __init__(self, text: str, *, ignore_case: bool) -> None:
        self._folds = ignore_case
        self._wanted = text.casefold() if ignore_case else text
        self._raw = self._wanted.encode("utf-8", "surrogatepass")

    def run(self, log: LogFile, after: int, before: int | None, most: int, is_over: Callable[[], bool]) -> Found:
        """The hits that begin at `after` or behind and end at `before` or earlier, until the time `is_over`.

        Some hundred KB are searched at least. Hits in a line do not overlap: they are found from left to right, and who
        goes on at `next` gets the same ones as who searches without a pause.
        """
        end = log.size()
        until = end if before is None else min(before, end)
        window = _Window(after, log.line_start(after))
        hits: list[Hit] = []

        def look(data: bytes, *, is_cut: bool = False) -> None:
            hits.extend(self._of_window(log, window, data, most + 1 - len(hits), is_cut=is_cut))

        while True:
            if not window.data and window.after < until:
                window.begin(log.skip(window.after, until, lambda block: not is_over() and self._may_skip(block)), "")
            at = window.after + len(window.data)
            pieces = log.read(at, min(_READ, until - at)) if at < until else []
            for piece in pieces:
                if piece.stream != window.stream:
                    look(window.data)
                    window.begin(piece.after, piece.stream)
                if piece.stream == GAP:
                    window.begin(piece.next, "")
                    continue
                window.data += piece.data
                look(window.data[: window.data.rfind(b"\n") + 1])
                if len(window.data) >= _WINDOW:
                    look(window.data[: _whole(window.data)], is_cut=True)
                if len(hits) > most:
                    break
            if not pieces:
                look(window.data)
            if len(hits) > most or (len(hits) == most and window.after < until):
                return Found(hits[:most], hits[most - 1].end, hits[most - 1].end)
            if not pieces:
                return Found(hits, None, max(after, until))
            going_on = max(window.after, hits[-1].end if hits else 0)
            if going_on > after and is_over():
                return Found(hits, going_on, going_on)

    def _may_skip(self, block: bytes) -> bool:
        """Whether nothing in these bytes can be a hit, which may have headers between that look like one."""
        if b"\x1b" in block or (self._folds and not block.isascii()):
            return False
        return self._raw not in (block.lower() if self._folds else block)

    def _of_window(self, log: LogFile, window: "_Window", data: bytes, most: int, *, is_cut: bool) -> list[Hit]:
        """The first `most` hits in the beginning of a window, which is searched with that."""
        is_in = most > 0 and data and self._wanted in self._shown(_decoded(data))
        hits = list(islice(self._in(log, window, data), most)) if is_in else []
        # What has been cut off is looked at once more with what follows, but for what is a hit already.
        done = max(hits[-1].end - window.after if hits else 0, _boundary(data)) if is_cut else len(data)
        window.pass_to(done, starts_a_line=data[:done].endswith(b"\n"))
        return hits

    def _shown(self, text: str) -> str:
        shown = _CODES.sub("", text) if "\x1b" in text else text
        return shown.casefold() if self._folds else shown

    def _in(self, log: LogFile, window: "_Window", data: bytes) -> Iterator[Hit]:
        number, after, at = log.line_at(window.line_after), window.line_after, window.after
        for line in data.split(b"\n"):
            text = _decoded(line)
            if self._wanted in self._shown(text):
                for start, end, around, first, length in self._in_line(text):
                    yield Hit(after, number, at + start, at + end, window.stream, around, first, length)
            at = after = at + len(line) + 1
            number = None if number is None else number + 1

    def _in_line(self, text: str) -> Iterator[tuple[int, int, str, int, int]]:
        """(first byte, byte after the last, text around it, where in that, its length) of each hit in a line."""
        codes = list(_CODES.finditer(text)) if "\x1b" in text else []
        shown = _CODES.sub("", text) if codes else text
        folded = shown.casefold() if self._folds else shown
        # How long the codes before each code are; how many characters are shown before each; how many folded ones are
        # before each that is shown.
        sizes = [0, *accumulate(len(code[0]) for code in codes)]
        places = [code.start() - size for code, size in zip(codes, sizes, strict=False)]
        is_same = len(folded) == len(shown)
        firsts = range(len(shown) + 1) if is_same else [0, *accumulate(len(one.casefold()) for one in shown)]

        counted = counted_bytes = 0  # of the text; what is asked for lies further on each time

        def byte_of(character: int, *, behind: bool) -> int:
            nonlocal counted, counted_bytes
            count = (bisect_left if behind else bisect_right)(places, character)
            place = character + sizes[count]
            counted_bytes += len(_encoded(text[counted:place]))
            counted = place
            return counted_bytes

        at = folded.find(self._wanted)
        while at >= 0:
            first = bisect_right(firsts, at) - 1
            last = bisect_left(firsts, at + len(self._wanted))
            begin = max(0, first - _AROUND)
            around = _NO_TEXT.sub("\ufffd", shown[begin : last + _AROUND])
            yield byte_of(first, behind=False), byte_of(last, behind=True), around, first - begin, last - first
            at = folded.find(self._wanted, firsts[last])


class _Window:
    """What of the log, from `after` on and of one stream, is searched next; `line_after` is where its line begins."""

    def __init__(self, after: int, line_after: int) -> None:
        self.after = after
        self.line_after = line_after
        self.stream = ""
        self.data = b""

    def begin(self, after: int, stream: str) -> None:
        """It is empty, and goes on elsewhere."""
        if after != self.after:
            self.line_after = after
        self.after, self.stream, self.data = after, stream, b""

    def pass_to(self, done: int, *, starts_a_line: bool) -> None:
        """So many bytes are searched."""
        self.after += done
        self.data = self.data[done:]
        if starts_a_line:
            self.line_after = self.after


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _whole(data: bytes) -> int:
    """How much of the data is without a character or a code that is only begun."""
    tail = data[-_LONGEST_CODE:]
    begun = _BEGUN.search(tail)
    return len(data) - (len(tail) - begun.start() if begun else _begun_character(data[-4:]))


def _begun_character(last: bytes) -> int:
    for back in range(1, len(last) + 1):
        byte = last[-back]
        if byte >= 0xC0:
            return back if back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else 0
        if byte < 0x80:
            return 0
    return 0


def _boundary(data: bytes) -> int:
    """The last offset at least the overlap before the end that is in no character and no code."""
    at = max(0, len(data) - _OVERLAP)
    while at and data[at] & 0xC0 == 0x80 and len(data) - _OVERLAP - at < 4:
        at -= 1
    begin = max(0, at - _LONGEST_CODE)
    codes = _CODES.finditer(_decoded(data[begin : at + _LONGEST_CODE]))
    for code in codes if b"\x1b" in data[begin:at] else ():
        first, last = (begin + len(_encoded(code.string[:n])) for n in code.span())
        if first < at < last:
            return first
    return at
