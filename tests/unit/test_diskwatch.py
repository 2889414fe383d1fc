"""Which tasks are stopped for the disk's sake, and how a task starts where there is no room."""

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.diskwatch import Holding, Start, may_start, to_stop
from lan_session_manager.workspace import Quota, Usage

MB = 1024 * 1024
QUOTA = Quota(50 * MB, 100)
PLENTY, RESERVE = 1 << 50, 1 << 30

usages = st.builds(Usage, bytes=st.integers(0, 200), files=st.integers(0, 20), complete=st.booleans())
quotas = st.builds(Quota, bytes=st.integers(0, 100), files=st.integers(0, 10))


@st.composite
def holdings(draw: st.DrawFn) -> list[Holding]:
    count = draw(st.integers(0, 5))
    return [
        Holding(
            draw(usages),
            draw(quotas),
            {f"{session}-{task}": draw(usages) for task in range(draw(st.integers(1, 3)))},
        )
        for session in range(count)
    ]


def _is_beyond(holding: Holding) -> bool:
    usage, quota = holding.usage, holding.quota
    return not usage.complete or usage.bytes > quota.bytes or usage.files > quota.files


@given(holdings())
def test_while_the_disk_has_room_only_sessions_beyond_their_quota_lose_tasks(found: list[Holding]) -> None:
    stopped = set(to_stop(found, PLENTY, RESERVE))
    for holding in found:
        if not _is_beyond(holding):
            assert not stopped & set(holding.before)


@given(holdings())
def test_a_session_that_came_to_be_beyond_its_quota_loses_all_of_its_tasks(found: list[Holding]) -> None:
    stopped = set(to_stop(found, PLENTY, RESERVE))
    for holding in found:
        if _is_beyond(holding):
            assert stopped >= {task for task, before in holding.before.items() if holding.quota.holds(before)}


@given(holdings())
def test_a_task_of_a_full_session_goes_on_as_long_as_the_session_does_not_grow(found: list[Holding]) -> None:
    stopped = set(to_stop(found, PLENTY, RESERVE))
    for holding in found:
        for task, before in holding.before.items():
            shrinks = holding.usage.bytes <= before.bytes and holding.usage.files <= before.files
            if holding.usage.complete and shrinks:
                assert task not in stopped


@given(holdings())
def test_a_disk_that_is_nearly_full_costs_the_session_that_has_grown_most_its_tasks(found: list[Holding]) -> None:
    more = set(to_stop(found, RESERVE - 1, RESERVE)) - set(to_stop(found, RESERVE, RESERVE))
    most = max((holding.grown for holding in found), default=0)
    if most > 0:
        assert any(
            holding.grown == most and more <= set(holding.before) <= set(to_stop(found, 0, RESERVE))
            for holding in found
        )
    else:
        assert not more


@given(holdings(), st.integers(0, 2 * RESERVE))
def test_whoever_is_stopped_is_told_why(found: list[Holding], free: int) -> None:
    assert all(why.endswith(".") for why in to_stop(found, free, RESERVE).values())


def test_what_is_said_has_both_figures_and_both_bounds() -> None:
    holding = Holding(Usage(73 * MB - 1, 7), QUOTA, {"t": Usage()})
    [why] = to_stop([holding], PLENTY, RESERVE).values()
    assert why == "The session's files took 73 MB in 7 files; it may have 50 MB in 100."


def test_a_task_starts_freely_within_the_quota() -> None:
    assert may_start(Usage(50 * MB, 100), QUOTA, PLENTY, RESERVE) == Start()


def test_a_task_of_a_full_session_or_on_a_full_disk_starts_but_cannot_write() -> None:
    for usage, free in ((Usage(50 * MB + 1), PLENTY), (Usage(0, 101), PLENTY), (Usage(), RESERVE - 1)):
        start = may_start(usage, QUOTA, free, RESERVE)
        assert (start.allowed, start.writes) == (True, False)
        assert "could delete files" in start.note


def test_a_task_of_a_session_far_beyond_its_quota_does_not_start() -> None:
    for usage in (Usage(2 << 30), Usage(0, 201), Usage(complete=False)):
        start = may_start(usage, QUOTA, PLENTY, RESERVE)
        assert not start.allowed
        assert "Delete files" in start.note


@given(usages, quotas, st.integers(0, 2 * RESERVE))
def test_whoever_may_not_write_is_told_why_and_whoever_may_not_start_may_not_write(
    usage: Usage, quota: Quota, free: int
) -> None:
    start = may_start(usage, quota, free, RESERVE)
    assert bool(start.note) is not start.writes
    assert start.allowed or not start.writes
