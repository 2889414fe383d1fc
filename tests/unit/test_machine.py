"""What the machine's figures tell of a small company: nothing that one of two could pin on the other."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.activity import in_steps
from lan_session_manager.machine import Watch

QUARTER = 15 * 60
START = 1_000.0 * QUARTER


class Clock:
    now = START

    def __call__(self) -> float:
        return self.now


def _history(samples: list[tuple[float, int, int]], now: float) -> list[tuple[float, int]]:
    clock = Clock()
    watch = Watch(Path("/"), clock)
    for clock.now, running, active in samples:
        watch.look(running, active)
    clock.now = now
    return watch.history(8)


def _minutes(count: int) -> list[float]:
    return [START + 60.0 * number for number in range(count)]


def test_of_three_devices_on_the_minutes_are_shown() -> None:
    samples = [(at, number % 4, 3) for number, at in enumerate(_minutes(20))]
    assert _history(samples, samples[-1][0]) == [(at, running) for at, running, _ in samples]


def test_of_two_devices_a_quarter_is_one_mean_and_only_when_it_is_over() -> None:
    samples = [(at, 5, 2) for at in _minutes(20)]
    assert _history(samples, samples[-1][0]) == [(START + QUARTER / 2, 4)]
    assert _history(samples[:15], START + QUARTER - 1) == []


def test_a_moment_alone_with_another_is_not_shown_when_more_have_come() -> None:
    samples = [(at, 1 if number == 3 else 0, 2 if number < 5 else 9) for number, at in enumerate(_minutes(15))]
    assert _history(samples, START + QUARTER) == [(START + QUARTER / 2, 0)]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2)), min_size=1, max_size=46))
def test_whatever_two_devices_do_no_minute_of_it_is_told(counts: list[tuple[int, int]]) -> None:
    samples = [(at, running, active) for at, (running, active) in zip(_minutes(len(counts)), counts, strict=True)]
    points = _history(samples, samples[-1][0])
    assert all(at % QUARTER == QUARTER / 2 and running % 2 == 0 for at, running in points)


@given(st.floats(0, 10**7), st.floats(1, 10**6))
def test_a_figure_is_told_in_whole_steps_and_never_too_high(figure: float, step: float) -> None:
    told = in_steps(figure, step)
    assert told <= figure
    assert figure - told < step + 1
