"""A connection is told each event once, in order, whether as it happens or by a replay."""

import asyncio
from typing import Any, cast

from lan_session_manager.web.live import Client


def test_an_event_that_a_dashboard_or_a_replay_has_told_does_not_come_again() -> None:
    async def got() -> list[str]:
        client = Client(*(cast(Any, None) for _ in range(3)))
        client.told = 4  # what its first dashboard covers
        for number in (3, 4, 5, 6, 5, 6, 7):
            client.send_event(number, f"event {number}")
        return [await client.outbox.get() for _ in range(3)]

    assert asyncio.run(got()) == ["event 5", "event 6", "event 7"]
