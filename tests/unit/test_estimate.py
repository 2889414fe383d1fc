"""When a task may start, from what tasks really took, and no finer than others may know."""

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.estimate import Durations, Expected, Took, coarse, starts


def test_the_same_command_counts_before_the_session_and_the_session_before_all() -> None:
    known = Durations([Took("a", "x", 10), Took("a", "x", 20), Took("a", "y", 100), Took("b", "x", 1000)])
    assert known.of("a", "x") == 15
    assert known.of("a", "new") == 20
    assert known.of("c", "x") == 60
    assert Durations([]).of("a", "x") is None


def test_a_task_starts_when_a_slot_is_free_and_its_session_may() -> None:
    running = [Expected("r1", "a", 30.0), Expected("r2", "a", 50.0)]
    queue = [Expected("b1", "b", 5.0), Expected("a1", "a", 5.0), Expected("a2", "a", 5.0)]
    assert starts(running, queue, 2, {}, 5) == {"b1": 30.0, "a1": 35.0, "a2": 40.0}
    assert starts(running, queue, 9, {"a": 2}, 5) == {"b1": 0.0, "a1": 30.0, "a2": 35.0}


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.1, 100)), max_size=6),
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.1, 100)), max_size=30),
    st.integers(1, 6),
    st.integers(1, 3),
)
def test_never_more_run_at_once_than_may(
    running: list[tuple[str, float]], queue: list[tuple[str, float]], slots: int, limit: int
) -> None:
    runs = [Expected(f"r{n}", *one) for n, one in enumerate(running[: min(slots, limit)])]
    line = [Expected(f"q{n}", *one) for n, one in enumerate(queue)]
    found = starts(runs, line, slots, {}, limit)
    spans = [("", one.session_id, 0.0, one.seconds) for one in runs]
    spans += [(one.task_id, one.session_id, found[one.task_id], found[one.task_id] + one.seconds) for one in line]
    for _, _, at, _ in spans:
        now = [session for _, session, begin, end in spans if begin <= at < end]
        assert all(now.count(session) <= limit for session in "ab")


@given(st.floats(0, 1e6))
def test_an_estimate_is_one_of_a_few_steps(seconds: float) -> None:
    assert coarse(seconds) in (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 86_400)
