"""What the local engine keeps of one box beside the monitor's files: what was started, who stopped it, how it ended.

Small JSON files in the box's own directory, each written once and in one step. One that cannot be read, because the
host went down while it was written, counts as absent.
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lan_session_manager.destinations import NO_NETWORK
from lan_session_manager.engine.base import Ending, Job, Lease, Usage
from lan_session_manager.states import Reason


@dataclass(frozen=True)
class Started:
    """A box that was made. `group` is the name of its session's cgroup, `log_bytes` how much its log may take.

    0: an earlier version made it, which did not keep that. `network` is the name of its network profile, `monitor_read`
    how many bytes its monitor had read before the program began. `log_from` is the offset in the log of the first byte
    of this attempt, `begun_at` when it began by the monotonic clock of this boot, and `accepted_at` is that of its job:
    each None for one of an earlier version.
    """

    group: str
    lease: Lease
    log_bytes: int = 0
    network: str = NO_NETWORK
    monitor_read: int | None = None
    attempt: int = 1
    log_from: int = 0
    begun_at: float | None = None
    accepted_at: float | None = None

    def is_of(self, job: Job) -> bool:
        """Whether it is a box of that attempt of that very task."""
        is_same = self.accepted_at is None or job.accepted_at is None or self.accepted_at == job.accepted_at
        return is_same and self.attempt == job.attempt


@dataclass(frozen=True)
class Stop:
    """That somebody asked the box to stop: why, and when in Unix time."""

    reason: Reason
    at: float


class Records:
    """The records in the box directory `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save_started(self, started: Started) -> None:
        """Keep that the box is made; before its program begins."""
        self._save("started", asdict(started))

    def started(self) -> Started | None:
        """What was made, if anything."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            if (kept := self._load("started")) is not None:
                read, begun, accepted = kept.get("monitor_read"), kept.get("begun_at"), kept.get("accepted_at")
                return Started(
                    group=str(kept["group"]),
                    lease=Lease(**kept["lease"]),
                    log_bytes=int(kept.get("log_bytes", 0)),
                    network=str(kept.get("network", NO_NETWORK)),
                    monitor_read=None if read is None else int(read),
                    attempt=int(kept.get("attempt", 1)),
                    log_from=int(kept.get("log_from", 0)),
                    begun_at=None if begun is None else float(begun),
                    accepted_at=None if accepted is None else float(accepted),
                )
        return None

    def save_stop(self, stop: Stop) -> None:
        """Keep who stops the box; before it is told."""
        self._save("stop", asdict(stop))

    def stop(self) -> Stop | None:
        """Who stopped it, if anybody did."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            if (kept := self._load("stop")) is not None:
                return Stop(Reason(kept["reason"]), float(kept["at"]))
        return None

    def save_ending(self, ending: Ending) -> None:
        """Keep how it ended; before the box, and with it what the kernel counted, is removed."""
        self._save("ending", asdict(ending))

    def ending(self) -> Ending | None:
        """How it ended, if that is known."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            if (kept := self._load("ending")) is not None:
                return Ending(**{**kept, "reason": Reason(kept["reason"]), "usage": Usage(**kept["usage"])})
        return None

    def _save(self, name: str, record: dict[str, Any]) -> None:
        new = self._directory / f".{name}.new"
        new.write_text(json.dumps(record))
        new.replace(self._directory / f"{name}.json")

    def _load(self, name: str) -> dict[str, Any] | None:
        with contextlib.suppress(FileNotFoundError):
            record = json.loads((self._directory / f"{name}.json").read_bytes())
            return record if isinstance(record, dict) else None
        return None
