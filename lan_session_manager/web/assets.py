"""The files of the page, from memory: compressed once, under an address that changes with any of them.

`/static/<version>/js/main.js` is kept by browsers for good. It is one file with all modules that it imports, as the
styles of a page are one file: a browser would find them in ten rounds, and each is a request that this server answers.
Without a version, or with that of an earlier server, a file is what it is on disk, and asked for anew by its ETag.
"""

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lan_session_manager.errors import NotFoundError
from lan_session_manager.web.modules import joined

STATIC = Path(__file__).parent / "static"
_KEPT_S = 365 * 24 * 3600
_TYPES: Mapping[str, str] = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_STYLE = re.compile(r'^ *<link rel="stylesheet" href="/static/([^"]+)">\n', re.MULTILINE)
_MODULE = re.compile(r'<script type="module" src="/static/([^"]+)">')
_ADDRESS = re.compile(r'(?<=[("])/static/')
_CSS_COMMENT = re.compile(rb"/\*.*?\*/\n?|^[ \t]+", re.DOTALL | re.MULTILINE)  # and what indents: it only travels
_PAGES = ("index", "admin")
_WORDS = "js/text/{}/{}.js"


@dataclass(frozen=True)
class Asset:
    """One file: its bytes as they are and as they travel."""

    content: bytes
    packed: bytes
    content_type: str
    etag: str


class Assets:
    """An ASGI application that serves the files in `directory`, and the pages that load them."""

    def __init__(self, directory: Path = STATIC) -> None:
        read = {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.suffix in (".js", ".css", ".svg")
        }
        self.languages = sorted(
            (path.name for path in (directory / "js" / "text").iterdir() if path.is_dir()),
            key=lambda name: (name != "en", name),
        )
        pages = {name: (directory / f"{name}.html").read_text(encoding="utf-8") for name in _PAGES}
        sources = {name: content.decode() for name, content in read.items() if name.endswith(".js")}
        made: dict[str, bytes] = {}
        for name, html in pages.items():
            styles = b"".join(read[style] for style in _STYLE.findall(html))
            made[f"css/{name}-page.css"] = _CSS_COMMENT.sub(b"", styles)
            *early, main = _MODULE.findall(html)
            made[main] = joined(main, sources, frozenset(early)).encode()
            for language in self.languages:
                words = _WORDS.format(language, name)
                made[words] = joined(words, sources).encode()
        self._files = {name: _asset(name, content) for name, content in read.items()}
        self._made = self._files | {name: _asset(name, content) for name, content in made.items()}
        digest = hashlib.sha256("".join(asset.etag for asset in self._made.values()).encode())
        self._version = digest.hexdigest()[:12]
        self._pages = {name: self._composed(name, html) for name, html in pages.items()}

    def page(self, name: str, language: str) -> bytes:
        """The page `name`, index or admin, in one of `languages`."""
        words = _WORDS.format(language, name)
        preload = f'  <link rel="modulepreload" href="/static/{self._version}/{words}">\n'
        root = f'<html lang="{language}" data-languages="{" ".join(self.languages)}">'
        return self._pages[name].replace("<html>", root).replace("</head>", f"{preload}</head>").encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD of /static/... Raises NotFoundError."""
        path = scope["path"].removeprefix("/static/")
        version, _, rest = path.partition("/")
        is_this = version == self._version
        asset = self._made.get(rest) if is_this else self._files.get(path) or self._made.get(rest)
        if asset is None or scope["method"] not in ("GET", "HEAD"):
            raise NotFoundError
        await _answer(asset, Headers(scope=scope), for_good=is_this)(scope, receive, send)

    def _composed(self, name: str, html: str) -> str:
        styles = f'  <link rel="stylesheet" href="/static/css/{name}-page.css">\n'
        html = _STYLE.sub(styles, html, count=1)
        html = _STYLE.sub(lambda found: found[0] if "-page.css" in found[1] else "", html)
        return _ADDRESS.sub(f"/static/{self._version}/", html)


def _asset(name: str, content: bytes) -> Asset:
    content_type = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    return Asset(content, gzip.compress(content, 9, mtime=0), content_type, etag)


def _answer(asset: Asset, asked: Headers, *, for_good: bool) -> Response:
    kept = f"public, max-age={_KEPT_S}, immutable" if for_good else "no-cache"
    headers = {"Cache-Control": kept, "ETag": asset.etag, "Vary": "Accept-Encoding"}
    if asset.etag in asked.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" not in asked.get("accept-encoding", ""):
        return Response(asset.content, headers=headers, media_type=asset.content_type)
    return Response(asset.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.content_type)
