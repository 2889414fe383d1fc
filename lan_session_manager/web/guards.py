"""What holds for every request: who is let in, headers of every answer, the size of bodies, one shape of error."""

import asyncio
import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lan_session_manager.audit import escaped
from lan_session_manager.errors import (
    BusyError,
    InternalError,
    LSMError,
    NotFoundError,
    QueueFullError,
    StoppingError,
    TooLargeError,
    TooManyRequestsError,
)
from lan_session_manager.web.admission import Admission, takes_bytes
from lan_session_manager.web.headers import HEADERS, TLS_HEADERS
from lan_session_manager.web.turns import Turns

_log = logging.getLogger(__name__)

JSON_BYTES = 512 * 1024  # the longest command, each of its characters escaped

_SENTENCES = {
    400: "The body of this request is not valid JSON in UTF-8. Send a JSON object as application/json.",
    404: NotFoundError().message,
    405: "This address does not take that method. Look it up in the API description at /api/docs.json.",
    413: TooLargeError(allowed=f"{JSON_BYTES // 1024} KB").message,
    426: "This address speaks WebSocket only. Connect with a WebSocket client.",
}
_CODES = {400: "invalid_json", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 426: "upgrade_required"}

_RETRY_AFTER = {QueueFullError: "5", BusyError: "2", StoppingError: "5"}


class Guard:
    """The outermost layer of the application: keeps out what has no business here, bounds what comes in, and marks what
    goes out.
    """

    def __init__(self, app: ASGIApp, admission: Admission, turns: Turns) -> None:
        self._app = app
        self._admission = admission
        self._turns = turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on that may come in, with a bounded body and with the headers that every answer has."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        begun = False

        async def send_marked(message: Message) -> None:
            nonlocal begun
            if message["type"] == "websocket.close" and not begun:  # no route, or none that takes it
                await error_response(NotFoundError())(scope, receive, send_marked)
                return
            begun = True
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                self._mark(scope, message)
            await send(message)

        await self._turns.wait((scope.get("client") or ("", 0))[0])
        try:
            self._admission.check(scope)
        except LSMError as error:
            await error_response(error)(scope, receive, send_marked)
            return
        bounded = receive if scope["type"] == "websocket" or takes_bytes(scope) else _bounded(scope, receive)
        try:
            await self._app(scope, bounded, send_marked)
        except asyncio.CancelledError:  # the server stops, and this took too long: an answer that has begun is cut off
            if not begun:
                await error_response(StoppingError())(scope, receive, send_marked)
        except Exception:
            if not begun:  # here, because the framework's own answer would come from outside of this layer
                await error_response(InternalError())(scope, receive, send_marked)
            raise

    def _mark(self, scope: Scope, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        if scope["path"].startswith("/static/") and message["status"] < 400:
            headers.setdefault("cache-control", "no-cache")  # kept, and asked for anew by its ETag
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if self._admission.is_tls(scope):
            for name, value in TLS_HEADERS.items():
                headers.setdefault(name, value)


def _bounded(scope: Scope, receive: Receive) -> Receive:
    announced = Headers(scope=scope).get("content-length", "")
    left = JSON_BYTES

    async def receive_bounded() -> Message:
        nonlocal left
        if announced.isdigit() and int(announced) > JSON_BYTES:
            raise HTTPException(413)
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413)
        return message

    return receive_bounded


def error_response(error: LSMError) -> JSONResponse:
    """The one shape of an error."""
    headers = {}
    if retry_after := _RETRY_AFTER.get(type(error)):
        headers["Retry-After"] = retry_after
    if isinstance(error, TooManyRequestsError):
        headers["Retry-After"] = str(error.facts["seconds"])
    if isinstance(error, BusyError):
        headers["Connection"] = "close"  # what was seen of the peer when it connected may be why
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error.message, "code": error.code}, error.status, headers)


def add_error_handlers(app: FastAPI) -> None:
    """Give every error of the application its one shape; what is not in errors.py shows nothing of itself."""

    @app.exception_handler(LSMError)
    async def _known(request: HTTPConnection, error: LSMError) -> Response:
        if error.status >= 500:
            where = escaped(f"{request.scope.get('method', 'WS')} {request.url.path}")
            _log.warning("%s: %s", where, error.__cause__ or error)
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        problems = error.errors()
        if any(problem["type"] == "json_invalid" for problem in problems):
            return JSONResponse({"error": _SENTENCES[400], "code": _CODES[400]}, 400)
        return JSONResponse({"error": _sentence(problems), "code": "invalid_input"}, 422)

    @app.exception_handler(HTTPException)
    async def _plain(request: Request, error: HTTPException) -> Response:
        sentence = _SENTENCES.get(error.status_code, "This request could not be carried out. Check it, and try again.")
        body = {"error": sentence, "code": _CODES.get(error.status_code, "error")}
        return JSONResponse(body, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def _gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody is there to read it


def _sentence(problems: Any) -> str:
    """One sentence for the first thing that is wrong; the value itself is not repeated."""
    problem = problems[0]
    field = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query", "path"))
    what = str(problem["msg"]).removeprefix("Value error, ").rstrip(".")
    return (
        f"{field[:100]}: {what}."
        if field
        else f"The body does not fit: {what}. Send a JSON object as application/json."
    )
