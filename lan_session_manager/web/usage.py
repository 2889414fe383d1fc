"""Tells dashboards what their running tasks use: to their own session alone, and only where somebody may look."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from lan_session_manager import runners
from lan_session_manager.activity import iso, now_view
from lan_session_manager.web.live import Hub, encode
from lan_session_manager.web.services import Services

_EVERY_S = 2.0


def tell_usage(hub: Hub, services: Services) -> Callable[[], Awaitable[None]]:
    """What does so until it is cancelled. No event: it has no id, and is not replayed."""
    manager = services.manager

    async def tell() -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            seen = hub.seen_sessions
            used = services.engine.used_now() if seen else {}
            if not used:
                continue
            found: dict[str, dict[str, Any]] = defaultdict(dict)
            for task_id, session_id, *_ in manager.store.read.running_facts(tuple(runners.SANDBOXED)):
                if session_id in seen and task_id in used:
                    found[session_id][task_id] = now_view(used[task_id])
            now = iso(manager.tasks.now())
            for session_id, usage in found.items():
                hub.tell_seen(session_id, encode({"event": "usage", "timestamp": now, "usage": usage}))

    return tell
