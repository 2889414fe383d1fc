"""One address, or many together, cannot take every connection: who has few always gets one."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lan_session_manager.addresses import parse_address
from lan_session_manager.web.seats import Seat, Seats, most_connections

_FDS: Iterator[int] = count(10)


class _Socket:
    def __init__(self) -> None:
        self.fd = next(_FDS)

    def fileno(self) -> int:
        return self.fd

    def setsockopt(self, *option: object) -> None: ...


class _Transport(asyncio.Transport):
    def __init__(self, address: str | None) -> None:
        name = None if address is None else (address, 40000) if ":" not in address else (address, 40000, 0, 0)
        super().__init__({"socket": _Socket(), "peername": name})
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


def _seats(most: int = 20, each: int = 4, spare: int = 1, proxies: tuple[str, ...] = ()) -> Seats:
    return Seats(frozenset(parse_address(proxy) for proxy in proxies), most, each, spare)


def _enter(seats: Seats, address: str, *, works: bool = True) -> Seat | None:
    seat = seats.enter(_Transport(address))
    if seat and works:
        seats.works(seat)
    return seat


def _is_aborted(seat: Seat) -> bool:
    assert isinstance(seat.transport, _Transport)
    return seat.transport.aborted


def test_a_peer_has_so_many_then_one_that_is_told_so_then_none() -> None:
    seats = _seats()
    got = [_enter(seats, "10.0.0.1") for _ in range(7)]
    assert [seat and seat.is_spare for seat in got] == [False] * 4 + [True, None, None]
    other = _enter(seats, "10.0.0.2")
    assert other
    assert not other.is_spare


def test_a_peer_at_its_bound_gives_up_the_connection_that_has_waited_longest() -> None:
    seats = _seats()
    got = [_enter(seats, "10.0.0.1", works=number != 1 and number != 2) for number in range(4)]
    new = _enter(seats, "10.0.0.1")
    assert new
    assert not new.is_spare
    assert [seat and _is_aborted(seat) for seat in got] == [False, True, False, False]


def test_a_place_that_is_left_is_free_again_and_left_only_once() -> None:
    seats = _seats()
    got = [_enter(seats, "10.0.0.1") for _ in range(4)]
    assert got[0]
    seats.leave(got[0])
    seats.leave(got[0])
    assert len(seats) == 3
    new = _enter(seats, "10.0.0.1")
    assert new
    assert not new.is_spare


def test_when_all_is_taken_who_has_the_most_gives_one_up_to_who_has_none() -> None:
    seats = _seats(most=10)
    crowd = [_enter(seats, f"10.0.0.{peer}") for peer in (1, 1, 1, 1, 2, 2, 2, 3, 3, 3)]
    assert _enter(seats, "10.0.0.9")
    assert [seat and _is_aborted(seat) for seat in crowd].index(True) == 3, "the youngest of the peer with the most"
    assert len(seats) == 10


def test_when_all_is_taken_by_as_few_as_the_newcomer_has_only_who_waits_gives_way() -> None:
    seats = _seats(most=3)
    crowd = [_enter(seats, f"10.0.0.{peer}") for peer in (1, 2, 3)]
    assert _enter(seats, "10.0.0.9") is None
    assert crowd[1]
    seats.waits(crowd[1])
    assert _enter(seats, "10.0.0.9")
    assert _is_aborted(crowd[1])


def test_addresses_of_one_ipv6_network_have_half_of_the_places_together() -> None:
    seats = _seats(most=20)
    for host in range(1, 40):
        _enter(seats, f"2001:db8::{host:x}")
    assert len(seats) == 10
    assert all(_enter(seats, f"2001:db8:0:1::{host:x}") for host in range(1, 11))
    for host in range(40):
        _enter(seats, f"fe80::{host:x}")
    assert len(seats) == 20, "addresses of a link have no network that anybody may take"


def test_a_proxy_has_no_bound_of_its_own_and_loses_nothing() -> None:
    seats = _seats(most=10, proxies=("10.0.0.8",))
    through = [_enter(seats, "10.0.0.8", works=False) for _ in range(9)]
    assert _enter(seats, "10.0.0.1")
    assert _enter(seats, "10.0.0.2", works=False) is None
    assert not any(seat is None or seat.is_spare or _is_aborted(seat) for seat in through)


def test_a_connection_that_goes_on_under_tls_keeps_its_place() -> None:
    seats = _seats()
    plain = _Transport("10.0.0.1")
    seat = seats.enter(plain)
    assert seats.enter(plain) is seat
    assert len(seats) == 1


def test_a_peer_that_is_gone_before_it_is_known_has_none() -> None:
    assert _seats().enter(_Transport(None)) is None


@pytest.mark.parametrize(("files", "most"), [(64, 32), (1024, 512), (4096, 2048), (12_000, 7_904), (1 << 20, 10_000)])
def test_connections_leave_descriptors_for_everything_else(files: int, most: int) -> None:
    assert most_connections(files) == most


_STEP = st.tuples(st.sampled_from(["enter", "enter", "enter", "leave", "waits", "works"]), st.integers(0, 12))


@settings(max_examples=300)
@given(steps=st.lists(_STEP, max_size=120))
def test_whatever_comes_and_goes_the_bounds_hold_and_who_has_none_gets_one(steps: list[tuple[str, int]]) -> None:
    seats = _seats(most=12, each=4, spare=2)
    held: list[Seat] = []
    for step, number in steps:
        address = f"10.0.0.{number}" if number < 6 else f"2001:db8::{number:x}"
        if step == "enter":
            counted = Counter(seat.peer.name for seat in held)
            seat = _enter(seats, address)
            heaviest = max(counted.values(), default=0)
            if counted[address] + 1 < heaviest and number < 6:
                assert seat, "who has few is not refused for one who has more"
            held = [kept for kept in held if not _is_aborted(kept)] + ([seat] if seat else [])
        elif held:
            seat = held[number % len(held)]
            if step == "leave":
                held.remove(seat)
            getattr(seats, step)(seat)
        counted = Counter(seat.peer.name for seat in held)
        assert len(seats) == len(held) <= 12
        assert max(counted.values(), default=0) <= 6
        assert sum(count for name, count in counted.items() if ":" in name) <= 6
    for seat in held:
        seats.leave(seat)
    assert len(seats) == 0
    assert not seats._peers
    assert not seats._networks
    assert not any(seats._all.ranks)
