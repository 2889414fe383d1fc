"""A client gets what its bucket has, is told when there is more, and nobody gets round that by being many."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.addresses import parse_address
from lan_session_manager.errors import TooManyRequestsError
from lan_session_manager.web.guards import error_response
from lan_session_manager.web.rates import FIGURES, Figure, Rate, Rates, network_of


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def _rates(clock: Clock, burst: int = 3, per_s: int = 30, most: int = 100) -> Rates:
    return Rates(clock, dict.fromkeys(Rate, Figure(burst, per_s)), most)


def _got(rates: Rates, *keys: str, rate: Rate = Rate.READ, cost: int = 1) -> bool:
    try:
        rates.take(rate, *keys, cost=cost)
    except TooManyRequestsError:
        return False
    return True


def test_every_rate_has_a_figure() -> None:
    assert set(FIGURES) == set(Rate)


def test_a_burst_is_let_be_and_what_comes_after_it_waits() -> None:
    clock = Clock()
    rates = _rates(clock)
    assert [_got(rates, "a") for _ in range(5)] == [True, True, True, False, False]
    with pytest.raises(TooManyRequestsError) as refused:
        rates.take(Rate.READ, "a")
    assert refused.value.facts == {"seconds": 10}
    answer = error_response(refused.value)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    clock.now += 10
    assert [_got(rates, "a") for _ in range(2)] == [True, False]


def test_keys_and_rates_do_not_count_for_each_other() -> None:
    rates = _rates(Clock(), burst=1)
    assert _got(rates, "a")
    assert _got(rates, "b")
    assert _got(rates, "a", rate=Rate.SUBMIT)
    assert not _got(rates, "a")


def test_of_several_keys_all_give_or_none() -> None:
    rates = _rates(Clock(), burst=2)
    assert _got(rates, "a")
    assert _got(rates, "a")
    assert not _got(rates, "a", "b")
    assert [_got(rates, "b") for _ in range(3)] == [True, True, False]


def test_to_look_takes_nothing() -> None:
    rates = _rates(Clock(), burst=1)
    for _ in range(3):
        rates.look(Rate.READ, "a")
    assert _got(rates, "a")
    with pytest.raises(TooManyRequestsError):
        rates.look(Rate.READ, "a")


_STEPS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 3)), min_size=1, max_size=60)


@given(steps=_STEPS, burst=st.integers(3, 7), per_s=st.integers(1, 50))
def test_in_any_span_no_more_is_given_than_a_burst_and_what_the_span_fills(
    steps: list[tuple[float, int]], burst: int, per_s: int
) -> None:
    clock = Clock()
    rates = _rates(clock, burst, per_s)
    given_at: list[tuple[float, int]] = []
    for pause, cost in steps:
        clock.now += pause
        if _got(rates, "a", cost=cost):
            given_at.append((clock.now, cost))
    for first, (begin, _) in enumerate(given_at):
        for last in range(first, len(given_at)):
            span = given_at[last][0] - begin
            assert sum(cost for _, cost in given_at[first : last + 1]) <= burst + span * burst / per_s + 1e-3


@given(steps=_STEPS, burst=st.integers(3, 7), per_s=st.integers(1, 50))
def test_who_waits_as_long_as_was_said_gets_it(steps: list[tuple[float, int]], burst: int, per_s: int) -> None:
    clock = Clock()
    rates = _rates(clock, burst, per_s)
    for pause, cost in steps:
        clock.now += pause
        try:
            rates.take(Rate.READ, "a", cost=cost)
        except TooManyRequestsError as error:
            seconds = error.facts["seconds"]
            assert isinstance(seconds, int)
            assert 1 <= seconds <= per_s + 1
            clock.now += seconds + 1e-6  # what a float loses of a nanosecond
            rates.take(Rate.READ, "a", cost=cost)


@given(before=st.integers(0, 30), keys=st.lists(st.integers(0, 40), max_size=200), pauses=st.lists(st.floats(0, 4)))
def test_a_flood_of_keys_never_fills_an_empty_bucket(before: int, keys: list[int], pauses: list[float]) -> None:
    clock = Clock()
    rates = _rates(clock, burst=3, per_s=600, most=8)
    for number in range(before):
        _got(rates, f"before {number}")
    start = clock.now
    while _got(rates, "a"):
        pass
    pauses_left = list(pauses)
    for key in keys:
        if pauses_left and clock.now + pauses_left[-1] < start + 190:  # one token comes after 200 s
            clock.now += pauses_left.pop()
        _got(rates, f"flood {key}")
        if before < 8:  # else "a" is one of those without a bucket of their own
            assert not _got(rates, "a")


def test_those_without_a_place_share_one_bucket_until_others_are_full_again() -> None:
    clock = Clock()
    rates = _rates(clock, burst=2, per_s=20, most=4)
    assert all(_got(rates, f"k{number}") for number in range(4))
    assert [_got(rates, f"late {number}") for number in range(3)] == [True, True, False]
    assert _got(rates, "k0"), "who has a bucket keeps it"
    clock.now += 10
    assert all(_got(rates, f"later {number}") for number in range(3)), "three are full again, so three have a place"
    assert [_got(rates, f"last {number}") for number in range(2)] == [True, False], "half of the shared one is back"


def test_memory_is_bounded_whatever_keys_come() -> None:
    clock = Clock()
    rates = _rates(clock, most=50)
    for number in range(5_000):
        clock.now += 0.01
        _got(rates, f"k{number}")
    [buckets] = [found for rate, found in rates._buckets.items() if rate is Rate.READ]
    assert len(buckets._full_at) <= 50


def test_sessions_are_made_by_address_and_by_mac_whichever_is_used_up_first() -> None:
    rates = _rates(Clock(), burst=2)

    def minted(address: str, mac: str | None) -> bool:
        try:
            rates.take_mint(parse_address(address), mac)
        except TooManyRequestsError:
            return False
        return True

    assert minted("10.0.0.1", "02:00:00:00:00:01")
    assert minted("10.0.0.2", "02:00:00:00:00:01")
    assert not minted("10.0.0.3", "02:00:00:00:00:01"), "one device with many addresses"
    assert minted("10.0.0.3", "02:00:00:00:00:03")
    assert minted("10.0.0.3", None)
    assert not minted("10.0.0.3", "02:00:00:00:00:04"), "one address with many MACs"
    assert minted("2001:db8::1", None)
    assert minted("2001:db8::2", None)
    assert not minted("2001:db8::3", None), "one network with many addresses"
    assert minted("2001:db8:0:1::3", None)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fd00::9", "fd00::/64"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("::1", "::1"),
    ],
)
def test_the_network_of_an_address_is_its_64_where_addresses_cost_nothing(address: str, network: str) -> None:
    assert network_of(parse_address(address)) == network


def test_figures_let_honest_use_be() -> None:
    uses: Mapping[Rate, int] = {Rate.MINT: 40, Rate.SUBMIT: 5_000, Rate.READ: 10_000, Rate.SOCKET: 100, Rate.LOGIN: 5}
    rates = Rates(Clock())
    for rate, times in uses.items():
        for _ in range(times):
            rates.take(rate, "a")
