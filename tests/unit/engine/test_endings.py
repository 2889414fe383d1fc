"""What an exit code means, and what goes before it."""

import pytest

from lan_session_manager.engine.endings import ending_of
from lan_session_manager.sandbox.boxes import BoxEnd
from lan_session_manager.sandbox.cgroups import Reading
from lan_session_manager.states import Reason


@pytest.mark.parametrize(
    ("code", "oom_kills", "asked", "reason", "exit_code", "detail", "child"),
    [
        (0, 0, None, Reason.EXIT, 0, "", False),
        (128, 0, None, Reason.EXIT, 128, "", False),
        (255, 0, None, Reason.EXIT, 255, "", False),
        (193, 0, None, Reason.EXIT, 193, "", False),
        (143, 0, None, Reason.SIGNAL, 143, "SIGTERM", False),
        (137, 0, None, Reason.SIGNAL, 137, "SIGKILL", False),
        (160, 0, None, Reason.SIGNAL, 160, "", False),  # a signal without a name
        (137, 1, None, Reason.OUT_OF_MEMORY, 137, "", False),
        (0, 1, None, Reason.EXIT, 0, "", True),
        (1, 3, None, Reason.EXIT, 1, "", True),
        (143, 1, None, Reason.SIGNAL, 143, "SIGTERM", True),
        (137, 0, Reason.CANCELLED_BY_USER, Reason.CANCELLED_BY_USER, 137, "", False),
        (0, 0, Reason.SESSION_ENDED, Reason.SESSION_ENDED, 0, "", False),
        (137, 2, Reason.TIME_LIMIT, Reason.TIME_LIMIT, 137, "", True),
        (-1, 0, None, Reason.TIME_LIMIT, None, "", False),  # the monitor stopped it
        (-1, 0, Reason.CANCELLED_BY_ADMIN, Reason.CANCELLED_BY_ADMIN, None, "", False),
    ],
)
def test_reasons(
    code: int, oom_kills: int, asked: Reason | None, reason: Reason, exit_code: int | None, detail: str, child: bool
) -> None:
    ending = ending_of(BoxEnd(code, 12.5, Reading(0.25, 4096, oom_kills)), asked)
    assert (ending.reason, ending.exit_code, ending.detail, ending.child_out_of_memory) == (
        reason, exit_code, detail, child,
    )  # fmt: skip
    assert (ending.ended_at, ending.usage.cpu_s, ending.usage.memory_peak_bytes) == (12.5, 0.25, 4096)
