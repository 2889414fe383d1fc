"""What a task uses over its time is kept in a bounded number of points that tell of all of it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.samples import MOST_POINTS, Counts, Series

MB = 1024 * 1024


def _run(seconds: int, *, memory_mb: int = 10, cores: float = 0.5) -> Series:
    series = Series()
    for t in range(1, seconds + 1):
        series.add(float(t), Counts(cores * t, memory_mb * MB, memory_mb * MB))
    return series


def test_five_seconds_are_five_points() -> None:
    found = _run(5).samples()
    assert [point.t_s for point in found.points] == [1, 2, 3, 4, 5]
    assert {point.cores for point in found.points} == {0.5}
    assert {point.memory_mb for point in found.points} == {10.0}


def test_five_hours_are_as_many_points_as_a_picture_has_room_for_and_reach_over_all_of_it() -> None:
    found = _run(5 * 3600).samples()
    assert MOST_POINTS / 2 <= len(found.points) <= MOST_POINTS
    assert found.points[0].t_s <= 2 * found.every_s
    assert found.points[-1].t_s == 5 * 3600
    assert all(abs(point.cores - 0.5) < 1e-6 for point in found.points)


@given(at=st.integers(1, 3000))
def test_the_highest_memory_is_never_averaged_away(at: int) -> None:
    series = Series()
    for t in range(1, 3001):
        series.add(float(t), Counts(0.0, (900 if t == at else 10) * MB, 900 * MB))
    assert max(point.memory_mb or 0 for point in series.samples().points) == 900


@given(steps=st.lists(st.tuples(st.floats(-1, 5), st.floats(0, 4)), max_size=600))
def test_the_processor_time_is_all_in_the_points_whenever_it_was_looked_at(steps: list[tuple[float, float]]) -> None:
    series, t, cpu, seen = Series(), 0.0, 0.0, 0.0
    for passed, used in steps:
        t, cpu = t + passed, cpu + used
        before = series.t_s
        series.add(t, Counts(cpu, None, 0))
        seen = cpu if series.t_s > before else seen
    found = series.samples()
    starts = [0.0, *(point.t_s for point in found.points)]
    total = sum(point.cores * (point.t_s - start) for start, point in zip(starts, found.points, strict=False))
    assert abs(total - seen) < 1e-3 + seen * 1e-6
    assert len(found.points) <= MOST_POINTS


def test_a_later_server_goes_on_with_what_an_earlier_one_kept() -> None:
    series = Series.from_kept(json.loads(json.dumps(_run(300).kept())))
    series.add(400.0, Counts(0.5 * 400, 20 * MB, 20 * MB))
    found = series.samples()
    assert found.points[-1].t_s == 400
    assert abs(found.points[-1].cores - 0.5) < 1e-6
    assert found.points[0].t_s <= 4


def test_what_is_no_record_of_samples_counts_as_none() -> None:
    records: list[object] = [None, [], {"points": 3}, {"every_s": "x", "cpu_s": 1, "points": []}, {"points": [[1]]}]
    for kept in records:
        assert Series.from_kept(kept).samples().points == ()


def test_now_is_the_last_look() -> None:
    series = Series()
    assert series.now is None
    series.add(2.0, Counts(1.0, 5 * MB, 7 * MB))
    assert series.now is not None
    assert (series.now.cores, series.now.memory_mb, series.now.memory_peak_mb, series.now.cpu_s) == (0.5, 5, 7, 1)
