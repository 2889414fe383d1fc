"""A crash test from its beginning to its findings."""

import asyncio
import contextlib
import itertools
import time
from pathlib import Path
from typing import Any

from tests.crash.checks import Findings, SessionCheck, as_json, check_leftovers, database
from tests.crash.device import Device
from tests.crash.listener import Listener, listening
from tests.crash.plan import hits, steps
from tests.crash.revenant import Revenant

_ADDRESSES = ("127.0.31.1", "127.0.31.2", "127.0.31.3")
_EMPTY_S = 240.0  # for the queue, once nothing is submitted any more
_LAST_S = 60.0  # for the last events and logs, and for the last box to go


async def crash(place: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Blows and steps for so long, then the findings; `faults` of them is to be empty."""
    revenant = Revenant(place)
    try:
        return await _crash(revenant, seconds, seed)
    finally:
        await asyncio.to_thread(revenant.remove)


async def _crash(revenant: Revenant, seconds: float, seed: int) -> dict[str, Any]:
    found, begun = Findings(), time.monotonic()
    await revenant.come_back()
    devices = [Device(revenant, address, steps(seed, number)) for number, address in enumerate(_ADDRESSES)]
    listeners = [Listener(revenant, address) for address in _ADDRESSES]
    async with contextlib.AsyncExitStack() as stack:
        for device, listener in zip(devices, listeners, strict=True):
            stack.push_async_callback(device.client.aclose)
            await device.until_answered("GET", f"/api/session/{device.address}")
            await stack.enter_async_context(listening(listener))
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as work:
            for device in devices:
                work.create_task(device.run(until))
            work.create_task(_strike(revenant, until, seed))
        over = time.monotonic()
        await _emptied(revenant, found)
        emptied = time.monotonic()
        with database(revenant.data_dir) as connection:
            for device, listener in zip(devices, listeners, strict=True):
                last = connection.execute(
                    """SELECT coalesce(max(number), 0) FROM events WHERE kind NOT LIKE 'session\\_%' ESCAPE '\\'
                       AND session_id = (SELECT id FROM sessions WHERE address = ?)""",
                    (device.address,),
                ).fetchone()[0]
                heard = await listener.heard(last, _LAST_S)
                found.expect(
                    heard, f"{device.address} heard up to {listener.last}, not to {last}, or not all of its logs"
                )
                await SessionCheck(found, revenant, device, listener, connection).all()
    await _quiet(revenant, found)
    if "Traceback" in revenant.output:
        found.faults.append("the server's log has a traceback: " + _around_traceback(revenant.output))
    took = {"active": over - begun, "until_the_queue_was_empty": emptied - over, "checks": time.monotonic() - emptied}
    took = {phase: round(phase_s, 1) for phase, phase_s in took.items()}
    return as_json(found, revenant, seed=seed, seconds=took)


async def _strike(revenant: Revenant, until: float, seed: int) -> None:
    for hit in itertools.takewhile(lambda _: time.monotonic() < until, hits(seed)):
        await revenant.suffer(hit)


async def _emptied(revenant: Revenant, found: Findings) -> None:
    """Wait until every task has ended."""
    end = time.monotonic() + _EMPTY_S
    with database(revenant.data_dir) as connection:
        while True:
            left = connection.execute(
                "SELECT id, state, detail FROM tasks WHERE state IN ('queued', 'running')"
            ).fetchall()
            if not left:
                return
            if time.monotonic() > end:
                found.faults.append(f"tasks never ended: {[tuple(row) for row in left]}")
                return
            await asyncio.sleep(0.2)


async def _quiet(revenant: Revenant, found: Findings) -> None:
    """Nothing is left of the tasks: soon, as boxes go a moment after their ends are known, and after a stop."""
    end = time.monotonic() + _LAST_S
    while True:
        now = Findings()
        check_leftovers(now, revenant)
        if not now.faults or time.monotonic() > end:
            break
        await asyncio.sleep(0.2)
    found.faults += now.faults
    revenant.stop_s.append(await revenant.stopped())
    check_leftovers(found, revenant)


def _around_traceback(output: str) -> str:
    at = output.index("Traceback")
    return output[max(0, at - 500) : at + 2500]
