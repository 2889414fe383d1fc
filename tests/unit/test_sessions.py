"""A session is created, refreshed, expires when idle, and comes back with its files."""

import json
from collections.abc import Callable
from functools import partial

import pytest

from lan_session_manager import LANSessionManager, sessions
from lan_session_manager.addresses import parse_address
from lan_session_manager.errors import AddressError
from lan_session_manager.requests import Request
from lan_session_manager.sessions import Sessions
from lan_session_manager.states import Reason, SessionState, TaskState
from lan_session_manager.store import Transaction
from lan_session_manager.store.records import LimitsRecord
from tests.unit.conftest import Clock

IP = "192.168.1.100"
ADDRESS = parse_address(IP)


def test_a_session_has_its_workspace_on_disk(manager: LANSessionManager) -> None:
    session = manager.create_session(IP)
    assert session.workspace.name == "192_168_1_100"
    assert {entry.name for entry in session.workspace.iterdir()} == {"inputs", "outputs", "temp", "session.json"}
    assert json.loads((session.workspace / "session.json").read_text())["ip"] == IP


def test_a_visit_alone_makes_no_directory(manager: LANSessionManager) -> None:
    before = set(manager.data_dir.iterdir())
    manager.get_user_dashboard_data(IP)
    manager.submit_task(IP, "count")
    manager.cleanup_session(IP)
    assert set(manager.data_dir.iterdir()) == before


def test_creating_again_refreshes_the_live_session(manager: LANSessionManager, clock: Clock) -> None:
    first = manager.create_session(IP)
    clock.forward(60)
    second = manager.create_session("::ffff:192.168.1.100")
    assert first.session_id == second.session_id
    assert second.last_activity.timestamp() == clock.now


@pytest.mark.parametrize("ip", ["", "..", "not an address", "1.2.3", "1.2.3.4/../..", "\x00", "9" * 1_000_000])
def test_what_is_no_address_gets_no_session_and_no_directory(manager: LANSessionManager, ip: str) -> None:
    before = set(manager.data_dir.iterdir())
    for call in (manager.create_session, manager.get_user_dashboard_data, manager.get_session):
        with pytest.raises(AddressError):
            call(ip)
    with pytest.raises(AddressError):
        manager.submit_task(ip, "count")
    assert set(manager.data_dir.iterdir()) == before
    assert manager.store.read.live_session_count() == 0


def test_a_session_expires_after_its_idle_time_and_not_a_second_before(
    make_manager: Callable[..., LANSessionManager], clock: Clock
) -> None:
    manager = make_manager(session_timeout_minutes=1)
    session = manager.create_session(IP)
    clock.forward(59)
    assert manager.sessions.expire_idle() == []
    assert not session.is_expired()
    clock.forward(1)
    assert session.is_expired()
    assert manager.get_session(IP) is None
    assert [expired.address for expired in manager.sessions.expire_idle()] == [IP]


def test_a_session_with_a_live_task_does_not_expire(manager: LANSessionManager, clock: Clock) -> None:
    manager.submit_task(IP, "count", runner="shell", command="wc")
    clock.forward(1_000_000)
    assert manager.sessions.expire_idle() == []
    assert manager.get_session(IP) is not None


def test_a_device_that_comes_back_finds_its_session_its_files_and_its_numbers(
    manager: LANSessionManager, clock: Clock
) -> None:
    session = manager.create_session(IP)
    manager.submit_task(IP, "Write a report")
    (session.workspace / "outputs" / "kept.txt").write_text("kept")
    manager.cleanup_session(IP)
    assert manager.get_session(IP) is None
    clock.forward(1_000_000)
    again = manager.create_session(IP)
    assert again.session_id == session.session_id
    assert (again.workspace / "outputs" / "kept.txt").read_text() == "kept"
    assert manager.submit_task(IP, "Write another") == "user_192_168_1_100_task_002"


def test_ending_a_session_cancels_what_waits_and_marks_what_runs(manager: LANSessionManager) -> None:
    waiting = manager.submit_task(IP, "count", runner="shell", command="wc")
    running = manager.submit_task(IP, "count", runner="shell", command="wc")
    manager.tasks.start(running, "full").result()
    manager.cleanup_session(IP)
    read = manager.store.read
    ended, marked = read.task(waiting), read.task(running)
    assert ended is not None
    assert marked is not None
    assert (ended.state, ended.reason) == (TaskState.CANCELLED, Reason.SESSION_ENDED)
    assert (marked.state, marked.stop_reason) == (TaskState.RUNNING, Reason.SESSION_ENDED)


def test_every_session_has_a_range_of_host_users_of_its_own(manager: LANSessionManager) -> None:
    uids = {manager.create_session(f"10.0.0.{n}").workspace.stat().st_uid for n in range(1, 6)}
    assert len(uids) == 5
    assert 0 not in uids


def test_a_name_is_never_given_twice(manager: LANSessionManager) -> None:
    first = manager.create_session(IP)
    manager.store.write(lambda tx: tx.move_session(first.session_id, SessionState.ENDED, 1.0)).result()
    second = manager.create_session(IP)
    assert second.session_id != first.session_id
    assert second.workspace.name == "192_168_1_100-2"
    assert manager.submit_task(IP, "Write a report") == "user_192_168_1_100-2_task_001"


def test_a_session_that_was_only_looked_at_goes_when_user_ids_are_scarce(
    make_manager: Callable[..., LANSessionManager], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make_manager(session_timeout_minutes=1)
    for number in range(1, 6):
        manager.get_user_dashboard_data(f"10.0.0.{number}")
    kept = manager.create_session(IP)
    clock.forward(61)
    assert len(manager.sessions.expire_idle()) == 6
    read = manager.store.read
    assert manager.sessions.make_room() == 0
    assert read.session_count() == 6
    monkeypatch.setattr(sessions, "last_slot", lambda: 10)
    assert manager.sessions.make_room() == 5
    assert [read.last_session_at(f"10.0.0.{number}") for number in range(1, 6)] == [None] * 5
    assert read.next_user_slot() == 0
    again = manager.create_session("10.0.0.9")
    assert again.workspace.stat().st_uid != kept.workspace.stat().st_uid
    assert manager.create_session(IP).session_id == kept.session_id


def test_a_session_that_anybody_needs_is_kept_though_it_is_empty(
    make_manager: Callable[..., LANSessionManager], clock: Clock
) -> None:
    manager = make_manager(session_timeout_minutes=1)
    store = manager.store
    names = ["with_task", "with_limits", "shared"]
    needed = {name: manager.sessions.open(parse_address(f"10.0.0.{n}")) for n, name in enumerate(names, 1)}
    manager.submit_task("10.0.0.1", "count")
    manager.cleanup_session("10.0.0.1")
    store.write(lambda tx: tx.set_limits(needed["with_limits"].id, LimitsRecord(memory_mb=99))).result()
    store.write(lambda tx: tx.share("10.0.0.3", clock.now)).result()
    clock.forward(61)
    manager.sessions.expire_idle()
    for session in needed.values():
        assert not store.write(partial(Transaction.remove_unused_session, session_id=session.id)).result()
        assert store.read.session(session.id) is not None


def test_looking_does_not_write_for_every_request(manager: LANSessionManager, clock: Clock) -> None:
    manager.create_session(IP)
    version = manager.store.version()
    for _ in range(10):
        assert manager.sessions.live(ADDRESS)
    manager.store.write(lambda _: None).result()
    assert manager.store.read.last_event_id() == 1
    assert manager.store.version() == version


def test_files_are_moved_under_no_box_not_even_before_its_lease_is_kept(manager: LANSessionManager) -> None:
    session = manager.store.read.session(manager.create_session(IP).session_id)
    assert session is not None

    def may_move(*, is_starting: bool) -> bool:
        is_idle = manager.sessions.workspace(session, is_starting=is_starting).is_idle
        return is_idle is not None and is_idle()

    def run() -> None:
        request = Request(description="count", runner="shell", command="wc")
        manager.tasks.start(manager.tasks.submit(session.id, request).result().id, "full").result()

    assert may_move(is_starting=False)
    run()
    assert may_move(is_starting=True)  # for the task itself, before its box is made
    assert not may_move(is_starting=False)  # for a visit at that moment
    run()
    assert not may_move(is_starting=True)  # the other one may have a box by now


def test_every_request_counts_to_the_second_though_not_every_one_is_written(
    make_manager: Callable[..., LANSessionManager], clock: Clock
) -> None:
    sessions = (manager := make_manager(session_timeout_minutes=1)).sessions
    manager.create_session(IP)
    clock.forward(4)
    assert sessions.live(ADDRESS)
    clock.forward(59)
    assert sessions.expire_idle() == []
    clock.forward(1)
    assert len(sessions.expire_idle()) == 1


def test_the_end_of_a_task_counts_as_use(make_manager: Callable[..., LANSessionManager], clock: Clock) -> None:
    manager = make_manager(session_timeout_minutes=1)
    task_id = manager.submit_task(IP, "count", runner="swarm")
    clock.forward(1000)
    manager.complete_task(task_id)
    clock.forward(59)
    assert manager.sessions.expire_idle() == []
    clock.forward(1)
    assert len(manager.sessions.expire_idle()) == 1


def test_a_dashboard_in_sight_keeps_a_session_and_its_end_is_counted_from_when_it_went(
    make_manager: Callable[..., LANSessionManager], clock: Clock
) -> None:
    sessions = (manager := make_manager(session_timeout_minutes=1)).sessions
    session = sessions.open(ADDRESS)
    sessions.watch(frozenset({session.id}))
    clock.forward(1000)
    assert sessions.expires_at(session) is None
    assert sessions.expire_idle() == []
    sessions.watch(frozenset())
    assert sessions.expires_at(session) == sessions.next_expiry() == clock.now + 60
    clock.forward(59)
    assert sessions.expire_idle() == []
    clock.forward(1)
    assert len(sessions.expire_idle()) == 1
    assert manager.store.read.live_session_count() == 0


@pytest.mark.parametrize("set_by", [86_400.0, -86_400.0])
def test_a_clock_that_is_set_expires_nobody_and_keeps_nobody_longer(
    make_manager: Callable[..., LANSessionManager], clock: Clock, set_by: float
) -> None:
    manager = make_manager(session_timeout_minutes=1)
    steady = Clock()
    sessions = Sessions(manager.store, manager.workspaces, manager.settings, clock, steady)

    def pass_by(seconds: float) -> None:
        clock.forward(seconds)
        steady.forward(seconds)

    sessions.open(ADDRESS)
    pass_by(30)
    clock.forward(set_by)
    assert sessions.peek(ADDRESS)
    assert sessions.expire_idle() == []
    pass_by(29)
    assert sessions.peek(ADDRESS)
    assert sessions.expire_idle() == []
    pass_by(1)
    assert sessions.peek(ADDRESS) is None
    assert len(sessions.expire_idle()) == 1
