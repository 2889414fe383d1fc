"""The heads of requests and answers: what a task asks for, and what of it goes on.

A head is never passed on as it came. It is read by h11 and written anew, framing included, so that no two programs can
read it in two ways; what is meant for the next hop alone (RFC 9110, section 7.6.1) ends here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import h11

from lan_session_manager.destinations import DestinationError, parse_authority

# RFC 9112, section 3.2.2; a user name or a fragment has no place in it.
_ABSOLUTE = re.compile(r"http://([^/?#@]+)([/?][^#]*)?", re.IGNORECASE)
_HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authentication-info", b"proxy-authorization"),
        *(b"proxy-connection", b"te", b"trailer", b"upgrade"),
    }
)
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_CLOSE = (b"connection", b"close")

Header = tuple[bytes, bytes]


class BadRequestError(Exception):
    """What a task sent is not a request that a proxy takes; the text says why."""


@dataclass(frozen=True)
class Wanted:
    """Where a request is to go. `request` is what goes on there; None: a tunnel is asked for (CONNECT)."""

    host: str  # canonical
    port: int
    request: h11.Request | None


def wanted_of(request: h11.Request) -> Wanted:
    """What a request asks a proxy for. Raises BadRequestError."""
    names = [name for name, _ in request.headers]
    target = request.target.decode("ascii")
    if request.http_version not in (b"1.0", b"1.1"):
        raise BadRequestError("only HTTP/1.1 and HTTP/1.0 are spoken here")
    if set(names) >= _FRAMING or (b"transfer-encoding" in names and request.http_version == b"1.0"):
        raise BadRequestError("where its body ends is not clear")
    try:
        if request.method == b"CONNECT":
            if _FRAMING & set(names):
                raise BadRequestError("CONNECT has no body")
            return Wanted(*parse_authority(target), None)
        found = _ABSOLUTE.fullmatch(target)
        if found is None:
            raise BadRequestError("this is a proxy: ask with CONNECT host:port, or for http://host/")
        host, port = parse_authority(found[1], 80)
    except DestinationError as error:
        raise BadRequestError(str(error)) from error
    path = found[2] or "/"
    path = path if path.startswith("/") else f"/{path}"
    shown = f"[{host}]" if ":" in host else host
    headers = [
        (b"host", (shown if port == 80 else f"{shown}:{port}").encode()),
        *(header for header in end_to_end(request.headers) if header[0] != b"host"),
        _CLOSE,
    ]
    return Wanted(host, port, h11.Request(method=request.method, target=path.encode(), headers=headers))


def answer_of(response: h11.Response) -> h11.Response:
    """An answer as the task gets it."""
    headers = [*end_to_end(response.headers), _CLOSE]
    return h11.Response(status_code=response.status_code, headers=headers, reason=response.reason)


def news_of(response: h11.InformationalResponse) -> h11.InformationalResponse:
    """An answer before the answer, such as 100 Continue, as the task gets it."""
    headers = list(end_to_end(response.headers))
    return h11.InformationalResponse(status_code=response.status_code, headers=headers, reason=response.reason)


def end_to_end(headers: Iterable[Header]) -> Iterable[Header]:
    """The headers that are meant for the other end, with the one that says how the body is framed."""
    headers = list(headers)
    named = {word.strip().lower() for name, value in headers if name == b"connection" for word in value.split(b",")}
    gone = _HOP_BY_HOP | (named - _FRAMING)
    if any(name == b"transfer-encoding" for name, _ in headers):
        gone = gone | {b"content-length"}
    return (header for header in headers if header[0] not in gone)


def refusal(status: int, reason: str, text: str) -> bytes:
    """An answer of the proxy itself."""
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
