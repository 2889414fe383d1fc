"""Every answer has the headers of the guard, whoever fails."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from lan_session_manager.web.guards import Guard

SCOPE: Scope = {"type": "http", "path": "/api/anything", "method": "GET", "headers": []}


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _answer(app: "type[_Fails] | type[_FailsLater]") -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(RuntimeError):
        asyncio.run(Guard(app())(SCOPE, _nothing, send))
    return sent


class _Fails:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("/secret/path")


class _FailsLater:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError


def test_a_fault_of_the_server_is_an_answer_of_the_one_shape_with_the_headers_of_all() -> None:
    start, body = _answer(_Fails)
    headers = dict(start["headers"])
    assert start["status"] == 500
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert b"secret" not in body["body"]
    assert b'"code":' in body["body"]


def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    assert [message["type"] for message in _answer(_FailsLater)] == ["http.response.start"]
