"""What a transfer has open is closed with it, however it ends."""

import asyncio
import contextlib
import threading
from collections.abc import Generator

from lan_session_manager.web.routes_files import chunks_of
from lan_session_manager.web.turns import Threads


def test_what_a_client_does_not_wait_for_is_closed_and_not_only_forgotten() -> None:
    reads, go_on, is_closed = threading.Event(), threading.Event(), threading.Event()

    def pieces() -> Generator[bytes, None, None]:
        try:
            reads.set()
            go_on.wait(10)
            yield b"first"
            yield b"second"
        finally:
            is_closed.set()

    kept = pieces()  # as a circle of references keeps it

    async def first() -> bytes:
        return await anext(chunks_of(Threads(), "a session", kept, None))

    async def main() -> None:
        taking = asyncio.create_task(first())
        await asyncio.to_thread(reads.wait, 10)
        taking.cancel()
        go_on.set()
        with contextlib.suppress(asyncio.CancelledError):
            await taking

    asyncio.run(main())
    assert is_closed.is_set()
