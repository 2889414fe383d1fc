"""What each session has used, decayed: the ledger of the fair share.

At a task's end what it used is added to its session's share in the same transaction; what runs counts by what it has
used so far. A share halves in every half-life, so that who used much is equal to the others again soon.
"""

from collections.abc import Callable, Mapping, Sequence

from lan_session_manager.schedule import Load, Loads
from lan_session_manager.settings import Settings
from lan_session_manager.store import Reads, Transaction

_FORGOTTEN = 30  # half-lives after which a share is forgotten: of a year 0.03 s are left
SLOT_SHARE = 0.1  # a task is charged at least this part of a core for the time that it holds its slot


def decayed(used_s: float, age_s: float, half_life_s: float) -> float:
    """What is left of a share after that time; a clock that was set back lets nothing grow."""
    return float(used_s * 0.5 ** (max(0.0, age_s) / half_life_s))


def charge(cpu_s: float | None, held_s: float) -> float:
    """What a task costs that has used so much processor time and held a slot for so long, in seconds."""
    return max(cpu_s or 0.0, SLOT_SHARE * max(0.0, held_s))


def add_charge(tx: Transaction, session_id: str, cost_s: float, now: float, half_life_s: float) -> None:
    """Add what a task has cost to its session's share."""
    used_s, at = tx.share_of(session_id)
    tx.keep_share(session_id, decayed(used_s, now - at, half_life_s) + cost_s, now)


def forget_old(tx: Transaction, now: float, half_life_s: float) -> None:
    """Forget what counts for nothing any more."""
    tx.forget_shares(now - _FORGOTTEN * half_life_s)


class Shares:
    """What sessions have used, with what their tasks that run now have used so far."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        # Processor seconds of running tasks, by their ids: of those that an engine of this process runs.
        self.so_far: Mapping[str, float] = {}

    def loads(self, read: Reads, runners: Sequence[str]) -> Loads:
        """The loads of the sessions that have used something, run something that one of `runners` runs, are paused, or
        have more or less than the others from the owner.
        """
        now, half_life = self._clock(), self._settings.share_half_life_s
        limits, weights = read.concurrency_of_sessions(), read.weights_of_sessions()
        paused = read.paused_sessions()
        used = {session: decayed(used_s, now - at, half_life) for session, used_s, at in read.shares()}
        running: dict[str, int] = {}
        alone: set[str] = set()
        for task_id, session, started_at, time_s, parallel_safe in read.running_facts(runners):
            running[session] = running.get(session, 0) + 1
            # As at its end: whoever sets the clock lets no task hold a slot for longer than it may run.
            held_s = min(now - started_at, time_s)
            used[session] = used.get(session, 0.0) + charge(self.so_far.get(task_id), held_s)
            if not parallel_safe:
                alone.add(session)
        usual = self._settings.max_concurrent_tasks
        known = {
            session: Load(
                limits.get(session, usual),
                running.get(session, 0),
                session in alone,
                used.get(session, 0.0),
                weights.get(session, 1.0),
                session in paused,
            )
            for session in {*limits, *weights, *used, *paused}
        }
        return Loads(Load(usual), known)
