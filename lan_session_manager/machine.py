"""The machine's own figures: processor, memory, disk, and the load of the last half hour."""

import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from lan_session_manager.settings import MB

HISTORY_S = 30 * 60
_SAMPLE_S = 60


@dataclass(frozen=True)
class Machine:
    """One look at the machine."""

    name: str
    cpu_percent: float | None  # of all cores, since the look before; None on the first look
    memory_used_mb: int
    memory_total_mb: int
    disk_free_mb: int
    disk_total_mb: int


class Watch:
    """Looks at the machine now and then, and remembers how many tasks ran."""

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._history: deque[tuple[float, int]] = deque(maxlen=HISTORY_S // _SAMPLE_S + 1)
        self._looked = False
        self.machine = self._look()

    def look(self, running: int) -> Machine:
        """Look again, and remember `running`, the number of running tasks, once a minute at the most."""
        self.machine = self._look()
        now = self._clock()
        if not self._history or now - self._history[-1][0] >= _SAMPLE_S:
            self._history.append((now, running))
        return self.machine

    def history(self) -> list[tuple[float, int]]:
        """(Unix time in seconds, running tasks) of the last half hour, oldest first."""
        since = self._clock() - HISTORY_S - _SAMPLE_S
        return [sample for sample in self._history if sample[0] >= since]

    def _look(self) -> Machine:
        cpu = psutil.cpu_percent(interval=None)
        memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(self._data_dir))
        machine = Machine(
            name=socket.gethostname().partition(".")[0],
            cpu_percent=cpu if self._looked else None,
            memory_used_mb=(memory.total - memory.available) // MB,
            memory_total_mb=memory.total // MB,
            disk_free_mb=disk.free // MB,
            disk_total_mb=disk.total // MB,
        )
        self._looked = True
        return machine
