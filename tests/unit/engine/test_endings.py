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
        (143, 0, None, Reason.SIGNAL, 143, "SIGTERM, or exit code 143 of its own: these look alike.", False),
        (137, 0, None, Reason.SIGNAL, 137, "SIGKILL, or exit code 137 of its own: these look alike.", False),
        (
            153,
            0,
            None,
            Reason.DISK_QUOTA,
            153,
            "A file would have grown beyond what all files of the session may take.",
            False,
        ),
        (153, 0, Reason.CANCELLED_BY_USER, Reason.CANCELLED_BY_USER, 153, "", False),
        (160, 0, None, Reason.SIGNAL, 160, "", False),  # a signal without a name
        (137, 1, None, Reason.OUT_OF_MEMORY, 137, "", False),
        (0, 1, None, Reason.EXIT, 0, "", True),
        (1, 3, None, Reason.EXIT, 1, "", True),
        (143, 1, None, Reason.SIGNAL, 143, "SIGTERM, or exit code 143 of its own: these look alike.", True),
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


@pytest.mark.parametrize(
    ("code", "refused", "limit", "detail"),
    [
        (1, 3, 256, "The task met its limit of 256 processes and threads."),
        (1, 3, 0, "The session's tasks together met their limit of processes and threads."),
        (0, 3, 256, ""),  # it did without them
        (1, 0, 0, ""),
        (143, 3, 256, "SIGTERM, or exit code 143 of its own: these look alike."),
    ],
)
def test_a_task_that_failed_and_met_a_limit_of_processes_is_told_which(
    code: int, refused: int, limit: int, detail: str
) -> None:
    ending = ending_of(BoxEnd(code, 1.0, Reading(forks_refused=refused, pids_limit=limit)), None)
    assert ending.detail == detail
    assert ending.reason is (Reason.SIGNAL if code == 143 else Reason.EXIT)


def test_a_task_that_printed_more_than_its_log_holds_is_told_unless_there_is_more_to_tell() -> None:
    full = ending_of(BoxEnd(0, 1.0, Reading()), None, is_log_cut=True)
    assert (full.reason, full.detail) == (
        Reason.EXIT,
        "It printed more than its log may hold: the middle was left out.",
    )
    assert ending_of(BoxEnd(143, 1.0, Reading()), None, is_log_cut=True).detail.startswith("SIGTERM")
