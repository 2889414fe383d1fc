"""The machine's own figures: processor, memory, disk, and the load of the last half hour."""

import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import psutil

from lan_session_manager.settings import MB

HISTORY_S = 30 * 60
_SAMPLE_S = 60
_CROWD = 3  # of fewer devices, each could tell from a sample what another one did
_COARSE_S = 15 * 60


@dataclass(frozen=True)
class Machine:
    """One look at the machine."""

    name: str
    cpu_percent: float | None  # of all cores, since the look before; None on the first look
    memory_used_mb: int
    memory_total_mb: int
    disk_free_mb: int
    disk_total_mb: int


@dataclass(frozen=True)
class _Sample:
    at: float
    running: int
    active: int


class Watch:
    """Looks at the machine now and then, and remembers how many tasks ran."""

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._history: deque[_Sample] = deque(maxlen=(HISTORY_S + _COARSE_S) // _SAMPLE_S + 1)
        self._looked = False
        self.machine = self._look()

    def look(self, running: int, active: int) -> Machine:
        """Look again, and remember, once a minute at the most, how many tasks run and how many devices are active."""
        self.machine = self._look()
        now = self._clock()
        if not self._history or now - self._history[-1].at >= _SAMPLE_S:
            self._history.append(_Sample(now, running, active))
        return self.machine

    def history(self, capacity: int) -> list[tuple[float, int]]:
        """(Unix time in seconds, running tasks) of the last half hour, oldest first, of a machine that runs `capacity`.

        A quarter of an hour in which fewer than three devices were active at some moment is one mean in quarters of the
        capacity, and is there when it is over: a single sample would tell one of two devices about the other.
        """
        since = self._clock() - HISTORY_S - _SAMPLE_S
        step = max(1, round(capacity / 4))
        points = []
        for quarter, together in groupby(self._history, lambda sample: sample.at // _COARSE_S):
            samples = list(together)
            if all(sample.active >= _CROWD for sample in samples):
                points += [(sample.at, sample.running) for sample in samples]
            elif (quarter + 1) * _COARSE_S <= self._clock():
                mean = sum(sample.running for sample in samples) / len(samples)
                points.append(((quarter + 0.5) * _COARSE_S, round(mean / step) * step))
        return [point for point in points if point[0] >= since]

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
