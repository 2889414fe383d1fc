"""What is written down of a visit: nothing when nothing changes, and then all of it at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lan_session_manager import LANSessionManager
from lan_session_manager.addresses import parse_address
from lan_session_manager.errors import BusyError, CarryError, DeviceNeededError, NotFoundError
from lan_session_manager.identity.carry import Given
from lan_session_manager.identity.decide import Seen
from lan_session_manager.identity.devices import hash_of, new_token
from lan_session_manager.identity.settle import look, settle_claim, settle_move
from lan_session_manager.states import SessionState
from lan_session_manager.store.device_writes import KEPT_ADDRESSES, KEPT_DEVICES, KEPT_FORMER
from lan_session_manager.store.records import DeviceKind, DeviceRecord
from tests.unit.conftest import Clock

V4, OTHER_V4, V6 = "192.168.1.100", "192.168.1.101", "2001:db8::100"
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def seen(address: str = V4, mac: str | None = A, *, token: str | None = None, on_link: bool = True) -> Seen:
    return Seen(parse_address(address), mac, on_link, hash_of(token) if token else None)


def enrol(manager: LANSessionManager, here: Seen, **wanted: bool) -> tuple[DeviceRecord, str]:
    token = new_token()
    return manager.sessions.add_device(here, DeviceKind.BROWSER, "Browser", hash_of(token), **wanted), token


def test_another_host_at_a_known_address_gets_a_session_and_a_workspace_of_its_own(manager: LANSessionManager) -> None:
    first, second = manager.sessions.open(seen()), manager.sessions.open(seen(mac=B))
    assert (first.name, second.name) == ("192_168_1_100", "192_168_1_100-2")
    assert manager.sessions.open(seen(mac=B)).id == second.id
    assert manager.store.read.session(first.id) is not None


def test_a_device_whose_address_was_taken_has_its_session_by_its_secret_and_its_address_back(
    manager: LANSessionManager,
) -> None:
    device, token = enrol(manager, seen())
    stranger = manager.sessions.open(seen(mac=B))
    assert manager.sessions.open(seen(token=token)).id == device.session_id != stranger.id
    assert manager.sessions.open(seen()).id == device.session_id


def test_who_comes_back_to_an_address_is_who_it_was_there_and_makes_no_third_session(
    manager: LANSessionManager,
) -> None:
    first, second = manager.sessions.open(seen()), manager.sessions.open(seen(mac=B))
    for _ in range(5):
        assert manager.sessions.open(seen()).id == first.id
        assert manager.sessions.open(seen(mac=B)).id == second.id
    assert manager.sessions.open(seen(mac=None, on_link=False)).id not in (first.id, second.id)
    assert manager.sessions.open(seen()).id == first.id
    assert manager.sessions.open(seen(mac=B)).id == second.id
    assert manager.store.read.live_session_count() == 3


def test_what_an_address_named_before_does_not_bring_back_a_forgotten_device(manager: LANSessionManager) -> None:
    device, token = enrol(manager, seen())
    heir = manager.sessions.open(seen(mac=B))
    manager.sessions.open(seen(OTHER_V4, token=token))
    manager.store.write(lambda tx: tx.remove_device(device.id, 1.0)).result()
    again = manager.sessions.open(seen(token=token))
    assert again.id not in (device.session_id, heir.id)
    manager.sessions.open(seen(mac=B))
    assert manager.sessions.open(seen()).id == again.id


def test_what_an_address_named_before_does_not_bring_back_who_has_begun_anew(manager: LANSessionManager) -> None:
    first = manager.sessions.open(seen())
    manager.sessions.open(seen(mac=B))
    fresh, _ = enrol(manager, seen(), fresh=True)
    manager.sessions.open(seen(mac=B))
    assert manager.sessions.open(seen()).id == fresh.session_id != first.id
    enrol(manager, seen(), fresh=True)  # nothing tells the two devices apart: the address is shared
    for mac in (A, B):
        with pytest.raises(DeviceNeededError):
            manager.sessions.open(seen(mac=mac))


def test_a_guest_that_was_sent_away_does_not_come_back_by_a_mac_of_its_own(manager: LANSessionManager) -> None:
    owner, token = enrol(manager, seen())
    guest, guests_token = enrol(manager, seen(OTHER_V4, B))
    manager.store.write(
        lambda tx: settle_move(tx, seen(OTHER_V4, B, token=guests_token), guest.id, owner.session_id, 1.0)
    ).result()
    manager.sessions.open(seen(mac=B, token=guests_token))  # at the owner's address
    manager.sessions.open(seen("192.168.1.102", "02:00:00:00:00:0c", token=guests_token))
    manager.store.write(lambda tx: tx.move_device(guest.id, guest.home_session_id, 2.0)).result()
    assert manager.sessions.open(seen(mac=B)).id != owner.session_id
    assert manager.sessions.open(seen(token=token)).id == owner.session_id


def test_a_code_does_not_outlive_the_device_that_gave_it(manager: LANSessionManager) -> None:
    giver, _ = enrol(manager, seen())
    other, _ = enrol(manager, seen())
    taker, _ = enrol(manager, seen(OTHER_V4, B))

    def claim(device: DeviceRecord) -> DeviceRecord:
        given = Given(device.id, giver.session_id)
        return manager.store.write(lambda tx: settle_claim(tx, seen(OTHER_V4, B), taker.id, given, 1.0)).result()

    manager.store.write(lambda tx: tx.remove_device(giver.id, 1.0)).result()
    with pytest.raises(CarryError):
        claim(giver)
    assert claim(other).session_id == giver.session_id
    manager.store.write(lambda tx: tx.move_session(giver.session_id, SessionState.ENDED, 1.0)).result()
    with pytest.raises(CarryError):
        claim(other)


def test_a_dead_token_is_not_made_a_device_again(manager: LANSessionManager) -> None:
    device, token = enrol(manager, seen())
    here = seen(token=token)
    manager.store.write(lambda tx: tx.remove_device(device.id, 1.0)).result()
    with pytest.raises(NotFoundError):  # it was known when the request came
        manager.sessions.add_device(here, DeviceKind.BROWSER, "Browser", hash_of(token), fresh=True)
    assert look(manager.store.read, here).device is None


def test_a_guest_that_forgets_itself_is_forgotten_at_home_too(manager: LANSessionManager) -> None:
    owner, _ = enrol(manager, seen())
    guest, _ = enrol(manager, seen(OTHER_V4, B))
    there = seen("192.168.1.102", B)
    manager.store.write(lambda tx: settle_move(tx, there, guest.id, owner.session_id, 1.0)).result()
    manager.store.write(lambda tx: tx.remove_device(guest.id, 2.0)).result()
    for here in (seen(OTHER_V4, B), there):
        assert manager.sessions.open(here).id not in (owner.session_id, guest.home_session_id)
    assert manager.sessions.open(seen()).id == owner.session_id


def test_ipv4_and_ipv6_of_one_device_are_one_session(manager: LANSessionManager) -> None:
    assert manager.sessions.open(seen(V6)).id == manager.sessions.open(seen(V4)).id
    assert manager.sessions.open(seen(OTHER_V4)).id == manager.sessions.open(seen(V6)).id
    assert manager.sessions.open(seen("2001:db8::101", mac=B)).id != manager.sessions.open(seen(V6)).id


def test_a_neighbour_that_is_lost_for_a_moment_is_asked_to_wait(manager: LANSessionManager) -> None:
    manager.sessions.open(seen())
    with pytest.raises(BusyError):
        manager.sessions.open(seen(mac=None))
    assert manager.store.read.live_session_count() == 1


def test_an_expired_session_comes_back_for_its_device_and_for_its_address(
    manager: LANSessionManager, clock: Clock
) -> None:
    device, token = enrol(manager, seen())
    for here in (seen(), seen(OTHER_V4, token=token)):
        clock.forward(1_000_000)
        manager.sessions.expire_idle()
        session = manager.sessions.open(here)
        assert (session.id, session.state) == (device.session_id, SessionState.LIVE)


def test_an_ended_session_is_nobodys(manager: LANSessionManager) -> None:
    device, token = enrol(manager, seen())
    manager.store.write(lambda tx: tx.move_session(device.session_id, SessionState.ENDED, 1.0)).result()
    assert look(manager.store.read, seen(token=token)).session is None
    assert manager.sessions.open(seen(token=token)).id != device.session_id


def test_a_forgotten_device_begins_anew_at_both_kinds_of_address(manager: LANSessionManager) -> None:
    device, token = enrol(manager, seen())
    assert manager.sessions.open(seen(V6)).id == device.session_id
    manager.store.write(lambda tx: tx.remove_device(device.id, 1.0)).result()
    assert manager.sessions.open(seen(V6, token=token)).id != device.session_id
    assert manager.sessions.open(seen(token=token)).id != device.session_id


def test_a_shared_address_stays_so_when_a_device_of_it_is_forgotten(manager: LANSessionManager) -> None:
    here = seen(mac=None, on_link=False)
    device, _ = enrol(manager, here)
    enrol(manager, here, fresh=True)
    manager.store.write(lambda tx: tx.remove_device(device.id, 1.0)).result()
    with pytest.raises(DeviceNeededError):
        manager.sessions.open(here)


def test_first_visits_at_once_make_one_session(manager: LANSessionManager) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: manager.sessions.open(seen()).id, range(16)))) == 1


def test_a_visit_that_changes_nothing_writes_nothing(manager: LANSessionManager, clock: Clock) -> None:
    device, token = enrol(manager, seen())
    session = manager.sessions.open(seen(token=token))
    here = seen(token=token)
    found = look(manager.store.read, here)
    assert found.verdict.change is None
    assert found.device is not None
    version = manager.store.version()
    for _ in range(10):
        clock.forward(0.4)
        manager.sessions.refresh(session, here, found.device)
    manager.store.write(lambda _: None).result()
    assert manager.store.version() == version
    clock.forward(5)
    manager.sessions.refresh(session, here, found.device)
    manager.store.write(lambda _: None).result()
    touched = manager.store.read.device(device.id)
    assert touched is not None
    assert touched.last_seen == clock.now


def test_a_request_is_known_by_two_reads(manager: LANSessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = enrol(manager, seen())
    read, counted = manager.store.read, list[str]()
    for name in ("_one", "_all"):
        real: Callable[..., object] = getattr(read, name)

        def counting(sql: str, *values: object, _real: Callable[..., object] = real) -> object:
            counted.append(sql)
            return _real(sql, *values)

        monkeypatch.setattr(read, name, counting)
    for here in (seen(token=token), seen()):
        counted.clear()
        assert look(read, here).session is not None
        assert len(counted) <= 2


def test_what_one_session_can_have_written_down_is_bounded(manager: LANSessionManager) -> None:
    device, token = enrol(manager, seen())
    for number in range(KEPT_ADDRESSES + 5):
        manager.sessions.open(seen(f"10.0.0.{number}", token=token))
    assert len(manager.store.read.addresses_of(device.session_id)) == KEPT_ADDRESSES
    for _ in range(KEPT_DEVICES + 5):
        enrol(manager, seen("10.0.0.104"))
    assert len(manager.store.read.devices_of(device.session_id)) == KEPT_DEVICES


def test_what_addresses_named_before_is_bounded(manager: LANSessionManager, clock: Clock) -> None:
    first = manager.sessions.open(seen())
    for number in range(KEPT_FORMER + 1):  # after the first one, so that it is the oldest
        clock.forward(1)
        manager.sessions.open(seen(mac=f"02:00:00:00:01:{number:02x}"))
    assert len(manager.store.read._all("SELECT 1 FROM former_bindings WHERE address = ?", V4)) == KEPT_FORMER
    assert manager.sessions.open(seen()).id != first.id


def test_sessions_that_were_seen_last_at_one_address_are_all_listed(manager: LANSessionManager) -> None:
    for mac in (A, B, "02:00:00:00:00:0c"):
        manager.sessions.open(seen(mac=mac))
    listed = manager.get_all_sessions_info()
    assert list(listed["sessions"]) == [V4, f"{V4}-2", f"{V4}-3"]
    assert listed["total_sessions"] == 3
    assert {session["ip"] for session in listed["sessions"].values()} == {V4}
