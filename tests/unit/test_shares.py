"""What a session has used counts, and less and less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager import LANSessionManager
from lan_session_manager.requests import Request
from lan_session_manager.shares import SLOT_SHARE, charge, decayed
from lan_session_manager.states import Reason
from lan_session_manager.store.records import LimitsRecord
from lan_session_manager.tasks import Result
from tests.unit.conftest import Clock

RUNNERS = ("shell", "python")


@given(st.floats(0, 1e9), st.floats(0, 1e7), st.floats(1, 1e5))
def test_a_share_halves_in_a_half_life_and_never_grows(used_s: float, age_s: float, half_life_s: float) -> None:
    assert decayed(used_s, half_life_s, half_life_s) == pytest.approx(used_s / 2)
    assert 0 <= decayed(used_s, age_s, half_life_s) <= used_s
    assert decayed(used_s, -age_s, half_life_s) == used_s  # the clock was set back


def test_who_holds_a_slot_without_using_it_is_charged_for_that() -> None:
    assert charge(3.0, 10.0) == 3.0
    assert charge(0.1, 100.0) == charge(None, 100.0) == SLOT_SHARE * 100.0


def _run(manager: LANSessionManager, clock: Clock, session: str, cpu_s: float, held_s: float) -> None:
    task = manager.tasks.submit(session, Request("true", "shell", time_s=600)).result()
    manager.tasks.start(task.id, "full").result()
    clock.now += held_s
    manager.tasks.finish(task.id, Result(Reason.EXIT, 0, clock.now, cpu_s=cpu_s)).result()


def test_a_task_is_charged_when_it_ends_and_that_decays(manager: LANSessionManager, clock: Clock) -> None:
    session = manager.create_session("192.168.1.100").session_id
    _run(manager, clock, session, 40.0, 10.0)
    read, half_life = manager.store.read, manager.settings.share_half_life_s
    assert manager.shares.loads(read, RUNNERS).of(session).used_s == pytest.approx(40.0)
    clock.now += half_life
    assert manager.shares.loads(read, RUNNERS).of(session).used_s == pytest.approx(20.0)
    _run(manager, clock, session, 5.0, 0.0)
    assert manager.shares.loads(read, RUNNERS).of(session).used_s == pytest.approx(25.0)


def test_a_clock_that_jumps_charges_nobody_more_than_a_task_may_take(manager: LANSessionManager, clock: Clock) -> None:
    session = manager.create_session("192.168.1.100").session_id
    _run(manager, clock, session, 0.0, 1e9)
    used_s = manager.shares.loads(manager.store.read, RUNNERS).of(session).used_s
    assert used_s == pytest.approx(SLOT_SHARE * 600)


def test_a_clock_that_jumps_counts_what_runs_for_no_more_than_it_may_take(
    manager: LANSessionManager, clock: Clock
) -> None:
    session = manager.create_session("192.168.1.100").session_id
    task = manager.tasks.submit(session, Request("true", "shell", time_s=600)).result()
    manager.tasks.start(task.id, "full").result()
    clock.now += 1e9
    used_s = manager.shares.loads(manager.store.read, RUNNERS).of(session).used_s
    assert used_s == pytest.approx(SLOT_SHARE * 600)


def test_what_runs_counts_by_what_it_has_used_so_far(manager: LANSessionManager, clock: Clock) -> None:
    session = manager.create_session("192.168.1.100").session_id
    task = manager.tasks.submit(session, Request("true", "shell", parallel_safe=False)).result()
    manager.tasks.start(task.id, "full").result()
    clock.now += 50
    load = manager.shares.loads(manager.store.read, RUNNERS).of(session)
    assert (load.running, load.is_alone) == (1, True)
    assert load.used_s == pytest.approx(SLOT_SHARE * 50)
    manager.shares.so_far = {task.id: 33.0}
    assert manager.shares.loads(manager.store.read, RUNNERS).of(session).used_s == 33.0


def test_the_owner_gives_a_weight(manager: LANSessionManager) -> None:
    session = manager.create_session("192.168.1.100").session_id
    manager.store.write(lambda tx: tx.set_limits(session, LimitsRecord(weight=3.0, max_concurrent_tasks=2))).result()
    load = manager.shares.loads(manager.store.read, RUNNERS).of(session)
    assert (load.weight, load.limit) == (3.0, 2)
