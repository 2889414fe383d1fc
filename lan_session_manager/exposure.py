"""To whom the server is open, given how well tasks are isolated. Pure."""

from dataclasses import dataclass
from ipaddress import ip_address

from lan_session_manager.activity import Isolation

THIS_MACHINE = "localhost"  # both loopback addresses, 127.0.0.1 and ::1


@dataclass(frozen=True)
class Exposure:
    """Where to listen. `notice` says why that is not where it was wished, and what to do; empty: it is."""

    host: str
    notice: tuple[str, ...] = ()


def exposure(wished: str, isolation: Isolation | None, accepted: str) -> Exposure:
    """Where a server listens that was told to listen at `wished`; `isolation` None: no task can run.

    Below the grade `full` only this machine is served, unless `accepted` is the grade, word for word. Where isolation
    has a hole nothing runs, and nothing can be accepted.
    """
    if _is_loopback(wished) or (isolation and (isolation.grade == "full" or is_accepted(isolation.grade, accepted))):
        return Exposure(wished)
    served = f"Served to this machine only, not at {wished}:"
    if isolation is None:
        why = f"{served} tasks cannot be isolated, so none is run."
        return Exposure(THIS_MACHINE, (why, "The doctor says what to mend: python -m lan_session_manager doctor"))
    return Exposure(
        THIS_MACHINE,
        (
            f"{served} isolation is {isolation.grade}, so one device's task could disturb the others and this machine.",
            "The doctor says what to mend: python -m lan_session_manager doctor",
            f'To serve the network all the same: LSM_ACCEPT_REDUCED_ISOLATION="{isolation.grade}"',
        ),
    )


def is_accepted(grade: str, accepted: str) -> bool:
    """Whether an owner who accepts `accepted` by name accepts this grade: a reduced one can be, a hole never."""
    return grade.startswith("reduced: ") and accepted == grade


def _is_loopback(host: str) -> bool:
    # Another name than this one is resolved elsewhere, and could be anything.
    try:
        return host == THIS_MACHINE or ip_address(host).is_loopback
    except ValueError:
        return False
