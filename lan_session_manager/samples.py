"""What a running task uses, over its time: as many points as a picture has room for, however long the task runs. Pure.

A series begins with one point a second. When it is full, two neighbours become one and each further point stands for
twice as long: the picture of five seconds and that of five hours are equally fine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

MOST_POINTS = 240
_LEAST_S = 0.05  # between two looks: in less the processor time that the kernel counts says nothing
_MB = 1024 * 1024


@dataclass(frozen=True)
class Counts:
    """What the kernel has counted of a task at one moment. `memory_bytes` None: nobody counts its memory."""

    cpu_s: float
    memory_bytes: int | None
    memory_peak_bytes: int


@dataclass(frozen=True)
class Now:
    """What a running task uses now: `cores` in the last second or so, and with it what it has used so far."""

    memory_mb: float | None
    cores: float
    cpu_s: float
    memory_peak_mb: float


@dataclass(frozen=True)
class Point:
    """The most memory, and the processor cores on average, up to `t_s` seconds after the start of the task."""

    t_s: float
    memory_mb: float | None
    cores: float


@dataclass(frozen=True)
class Samples:
    """The points of a task, oldest first, with how many seconds each stands for."""

    every_s: float = 1.0
    points: Sequence[Point] = ()


class Series:
    """The samples of one task as they are taken."""

    def __init__(self, every_s: float = 1.0) -> None:
        self.every_s = every_s
        self._points: list[Point] = []
        self._open: list[tuple[float, Point]] = []  # of the point that comes next: seconds, and what was so in them
        self._last: tuple[float, float] = (0.0, 0.0)  # seconds after the start, processor time until then
        self._now: Now | None = None

    @property
    def now(self) -> Now | None:
        """What was seen last; None before the first look."""
        return self._now

    @property
    def t_s(self) -> float:
        """When it was looked at last, in seconds after the start of the task."""
        return self._last[0]

    def add(self, t_s: float, counts: Counts) -> None:
        """Take in what was counted until `t_s`; a look right after the last one, or before it, changes nothing."""
        before_s, cpu_s = self._last
        passed_s = t_s - before_s
        if passed_s < _LEAST_S:
            return
        cores = max(0.0, counts.cpu_s - cpu_s) / passed_s
        self._last = (t_s, counts.cpu_s)
        memory_mb = None if counts.memory_bytes is None else round(counts.memory_bytes / _MB, 1)
        self._now = Now(memory_mb, round(cores, 3), round(counts.cpu_s, 3), round(counts.memory_peak_bytes / _MB, 1))
        self._open.append((passed_s, Point(t_s, memory_mb, cores)))
        if sum(seconds for seconds, _ in self._open) >= self.every_s * 0.95:  # a look comes a little early or late
            self._close()

    def samples(self) -> Samples:
        """What is known so far, with the point that is not complete yet."""
        points = [*self._points, *([_together(self._open)] if self._open else [])]
        return Samples(self.every_s, tuple(points))

    def _close(self) -> None:
        self._points.append(_together(self._open))
        self._open.clear()
        if len(self._points) < MOST_POINTS:
            return
        starts = [0.0, *(point.t_s for point in self._points)]
        parts = [(max(0.0, point.t_s - start), point) for start, point in zip(starts, self._points, strict=False)]
        self._points = [_together(parts[at : at + 2]) for at in range(0, len(parts), 2)]
        self.every_s *= 2

    def kept(self) -> dict[str, Any]:
        """It as JSON."""
        found = self.samples()
        rows = [[round(point.t_s, 1), point.memory_mb, round(point.cores, 3)] for point in found.points]
        return {"every_s": found.every_s, "cpu_s": self._last[1], "points": rows}

    @classmethod
    def from_kept(cls, kept: object) -> Self:
        """What `kept` gave; an empty one for anything else."""
        series = cls()
        if not isinstance(kept, dict):
            return series
        try:
            points = [Point(float(t), None if mb is None else float(mb), float(c)) for t, mb, c in kept["points"]]
            every_s, cpu_s = float(kept["every_s"]), float(kept["cpu_s"])
        except (KeyError, TypeError, ValueError):
            return series
        series.every_s = max(1.0, every_s)
        series._points = points[: MOST_POINTS - 1]
        series._last = (points[-1].t_s if points else 0.0, cpu_s)
        return series


def _together(parts: Sequence[tuple[float, Point]]) -> Point:
    """One point for several: the highest memory, as that is what meets a limit, and the mean of the processor."""
    seconds = sum(passed for passed, _ in parts)
    cores = sum(passed * point.cores for passed, point in parts) / seconds if seconds else parts[-1][1].cores
    memory = max((point.memory_mb for _, point in parts if point.memory_mb is not None), default=None)
    return Point(parts[-1][1].t_s, memory, cores)
