"""Which requests come in at all, before anything is done for them: the one place that knows what a browser may be made
to send by a page of somebody else.

Such a page sends requests with the address and the cookies of its visitor. It cannot choose three headers: `Host` is
the name that it believes in, `Origin` is the page itself, `Sec-Fetch-Site` how the two relate. A program (curl, a
client library) sends neither of the last two, and no cookies.
"""

import re
from functools import lru_cache

from starlette.types import Scope

from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.errors import (
    AddressError,
    ContentTypeError,
    CrossSiteError,
    FileTypeError,
    ForwardedHostError,
    HostHeaderError,
    LSMError,
    MisdirectedError,
)
from lan_session_manager.hosts import DEFAULT_PORTS, Authority, Origin, origin_of, parse_authority, parse_origin
from lan_session_manager.web.known_hosts import KnownHosts

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_UPLOAD = re.compile(r"/api/workspace/[^/]+/files/.*|/api/worker/task/.+/(files/.*|log)", re.DOTALL)
_RESUMED = re.compile(r"/api/workspace/[^/]+/uploads/[^/]+")
_FORM = re.compile(r"/api/workspace/[^/]+/files")
_BROWSERS = {b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"referer"}  # headers that no program sends
_SCHEMES = {"ws": "http", "wss": "https"}
_READ = frozenset(
    {
        b"host",
        b"origin",
        b"cookie",
        b"referer",
        b"sec-fetch-site",
        b"sec-fetch-mode",
        b"sec-fetch-dest",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    }
)

_Headers = dict[bytes, list[str]]


class Admission:
    """Says of each request whether it comes in. `ports` are those that the server listens on."""

    def __init__(
        self,
        known: KnownHosts,
        *,
        ports: frozenset[int] = frozenset(),
        proxies: frozenset[Address] = frozenset(),
    ) -> None:
        self._known = known
        self._ports = ports
        self._proxies = proxies

    def check(self, scope: Scope) -> None:
        """Let a request or a WebSocket's handshake in, or raise an LSMError that says why not.

        These are HostHeaderError and ForwardedHostError (400), MisdirectedError (421), CrossSiteError (403) and
        ContentTypeError (415).
        """
        headers = _read(scope)
        here = self._here(scope, headers)
        self._check_site(scope, headers, here)
        _check_body(scope, headers)

    def is_tls(self, scope: Scope) -> bool:
        """Whether the client speaks TLS, with us or with a proxy of ours. Never raises."""
        headers = _read(scope)
        try:
            return self._scheme(scope, headers, self._is_forwarded(scope)) == "https"
        except LSMError:
            return False

    def _here(self, scope: Scope, headers: _Headers) -> Origin:
        """The origin that our pages have for this client."""
        forwarded = self._is_forwarded(scope)
        peer_is_here = _is_loopback((scope.get("client") or ("", 0))[0])
        local = (scope.get("server") or ("", 0))[0]
        authority = _one_authority(headers.get(b"host", []), HostHeaderError())
        claimed = [authority]
        if forwarded and b"x-forwarded-host" in headers:
            # Both have to be ours. A rebound page can send this header through a proxy that does not set it, so it may
            # refuse a request, and never excuse a Host.
            authority = _one_authority(headers[b"x-forwarded-host"], ForwardedHostError())
            claimed.append(authority)
        for each in claimed:
            if not self._known.knows(each.host, local=local, peer_is_here=peer_is_here):
                raise MisdirectedError(host=each.host.text)
        return origin_of(self._scheme(scope, headers, forwarded), authority)

    def _is_forwarded(self, scope: Scope) -> bool:
        """Whether the peer is a proxy that may say what its client said."""
        if not self._proxies:
            return False
        try:
            return parse_address((scope.get("client") or ("", 0))[0]) in self._proxies
        except AddressError:
            return False

    def _scheme(self, scope: Scope, headers: _Headers, forwarded: bool) -> str:
        own = str(scope.get("scheme", "http"))
        own = _SCHEMES.get(own, own)
        if not forwarded or b"x-forwarded-proto" not in headers:
            return own
        [said, *more] = headers[b"x-forwarded-proto"]
        said = said.strip().lower()
        said = _SCHEMES.get(said, said)
        if more or said not in DEFAULT_PORTS:
            raise ForwardedHostError
        return said

    def _check_site(self, scope: Scope, headers: _Headers, here: Origin) -> None:
        is_socket = scope["type"] == "websocket"
        changes = is_socket or scope["method"] not in _SAFE
        sites = {"same-origin", "none"}
        if b"origin" in headers:
            origin = _one_origin(headers[b"origin"])
            if origin != here:
                # The page of one of our ports may open the WebSocket at the other: that is what the other is for.
                if not (is_socket and self._is_other_port(origin, here)):
                    raise CrossSiteError
                sites.add("same-site")
        elif changes and b"cookie" in headers:
            raise CrossSiteError  # a browser that sends cookies says from where: this one hides it
        if b"sec-fetch-site" in headers and not sites.issuperset(headers[b"sec-fetch-site"]):
            # A link to us may stand anywhere. A picture, a script or a frame of ours in another's page may not.
            followed = headers.get(b"sec-fetch-mode") == ["navigate"] and headers.get(b"sec-fetch-dest") == ["document"]
            if changes or not followed:
                raise CrossSiteError

    def _is_other_port(self, origin: Origin | None, here: Origin) -> bool:
        return (
            origin is not None
            and (origin.scheme, origin.host) == (here.scheme, here.host)
            and self._ports >= {origin.port, here.port}
        )


def takes_bytes(scope: Scope) -> bool:
    """Whether the request's body is files or a part of one, of any size: an upload bounds its own."""
    return scope["type"] == "http" and _kind_of_bytes(scope) is not None


def _kind_of_bytes(scope: Scope) -> str | None:
    """What type such a body has to be said to be, "" for any; None where it is JSON."""
    match scope["method"]:
        case "PUT" if _UPLOAD.fullmatch(scope["path"]):
            return ""
        case "PATCH" if _RESUMED.fullmatch(scope["path"]):
            return "application/partial-upload"
        case "POST" if _FORM.fullmatch(scope["path"]):
            return "multipart/form-data"
    return None


def _check_body(scope: Scope, headers: _Headers) -> None:
    """Raise ContentTypeError for a body that is not said to be JSON where JSON is meant.

    A page of another site can send forms, text/plain, and a body without any type, all unasked; JSON it cannot. Where a
    form is meant, it has to come from our own page, which a browser says with every POST, or from no browser: raises
    CrossSiteError.
    """
    if scope["type"] == "websocket" or scope["method"] in _SAFE:
        return
    wanted = _kind_of_bytes(scope)
    if wanted == "":
        return
    kinds = [text.partition(";")[0].strip().lower() for text in headers.get(b"content-type", [])]
    has_body = b"transfer-encoding" in headers or any(text != "0" for text in headers.get(b"content-length", []))
    if kinds != [wanted or "application/json"] and (kinds or has_body):
        raise ContentTypeError if wanted is None else FileTypeError(kind=wanted)
    if wanted == "multipart/form-data" and b"origin" not in headers and not _BROWSERS.isdisjoint(headers):
        raise CrossSiteError


def _read(scope: Scope) -> _Headers:
    found: _Headers = {}
    for name, value in scope["headers"]:
        if name in _READ:
            found.setdefault(name, []).append(value.decode("latin-1"))
    return found


@lru_cache(256)
def _is_loopback(peer: str) -> bool:
    try:
        return parse_address(peer).is_loopback
    except AddressError:
        return False


def _one_authority(texts: list[str], error: LSMError) -> Authority:
    """What the one header says; raises `error` if there are none or several, or it says nothing that is a host."""
    if len(texts) == 1:
        try:
            return parse_authority(texts[0].strip(" \t"))
        except ValueError:
            pass
    raise error


def _one_origin(texts: list[str]) -> Origin | None:
    """None for what can be no origin of ours, "null" among it."""
    try:
        return parse_origin(texts[0]) if len(texts) == 1 else None
    except ValueError:
        return None
