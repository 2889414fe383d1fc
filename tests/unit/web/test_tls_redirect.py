"""Plain HTTP at a port that speaks TLS: where it is sent, and what is answered all the same."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from lan_session_manager.addresses import parse_address
from lan_session_manager.names import Own
from lan_session_manager.web.admission import Admission
from lan_session_manager.web.guards import Guard
from lan_session_manager.web.known_hosts import KnownHosts
from lan_session_manager.web.tls_redirect import TlsOnly
from lan_session_manager.web.turns import Turns

_PROXY = "10.9.9.9"


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the page"})


def _answer(
    path: str = "/",
    *,
    host: str = "192.168.1.5:5000",
    query: bytes = b"",
    kind: str = "http",
    scheme: str = "http",
    peer: str = "192.168.1.100",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> tuple[int, dict[str, str]]:
    own = Own(frozenset({"lab-pc"}), frozenset({"192.168.1.5", "fe80::1", "2001:db8::1"}))
    admission = Admission(KnownHosts(look=lambda: own), proxies=frozenset({parse_address(_PROXY)}))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": kind,
        "method": "GET",
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(b"host", host.encode()), *headers],
        "client": (peer, 40000),
        "server": ("192.168.1.5", 5000),
        "extensions": {"websocket.http.response": {}},
    }
    asyncio.run(Guard(TlsOnly(_app, admission), admission, Turns())(scope, receive, send))
    begun = sent[0]
    return begun["status"], {name.decode(): value.decode() for name, value in begun["headers"]}


@pytest.mark.parametrize(
    ("host", "path", "query", "wanted"),
    [
        ("192.168.1.5:5000", "/", b"", "https://192.168.1.5:5000/"),
        ("192.168.1.5:5000", "/api/task/a%2Fb", b"x=1&y=%20", "https://192.168.1.5:5000/api/task/a%2Fb?x=1&y=%20"),
        ("Lab-PC.:8765", "/a", b"", "https://lab-pc:8765/a"),
        ("[2001:DB8::1]:5000", "/a", b"", "https://[2001:db8::1]:5000/a"),
        ("[fe80::1%25wlan0]:5000", "/a", b"", "https://[fe80::1%25wlan0]:5000/a"),
        ("192.168.1.5", "/a", b"", "https://192.168.1.5:80/a"),
        ("192.168.1.5:443", "/a", b"", "https://192.168.1.5/a"),
        # What would be another host, were it relative, or a header of its own, were it taken as it is.
        ("192.168.1.5:5000", "//evil.example/", b"", "https://192.168.1.5:5000//evil.example/"),
        ("192.168.1.5:5000", "*", b"", "https://192.168.1.5:5000/"),
        ("192.168.1.5:5000", "@evil.example/", b"", "https://192.168.1.5:5000/"),
        ("192.168.1.5:5000", "/\\evil.example", b"", "https://192.168.1.5:5000/%5Cevil.example"),
        ("192.168.1.5:5000", "/a\r\nSet-Cookie: a=b", b"", "https://192.168.1.5:5000/a%0D%0ASet-Cookie:%20a=b"),
        ("192.168.1.5:5000", "/a", b"\r\nb", "https://192.168.1.5:5000/a?%0D%0Ab"),
    ],
)
def test_plain_http_is_sent_to_the_same_address_by_https(host: str, path: str, query: bytes, wanted: str) -> None:
    status, headers = _answer(path, host=host, query=query)
    assert (status, headers["location"]) == (308, wanted)


@pytest.mark.parametrize("path", ["/", "/ca", "/api/client-ip"])
def test_a_host_that_is_not_ours_is_sent_nowhere(path: str) -> None:
    status, headers = _answer(path, host="evil.example:5000")
    assert status == 421
    assert "location" not in headers


@pytest.mark.parametrize("path", ["/ca", "/ca.crt"])
def test_the_ca_can_be_had_in_plain_http(path: str) -> None:
    assert _answer(path)[0] == 200


@pytest.mark.parametrize("path", ["/ca/", "/CA", "/ca.crt/..", "/static/ca", "/api/ca"])
def test_nothing_else_can(path: str) -> None:
    assert _answer(path)[0] == 308


def test_what_came_by_tls_passes() -> None:
    assert _answer(scheme="https")[0] == 200


def test_a_plain_websocket_is_told_to_use_tls() -> None:
    status, headers = _answer("/ws/dashboard/192.168.1.100", kind="websocket", scheme="ws")
    assert (status, headers["upgrade"]) == (426, "TLS/1.2, HTTP/1.1")
    assert _answer("/ca", kind="websocket", scheme="ws")[0] == 426


def test_only_a_trusted_proxy_can_say_that_its_client_speaks_tls() -> None:
    said = ((b"x-forwarded-proto", b"https"),)
    assert _answer(peer=_PROXY, headers=said)[0] == 200
    assert _answer(headers=said)[0] == 308


def test_no_browser_is_told_to_never_speak_plain_http_again() -> None:
    # It would hold for every port of the host, and for the page from which the CA is had.
    for scheme in ("http", "https"):
        assert "strict-transport-security" not in _answer("/ca", scheme=scheme)[1]
