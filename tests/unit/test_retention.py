"""Sessions that nobody comes back to go to the trash, and from there for good, unless their device comes back."""

import asyncio
from collections.abc import Callable

import pytest

from lan_session_manager import LANSessionManager
from lan_session_manager.errors import NotFoundError, SessionInUseError
from lan_session_manager.retention import DAY_S, TOLD_S, Retention
from lan_session_manager.sessions import Sessions
from lan_session_manager.states import SessionState
from lan_session_manager.store.records import EventKind, SessionRecord
from tests.unit.conftest import Clock

IP = "192.168.1.100"


class Kept:
    """A manager whose owner keeps sessions for 30 days and the trash for 7, with a log for each task."""

    def __init__(self, manager: LANSessionManager, clock: Clock) -> None:
        self.manager, self.clock = manager, clock
        self.forgotten: list[str] = []
        self.retention = Retention(manager.store, manager.sessions, manager.settings, self._forget)

    async def _forget(self, task_id: str) -> None:
        self.forgotten.append(task_id)

    def look(self) -> None:
        asyncio.run(self.retention.look(self.clock.now))

    def expired(self, ip: str = IP) -> SessionRecord:
        """A session with a file and a task that has ended, expired now."""
        session = self.manager.create_session(ip)
        (session.workspace / "inputs" / "data.csv").write_text("1,2")
        task = self.manager.submit_task(ip, "count", runner="swarm")
        self.manager.complete_task(task)
        self.manager.cleanup_session(ip)
        return self.record(session.session_id)

    def record(self, session_id: str) -> SessionRecord:
        session = self.manager.store.read.session(session_id)
        assert session is not None
        return session

    def trashed(self) -> SessionRecord:
        session = self.expired()
        self.retention.trash(session.id, self.clock.now).result()
        return session


@pytest.fixture
def kept(make_manager: Callable[..., LANSessionManager], clock: Clock) -> Kept:
    return Kept(make_manager(retention_days=30, trash_days=7), clock)


def test_the_owner_is_told_a_week_before_a_session_goes_and_when(kept: Kept) -> None:
    session = kept.expired()
    kept.clock.forward(30 * DAY_S - TOLD_S - 1)
    assert kept.retention.leaving(kept.clock.now) == []
    kept.clock.forward(2)
    (leaving,) = kept.retention.leaving(kept.clock.now)
    assert leaving.session.id == session.id
    assert leaving.to_trash_at == session.last_activity + 30 * DAY_S
    assert leaving.gone_at == leaving.to_trash_at + 7 * DAY_S


def test_a_session_goes_to_the_trash_after_its_days_and_not_a_second_before(kept: Kept) -> None:
    session = kept.expired()
    kept.clock.forward(30 * DAY_S - 1)
    kept.look()
    assert kept.record(session.id).trashed_at is None
    kept.clock.forward(1)
    kept.look()
    assert kept.record(session.id).trashed_at == kept.clock.now


def test_a_device_that_comes_back_has_its_session_out_of_the_trash_with_its_files(kept: Kept) -> None:
    session = kept.trashed()
    back = kept.manager.create_session(IP)
    assert back.session_id == session.id
    assert (back.workspace / "inputs" / "data.csv").read_text() == "1,2"
    kept.clock.forward(8 * DAY_S)
    kept.look()
    assert kept.record(session.id).trashed_at is None
    assert kept.record(session.id).state is not SessionState.ENDED


def test_what_the_owner_brings_back_is_kept_for_as_long_again(kept: Kept) -> None:
    session = kept.trashed()
    kept.retention.restore(session.id, kept.clock.now).result()
    kept.clock.forward(30 * DAY_S - 1)
    kept.look()
    assert kept.record(session.id).trashed_at is None


def test_after_the_days_in_the_trash_everything_goes_but_the_name(kept: Kept) -> None:
    session = kept.trashed()
    directory = kept.manager.data_dir / session.name
    kept.clock.forward(7 * DAY_S - 1)
    kept.look()
    assert directory.is_dir()
    kept.clock.forward(1)
    kept.look()
    assert not directory.exists()
    read = kept.manager.store.read
    assert kept.forgotten == [f"{session.namespace}_task_001"]
    assert read.task(kept.forgotten[0]) is None
    assert read.last_event_number(session.id) == 0
    assert read.session_of_address(IP) is None
    assert kept.record(session.id).state is SessionState.ENDED
    again = kept.manager.create_session(IP)
    assert again.session_id != session.id
    assert again.workspace.name != session.name


def test_a_removal_that_was_cut_short_is_gone_on_with_and_lets_nobody_in_meanwhile(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = kept.trashed()
    with monkeypatch.context() as broken:
        broken.setattr(kept.manager.sessions, "discard", _full)
        asyncio.run(kept.retention.purge(session.id, kept.clock.now))
    assert (kept.manager.data_dir / session.name).is_dir()
    assert kept.manager.create_session(IP).session_id != session.id
    kept.look()
    assert not (kept.manager.data_dir / session.name).exists()
    assert kept.manager.store.read.ended_with_rows() == []


def _full(session: SessionRecord) -> None:
    raise OSError(28, "No space left on device")


def test_a_session_with_a_live_task_stays_and_holds_up_no_other(kept: Kept) -> None:
    session, other = kept.trashed(), kept.expired("192.168.1.101")
    kept.retention.trash(other.id, kept.clock.now).result()
    tag = kept.manager.activity_tracker.tag_task
    tag(f"{session.namespace}_task_099", "USER_TRIGGERED", IP)  # an orchestrator's, whatever the session's state
    if kept.record(session.id).state is SessionState.LIVE:  # to speak of its address has brought it back
        kept.manager.store.write(lambda tx: tx.move_session(session.id, SessionState.EXPIRED, kept.clock.now)).result()
        kept.retention.trash(session.id, kept.clock.now).result()
    with pytest.raises(SessionInUseError):
        asyncio.run(kept.retention.purge(session.id, kept.clock.now))
    kept.clock.forward(7 * DAY_S)
    kept.look()
    assert kept.record(session.id).state is SessionState.EXPIRED
    assert kept.record(other.id).state is SessionState.ENDED


def test_only_what_is_in_the_trash_can_be_emptied_or_brought_back(kept: Kept) -> None:
    session = kept.expired()
    with pytest.raises(NotFoundError):
        asyncio.run(kept.retention.purge(session.id, kept.clock.now))
    with pytest.raises(NotFoundError):
        kept.retention.restore(session.id, kept.clock.now).result()
    kept.manager.create_session(IP)
    with pytest.raises(NotFoundError):
        kept.retention.trash(session.id, kept.clock.now).result()


def test_old_events_go_and_numbers_go_on(kept: Kept) -> None:
    session = kept.manager.create_session(IP)
    read, write = kept.manager.store.read, kept.manager.store.write
    for _ in range(5):
        write(lambda tx: tx.add_event(kept.clock.now, EventKind.WORKSPACE_CHANGED, session.session_id, None)).result()
    last = read.last_event_number(session.session_id)
    kept.clock.forward(31 * DAY_S)
    kept.look()
    events = read.events_of_session(session.session_id, 0, 100)
    assert events[0].number == last  # the newest of before is still there, and what the look did comes after it
    assert read.first_event_number(session.session_id) == last
    assert read.last_event_number(session.session_id) >= last


def test_of_a_session_with_too_many_events_the_newest_stay(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lan_session_manager.retention._EVENTS_KEPT", 10)
    monkeypatch.setattr("lan_session_manager.retention._EVENTS_AT_ONCE", 7)
    session = kept.manager.create_session(IP)
    for _ in range(40):
        kept.manager.store.write(
            lambda tx: tx.add_event(kept.clock.now, EventKind.WORKSPACE_CHANGED, session.session_id, None)
        ).result()
    read = kept.manager.store.read
    last = read.last_event_number(session.session_id)
    kept.look()
    numbers = [event.number for event in read.events_of_session(session.session_id, 0, 100)]
    assert numbers == list(range(last - 9, last + 1))


def test_a_clock_that_is_set_forward_sends_nothing_away(
    make_manager: Callable[..., LANSessionManager], clock: Clock
) -> None:
    kept = Kept(make_manager(retention_days=30, trash_days=7), clock)
    steady = Clock()
    sessions = Sessions(kept.manager.store, kept.manager.workspaces, kept.manager.settings, clock, steady)
    kept.retention = Retention(kept.manager.store, sessions, kept.manager.settings, kept._forget)
    trashed = kept.trashed()
    expired = kept.expired("192.168.1.101")
    clock.forward(400 * DAY_S)  # somebody sets it
    kept.look()
    assert kept.record(trashed.id).state is SessionState.EXPIRED
    assert kept.record(expired.id).trashed_at is None
    for _ in range(2):
        clock.forward(7 * DAY_S)
        steady.forward(7 * DAY_S)
        kept.look()
    assert kept.record(trashed.id).state is SessionState.ENDED
