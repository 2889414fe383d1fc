"""Ids of tasks in paths. One that an orchestrator has chosen may hold a "/", which a client sends as %2F.

Paths are decoded before they are routed, and then such an id would be two segments, and `a%2Flog` the log of `a`. So
an encoded slash in the path of a task is carried through the routing as a character that no text has.
"""

from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

TASK_ID = "{task_id:task}"  # the segment of a route

_PREFIX = "/api/task/"
_SLASH = "\udc2f"  # half a character, which no decoded path and no id can hold


class _TaskId(Convertor[str]):
    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return value.replace(_SLASH, "/")

    def to_string(self, value: str) -> str:
        return value.replace("/", _SLASH)


register_url_convertor("task", _TaskId())


class WholeTaskIds:
    """A layer of the application that keeps the encoded slashes of task ids apart from those between segments."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and scope["path"].startswith(_PREFIX):
            scope = {**scope, "path": whole(scope["path"], scope.get("raw_path"))}
        await self._app(scope, receive, send)


def whole(path: str, raw_path: bytes | None) -> str:
    """The path with what stands for a slash of an id in place of the slashes that `raw_path` has encoded."""
    if not raw_path or b"%2f" not in raw_path.lower():
        return path
    segments = (unquote(segment).replace("/", _SLASH) for segment in raw_path.decode("latin-1").split("/"))
    return "/".join(segments)
