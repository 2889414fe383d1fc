"""The pieces of a log as text that can be shown, without a character cut in two."""

import codecs
from dataclasses import dataclass

from lan_session_manager.logs.records import GAP, LogPiece

LOOK_BACK = 64 * 1024


@dataclass(frozen=True)
class TextPiece:
    """Valid text of one stream; whoever has it goes on at offset `next` of the task's log."""

    after: int
    next: int
    stream: str  # "stdout", "stderr" or GAP
    text: str


class LogText:
    """Pieces of a log as text, from offset `after` on, without cutting a character between two of them.

    Each stream is decoded for itself as UTF-8; what is not UTF-8 becomes U+FFFD. Feed it the pieces from `start` on:
    those before `after` only tell it which characters were begun there. Each text starts where the one before it ended,
    and one who goes on at the `next` of what `feed` gave, with a new LogText, loses and repeats nothing. (Only a
    character that more than LOOK_BACK bytes of the other stream cut in two is not found again.)
    """

    def __init__(self, after: int) -> None:
        self.start = max(0, after - LOOK_BACK)
        self._after = after
        self._next = after
        self._end = after
        self._decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in ("stdout", "stderr")}

    def feed(self, piece: LogPiece) -> TextPiece | None:
        """The text that `piece` completes, if any. Pieces come in order, each where the one before it ended.

        A gap is a text of its own; a character that it cut in two is left out with it.
        """
        if piece.stream == GAP:
            return self._gap(piece)
        decoder = self._decoders[piece.stream]
        before = max(0, len(piece.data) - max(0, piece.next - self._after))
        decoder.decode(piece.data[:before])
        text = decoder.decode(piece.data[before:])
        self._end = max(self._after, piece.next)
        if not text:
            return None
        given = TextPiece(self._next, piece.next, piece.stream, text)
        self._next = piece.next
        return given

    def _gap(self, piece: LogPiece) -> TextPiece | None:
        for decoder in self._decoders.values():
            decoder.reset()
        if piece.next <= self._after:  # whoever goes on from behind it has had it
            return None
        self._end, given = piece.next, TextPiece(self._next, piece.next, GAP, piece.data.decode())
        self._next = piece.next
        return given

    def finish(self) -> list[TextPiece]:
        """The log has ended: U+FFFD for each character that was begun and never completed.

        Nothing if nothing came after the offset where this started: whoever was there before has had it.
        """
        if self._end == self._after:
            return []
        begun = [stream for stream, decoder in self._decoders.items() if decoder.getstate()[0]]
        return [TextPiece((self._next, self._end)[n], self._end, stream, "\ufffd") for n, stream in enumerate(begun)]
