"""The queue as a whole, in simulated time: the same code as in the server, with tasks that only pass time."""

import pytest

from tests.bench.queue_sim import Simulation, Work, jain, unequal_floods


def test_ten_devices_with_unequal_floods_get_equal_parts_within_a_minute() -> None:
    simulation = unequal_floods(60.0)
    assert jain([simulation.used_by(f"d{number}") for number in range(10)]) >= 0.95


def test_a_flood_of_a_thousand_does_not_hold_up_one_task_of_another_device() -> None:
    simulation = Simulation(2)
    simulation.submit("flood", [Work(1.0, 1.0)] * 1000)
    simulation.run(10.5)
    (single,) = simulation.submit("single", [Work(1.0, 1.0)])
    simulation.run(12.0)
    assert simulation.starts_before[single] == 0
    assert simulation.started[single] == 10.5, "the newcomers' slot was free"


def test_of_many_newcomers_each_starts_before_any_more_of_the_flood() -> None:
    simulation = Simulation(2)
    flood = simulation.submit("flood", [Work(1.0, 1.0)] * 1000)
    simulation.run(10.5)
    before = sum(task in simulation.started for task in flood)
    newcomers = [simulation.submit(f"n{number}", [Work(1.0, 1.0)])[0] for number in range(20)]
    while not all(task in simulation.started for task in newcomers):
        assert sum(task in simulation.started for task in flood) == before
        simulation.run(simulation.now + 0.1)


def test_sleepers_are_shared_by_the_time_that_they_hold_slots() -> None:
    simulation = Simulation(4)
    for number in range(10):
        simulation.submit(f"d{number}", [Work(0.0, 1.0)] * (20 * (number + 2)))
    simulation.run(60.0)
    ends = [0] * 10
    for task in simulation.started:
        ends[int(simulation.session_of(task)[1:])] += 1
    assert jain(ends) >= 0.95


def test_weights_are_kept() -> None:
    simulation = Simulation(4, limit=9)
    simulation.weights["heavy"] = 3.0
    for session in ("heavy", "light"):
        simulation.submit(session, [Work(1.0, 1.0)] * 3000)
    simulation.run(600.0)
    assert simulation.used_by("heavy") / simulation.used_by("light") == pytest.approx(3.0, rel=0.1)


def test_who_used_much_long_ago_is_equal_to_the_others_again() -> None:
    simulation = Simulation(2, half_life_s=10.0)
    simulation.submit("early", [Work(1.0, 1.0)] * 100)
    simulation.run(200.0)
    for session in ("early", "late"):
        simulation.submit(session, [Work(1.0, 1.0)] * 100)
    before = simulation.used_by("early")
    simulation.run(240.0)
    assert simulation.used_by("early") - before == pytest.approx(simulation.used_by("late"), rel=0.1)
