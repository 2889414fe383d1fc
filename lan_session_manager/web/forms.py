"""The files of an HTML form (multipart/form-data, RFC 7578), each staged as it comes.

All are put in their places at the end of the form, so that of one that breaks off nothing is there.

The parser is python-multipart's; it calls back for what it has found, in the thread that feeds it.
"""

from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from lan_session_manager.errors import InvalidInputError, TooLargeError
from lan_session_manager.workspace.listing import Entry
from lan_session_manager.workspace.paths import Parts, parse_new_path
from lan_session_manager.workspace.upload import Upload

MOST_FILES = 32  # of one form: each has two descriptors until its end
MOST_BESIDE = 1 << 20  # bytes of a form that are no file: other fields, headers, what is before and after
_NO_FORM = "This is no form with files. Send multipart/form-data with a boundary, each file with its name."
_BAD_NAME = "The name of a file in the form is no text in UTF-8. Choose another name."


class Form:
    """One form on its way into the directory `directory`. For one thread at a time; `abort` leaves nothing of it.

    `begin` begins the upload of a file to a path. The sender's names are paths from that directory on, by the rules of
    `parse_new_path`, so that a folder keeps its structure and no name leads out.
    """

    def __init__(self, content_type: str, directory: str, begin: Callable[[Parts], Upload]) -> None:
        """Raises InvalidInputError for a content type without a boundary."""
        _, options = parse_options_header(content_type)
        self._directory = directory
        self._begin = begin
        self._uploads: list[tuple[Parts, Upload]] = []
        self._current: Upload | None = None
        self._beside = 0
        self._name = b""
        self._value = b""
        self._disposition = b""
        self._is_whole = False
        if not options.get(b"boundary"):
            raise InvalidInputError(what=_NO_FORM)
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._on_part,
                    "on_header_field": self._on_header_name,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header,
                    "on_headers_finished": self._on_headers,
                    "on_part_data": self._on_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError:
            raise InvalidInputError(what=_NO_FORM) from None

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises InvalidInputError, TooLargeError, and what `Upload` raises."""
        self._beside += len(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise InvalidInputError(what=_NO_FORM) from None
        if self._beside > MOST_BESIDE:
            raise TooLargeError(allowed="1 MB beside its files")

    def commit(self) -> list[tuple[Parts, Entry]]:
        """Put all files in their places, in their order. Raises InvalidInputError for a form that has not come whole or
        has no file, else what `Upload.commit` raises: then those before that one are in their places.
        """
        if not self._is_whole or not self._uploads:
            raise InvalidInputError(what=_NO_FORM)
        return [(path, upload.commit()) for path, upload in self._uploads]

    def abort(self) -> None:
        """Leave nothing of what is not in its place."""
        for _, upload in self._uploads:
            upload.abort()

    def _on_part(self) -> None:
        self._disposition = self._name = self._value = b""
        self._current = None

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _on_headers(self) -> None:
        kind, options = parse_options_header(self._disposition)
        name = options.get(b"filename", b"")
        if kind != b"form-data" or not name:  # another field, or an input for files in which none was chosen
            return
        if len(self._uploads) == MOST_FILES:
            raise TooLargeError(allowed=f"{MOST_FILES} files in one form")
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidInputError(what=_BAD_NAME) from None
        path = parse_new_path(f"{self._directory}/{text}" if self._directory else text)
        self._current = self._begin(path)
        self._uploads.append((path, self._current))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._current is not None:
            self._current.write(memoryview(data)[start:end])
            self._beside -= end - start

    def _on_end(self) -> None:
        self._is_whole = True
