"""Every answer has the headers of the guard, whoever fails."""

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lan_session_manager.names import Own
from lan_session_manager.web.admission import Admission
from lan_session_manager.web.guards import Guard
from lan_session_manager.web.known_hosts import KnownHosts
from lan_session_manager.web.turns import Turns

SCOPE: Scope = {
    "type": "http",
    "path": "/api/anything",
    "method": "GET",
    "headers": [(b"host", b"127.0.0.1:5000")],
    "client": ("127.0.0.1", 40000),
    "server": ("127.0.0.1", 5000),
}
SOCKET: Scope = {**SCOPE, "type": "websocket", "scheme": "ws", "extensions": {"websocket.http.response": {}}}


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _run(app: ASGIApp, scope: Scope) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    guard = Guard(app, Admission(KnownHosts(look=lambda: Own(frozenset(), frozenset()))), Turns())
    try:
        asyncio.run(guard(dict(scope), _nothing, send))
    except RuntimeError:
        sent.append({"type": "raised"})
    return sent


async def _fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("/secret/path")


async def _fails_later(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError


async def _is_not_called(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("a refused request came in")


async def _closes(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close"})


async def _answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _is_marked(start: Message) -> bool:
    headers = dict(start["headers"])
    return (
        headers[b"x-content-type-options"] == b"nosniff"
        and b"frame-ancestors 'none'" in headers[b"content-security-policy"]
        and headers[b"cache-control"] == b"no-store"
        and not any(name.startswith(b"access-control-") for name in headers)
    )


@pytest.mark.parametrize("scope", [SCOPE, SOCKET], ids=["http", "websocket"])
def test_a_fault_of_the_server_is_an_answer_of_the_one_shape_with_the_headers_of_all(scope: Scope) -> None:
    start, body, raised = _run(_fails, scope)
    assert start["status"] == 500
    assert _is_marked(start)
    assert b"secret" not in body["body"]
    assert b'"code":' in body["body"]
    assert raised == {"type": "raised"}  # for the log


def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    assert [message["type"] for message in _run(_fails_later, SCOPE)] == ["http.response.start", "raised"]


@pytest.mark.parametrize("scope", [SCOPE, SOCKET], ids=["http", "websocket"])
def test_what_is_refused_does_not_come_in_and_has_the_headers_of_all(scope: Scope) -> None:
    start, body = _run(_is_not_called, {**scope, "headers": [(b"host", b"evil.example")]})
    assert start["status"] == 421
    assert _is_marked(start)
    assert b'"code":"misdirected"' in body["body"]


def test_a_websocket_that_no_route_takes_is_not_found() -> None:
    start, body = _run(_closes, SOCKET)
    assert start["status"] == 404
    assert _is_marked(start)
    assert b'"code":"not_found"' in body["body"]


def test_other_windows_are_cut_off_under_tls_only() -> None:
    def policy(scope: dict[str, Any]) -> bytes | None:
        found: bytes | None = dict(_run(_answers, scope)[0]["headers"]).get(b"cross-origin-opener-policy")
        return found

    assert policy(dict(SCOPE)) is None
    assert policy({**SCOPE, "scheme": "https"}) == b"same-origin"
