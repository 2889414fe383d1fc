"""What tasks use is looked at, kept beside their logs, and never in anybody's way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lan_session_manager.engine import sampler as sampler_module
from lan_session_manager.engine.sampler import Sampler
from lan_session_manager.samples import Counts


class _Clock:
    """The monotonic clock as the test sets it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(sampler_module, "time", clock)
    return clock


def _busy(clock: _Clock) -> Callable[[], Counts]:
    return lambda: Counts(clock.now - 100, 1024 * 1024, 2 * 1024 * 1024)


def _look(sampler: Sampler, clock: _Clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.now += 1
        sampler.look()


def test_what_was_seen_is_kept_at_the_end_and_every_minute(tmp_path: Path, clock: _Clock) -> None:
    sampler = Sampler()
    sampler.begin("a", tmp_path, _busy(clock), 0.0)
    _look(sampler, clock, 59)
    assert not (tmp_path / "samples.json").exists()
    _look(sampler, clock, 1)
    assert len(Sampler().samples("a", tmp_path).points) == 60
    _look(sampler, clock, 3)
    sampler.end("a")
    assert len(Sampler().samples("a", tmp_path).points) == 63
    assert sampler.now() == {}


def test_a_later_server_goes_on_where_the_task_is_by_now(tmp_path: Path, clock: _Clock) -> None:
    first, second = Sampler(), Sampler()
    first.begin("a", tmp_path, _busy(clock), 0.0)
    _look(first, clock, 10)
    first.save_all()
    clock.now += 20
    second.begin("a", tmp_path, _busy(clock), 30.0)
    _look(second, clock, 1)
    times = [point.t_s for point in second.samples("a", tmp_path).points]
    assert times == [*range(1, 11), 31]


def test_a_task_that_nobody_counts_leaves_nothing(tmp_path: Path, clock: _Clock) -> None:
    sampler = Sampler()
    sampler.begin("a", tmp_path, lambda: None, 0.0)
    _look(sampler, clock, 70)
    sampler.end("a")
    assert sampler.now() == {}
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written_to_costs_the_picture_and_nothing_else(tmp_path: Path, clock: _Clock) -> None:
    sampler = Sampler()
    sampler.begin("a", tmp_path / "gone", _busy(clock), 0.0)
    _look(sampler, clock, 70)
    assert sampler.now()["a"].cpu_s == 70
    sampler.end("a")


def test_what_stands_in_the_place_of_a_record_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "samples.json").write_text('{"every_s": ')
    assert Sampler().samples("a", tmp_path).points == ()
