"""What the end of a box means for its task."""

import contextlib
import signal

from lan_session_manager.engine.base import Ending, Usage
from lan_session_manager.sandbox.boxes import BoxEnd
from lan_session_manager.sandbox.cgroups import Reading
from lan_session_manager.sandbox.monitor import TIMED_OUT
from lan_session_manager.states import Reason

_SIGNAL_CODES = range(129, 129 + 64)


def ending_of(end: BoxEnd, asked: Reason | None, *, is_log_cut: bool = False) -> Ending:
    """The ending that an exit code means, in the way of a shell.

    Above 128 it is a signal: a program that itself ends with such a code cannot be told from one that was ended by the
    signal, as the first process of a box tells its monitor nothing but a code, and `detail` says so. 137 (KILL) with a
    kill for memory in the box is the memory limit, and 153 (XFSZ) the limit of a file's size, which comes from the
    session's quota. If somebody asked the task to stop, why they did (`asked`) goes before everything that the program
    made of it.
    """
    code, detail = end.code, ""
    killed_for_memory = end.used.oom_kills > 0
    if asked is not None:
        reason = asked
    elif code == TIMED_OUT:
        reason = Reason.TIME_LIMIT
    elif code == 128 + signal.SIGKILL and killed_for_memory:
        reason = Reason.OUT_OF_MEMORY
    elif code == 128 + signal.SIGXFSZ:
        reason, detail = Reason.DISK_QUOTA, "A file would have grown beyond what all files of the session may take."
    elif code in _SIGNAL_CODES:
        reason = Reason.SIGNAL
        with contextlib.suppress(ValueError):
            detail = f"{signal.Signals(code - 128).name}, or exit code {code} of its own: these look alike."
    else:
        reason = Reason.EXIT
        if code != 0 and end.used.forks_refused:
            detail = _met_limit(end.used.pids_limit)
    if is_log_cut and not detail:
        detail = "It printed more than its log may hold: the middle was left out."
    return Ending(
        reason=reason,
        exit_code=None if code == TIMED_OUT else code,
        ended_at=end.at,
        usage=usage_of(end.used),
        child_out_of_memory=killed_for_memory and reason is not Reason.OUT_OF_MEMORY,
        detail=detail,
    )


def _met_limit(pids: int) -> str:
    if pids:
        return f"The task met its limit of {pids} processes and threads."
    return "The session's tasks together met their limit of processes and threads."


def usage_of(used: Reading) -> Usage:
    """What a box has used, as its task's usage."""
    return Usage(cpu_s=used.cpu_s, memory_peak_bytes=used.memory_peak_bytes)
