"""One request over plain HTTP and its answer, read and written anew on both sides."""

import asyncio
import contextlib

import h11

from lan_session_manager.egress.heads import answer_of, news_of
from lan_session_manager.egress.streams import Stream

_ANSWER_HEAD = 64 * 1024


async def exchange(task: Stream, asked: h11.Connection, target: Stream, request: h11.Request) -> bool:
    """Send the request on, its body too, and give the answer to the task; then that connection is to be closed.

    `asked` has read the head of the request, and may have read some of its body. False: there was no answer, and the
    task was told nothing. Raises OSError and h11.ProtocolError where an answer breaks off.
    """
    there = h11.Connection(h11.CLIENT, max_incomplete_event_size=_ANSWER_HEAD)
    await target.send(_bytes(there.send(request)))
    upload = asyncio.ensure_future(_upload(task, asked, target, there))
    try:
        await _download(task, asked, target, there)
    except (OSError, h11.ProtocolError):
        if asked.our_state is h11.SEND_RESPONSE:
            return False
        raise
    finally:
        upload.cancel()
        await asyncio.wait([upload])
        if not upload.cancelled():
            upload.exception()
    return True


async def _upload(task: Stream, asked: h11.Connection, target: Stream, there: h11.Connection) -> None:
    # The other side may answer before it has all, and stop reading: then this one ends, and the answer counts.
    with contextlib.suppress(OSError, h11.ProtocolError):
        while True:
            event = asked.next_event()
            if event is h11.NEED_DATA:
                asked.receive_data(await task.receive())
            elif isinstance(event, h11.Data):
                await target.send(_bytes(there.send(h11.Data(data=bytes(event.data)))))
            elif isinstance(event, h11.EndOfMessage):
                await target.send(_bytes(there.send(h11.EndOfMessage())))
                return
            else:
                return


async def _download(task: Stream, asked: h11.Connection, target: Stream, there: h11.Connection) -> None:
    while True:
        event = there.next_event()
        if event is h11.NEED_DATA:
            there.receive_data(await target.receive())
        elif isinstance(event, h11.InformationalResponse):
            if asked.their_http_version != b"1.0":
                await task.send(_bytes(asked.send(news_of(event))))
        elif isinstance(event, h11.Response):
            await task.send(_bytes(asked.send(answer_of(event))))
        elif isinstance(event, h11.Data):
            await task.send(_bytes(asked.send(h11.Data(data=bytes(event.data)))))
        elif isinstance(event, h11.EndOfMessage):
            await task.send(_bytes(asked.send(h11.EndOfMessage())))
            return
        else:
            raise h11.RemoteProtocolError("the connection ended before its answer")


def _bytes(data: bytes | None) -> bytes:
    return data or b""
