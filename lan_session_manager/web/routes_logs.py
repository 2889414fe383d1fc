"""The log of a task: its bytes, its lines around any place of it, and what is found in it."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from lan_session_manager.errors import InvalidInputError
from lan_session_manager.logs import GAP, LogPiece
from lan_session_manager.logs.lines import MOST_LINES, Line
from lan_session_manager.logs.search import LONGEST, Search
from lan_session_manager.web.follow import follow_log
from lan_session_manager.web.headers import USER_BYTES, attachment
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.services import Services, ServicesDep
from lan_session_manager.web.task_ids import TASK_ID

router = APIRouter(prefix="/api/task")

_MOST_BYTES = 2**53  # what a JSON number can count to
_PIECE_BYTES = 1 << 20
_MOST_HITS = 1000

_Byte = Annotated[int | None, Query(ge=0, le=_MOST_BYTES)]
_Stream = Literal["stdout", "stderr"]


@router.get(f"/{TASK_ID}/log", response_class=Response)
async def log(
    task_id: str,
    services: ServicesDep,
    access: AccessDep,
    after: Annotated[int, Query(ge=0, le=_MOST_BYTES)] = 0,
    tail: _Byte = None,
    stream: _Stream | None = None,
    follow: Annotated[int, Query(ge=0, le=1)] = 0,
    download: Annotated[int, Query(ge=0, le=1)] = 0,
) -> Response:
    """The log's bytes from `after` on, or from the line about `tail` bytes before its end, which `X-Log-After` tells.

    `X-Log-Next` is the byte that comes next; with `follow` it is the first one.
    """
    task = access.task
    headers = {"X-Accel-Buffering": "no", **USER_BYTES}
    if download:
        headers |= attachment(f"{task.id}.log")  # an orchestrator's own id may hold any printable character
    if tail is not None:
        after = await services.engine.log_start(task.id, tail)
    end = after if follow else max(after, await services.engine.log_size(task.id))
    headers |= {"X-Log-After": str(after), "X-Log-Next": str(end)}
    pieces = follow_log(services, task.id, after) if follow else _so_far(services, task.id, after, end)
    return StreamingResponse(_bytes(pieces, stream), media_type="text/plain; charset=utf-8", headers=headers)


async def _bytes(pieces: AsyncIterator[LogPiece], stream: str | None) -> AsyncIterator[bytes]:
    async for piece in pieces:
        if stream is None or piece.stream in (stream, GAP):
            yield piece.data


async def _so_far(services: Services, task_id: str, at: int, end: int) -> AsyncIterator[LogPiece]:
    while at < end:
        pieces = await services.engine.read_log(task_id, at, min(end - at, _PIECE_BYTES))
        if not pieces:
            return
        for piece in pieces:
            # What is left out may have grown since, and then the rest begins behind the end that was told.
            if piece.stream == GAP or piece.next <= end:
                yield piece
            elif (surplus := piece.next - end) < len(piece.data):
                yield LogPiece(piece.after, end, piece.stream, piece.data[:-surplus])
        at = pieces[-1].next


@router.get(f"/{TASK_ID}/log/lines")
async def lines(
    task_id: str,
    services: ServicesDep,
    access: AccessDep,
    after: _Byte = None,
    before: _Byte = None,
    line: Annotated[int | None, Query(ge=1, le=_MOST_BYTES)] = None,
    tail: Annotated[int, Query(ge=0, le=1)] = 0,
    most: Annotated[int, Query(ge=1, le=MOST_LINES)] = 500,
) -> dict[str, Any]:
    """The lines from a byte or a line on, up to a byte, or the last ones, with where they are in the log."""
    if (after is not None) + (before is not None) + (line is not None) + tail > 1:
        raise InvalidInputError(what="Ask for lines by one of: after, before, line, tail.")
    has_ended = access.task.state.ended  # before the log is looked at: then nothing is added to it
    page = await services.engine.log_lines(access.task.id, most, after=after, before=before, line=line)
    return {
        "lines": [_line(each) for each in page.lines],
        "first": asdict(page.first),
        "end": asdict(page.end),
        "gaps": [{"after": first, "next": last} for first, last in page.gaps],
        "ended": has_ended,
    }


def _line(line: Line) -> dict[str, Any]:
    shown: dict[str, Any] = {name: getattr(line, name) for name in ("after", "next", "number", "stream", "text")}
    return shown | ({"is_partial": True} if line.is_partial else {}) | ({"cut": line.cut} if line.cut else {})


@router.get(f"/{TASK_ID}/log/search")
async def search(
    task_id: str,
    services: ServicesDep,
    access: AccessDep,
    q: Annotated[str, Query(min_length=1, max_length=LONGEST)],
    after: Annotated[int, Query(ge=0, le=_MOST_BYTES)] = 0,
    before: _Byte = None,
    ignore_case: Annotated[int, Query(ge=0, le=1)] = 0,
    most: Annotated[int, Query(ge=1, le=_MOST_HITS)] = 100,
) -> dict[str, Any]:
    """What is found in the log from a byte on in a tenth of a second, and where to search on."""
    if "\n" in q:
        raise InvalidInputError(what="A text with a line feed is found nowhere: a search is within lines.")
    async with services.searches.of(access.caller.session.id if access.caller.session else ""):
        looking = Search(q, ignore_case=bool(ignore_case))
        found = await services.engine.search_log(access.task.id, looking, after, before, most)
    return {"hits": [asdict(hit) for hit in found.hits], "next": found.next, "searched_to": found.searched_to}
