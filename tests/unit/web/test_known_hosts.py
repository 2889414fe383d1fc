"""A server is known by its own addresses and names and by what its owner allows; by nothing that others can make."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.hosts import parse_host
from lan_session_manager.names import Own
from lan_session_manager.web.known_hosts import KnownHosts

OWN = Own(frozenset({"lab", "lab.local"}), frozenset({"192.168.1.5", "fe80::5", "2001:db8::5"}))


class _Machine:
    def __init__(self) -> None:
        self.own = OWN
        self.now = 0.0
        self.looks = 0

    def look(self) -> Own:
        self.looks += 1
        return self.own


@pytest.fixture
def machine() -> _Machine:
    return _Machine()


@pytest.fixture
def known(machine: _Machine) -> KnownHosts:
    return KnownHosts(["page.example", "10.9.9.9", "[2001:db8::9]"], machine.look, lambda: machine.now)


def _knows(known: KnownHosts, text: str, local: str = "192.168.1.5", peer_is_here: bool = False) -> bool:
    return known.knows(parse_host(text), local=local, peer_is_here=peer_is_here)


@pytest.mark.parametrize(
    "text",
    ["192.168.1.5", "fe80::5", "[fe80::5%25eth0]", "[fe80::5%wlan0]", "2001:db8:0::5", "::ffff:192.168.1.5",
     "127.0.0.1",
     "127.8.8.8", "::1", "lab", "LAB", "lab.local", "lab.local.", "page.example", "PAGE.example.", "10.9.9.9",
     "2001:db8::9"],
)  # fmt: skip
def test_own_addresses_own_names_and_what_is_allowed_are_known(known: KnownHosts, text: str) -> None:
    assert _knows(known, text)


@pytest.mark.parametrize(
    "text",
    ["evil.example", "192.168.1.5.evil.example", "lab.evil.example", "evil.lab", "lab.local.evil.example", "xlab",
     "labx",
     "page.example.evil", "sub.page.example", "192.168.1.6", "0.0.0.0", "::", "fe80::6", "8.8.8.8", "localhost.evil",
     "a.localhost", "localhost.localdomain", "127-0-0-1.evil.example"],
)  # fmt: skip
def test_everything_else_is_not(known: KnownHosts, text: str) -> None:
    assert not _knows(known, text)
    assert not _knows(known, text, peer_is_here=True)


_LABEL = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=20).map(lambda t: f"x{t}x")


@given(labels=st.lists(_LABEL, min_size=1, max_size=3), own=st.sampled_from(["lab", "lab.local", "page.example"]))
def test_no_name_with_ours_in_it_is_ours(labels: list[str], own: str) -> None:
    known = KnownHosts(["page.example"], lambda: OWN)
    name = ".".join(labels)
    for text in (name, f"{own}.{name}", f"{name}.{own}", f"{name}{own}"):
        assert not _knows(known, text)


def test_localhost_is_this_server_only_for_this_machine(known: KnownHosts) -> None:
    assert _knows(known, "localhost", peer_is_here=True)
    assert _knows(known, "LocalHost.", peer_is_here=True)
    assert not _knows(known, "localhost")


def test_the_address_that_a_connection_came_in_at_is_own_at_once(known: KnownHosts, machine: _Machine) -> None:
    assert _knows(known, "192.168.1.77", local="192.168.1.77")
    assert _knows(known, "fe80::77", local="fe80::77%eth0")
    assert machine.looks == 1


def test_a_new_address_is_known_and_a_lost_one_forgotten(known: KnownHosts, machine: _Machine) -> None:
    machine.own = Own(frozenset({"new"}), frozenset({"192.168.1.50"}))
    machine.now = 1.0
    assert _knows(known, "192.168.1.50", local="")
    assert _knows(known, "new", local="")
    assert not _knows(known, "192.168.1.5", local="")
    machine.own = OWN
    machine.now = 11.0
    assert not _knows(known, "192.168.1.50", local="")


def test_strangers_do_not_make_the_machine_look_all_the_time(known: KnownHosts, machine: _Machine) -> None:
    for number in range(1000):
        machine.now = number / 100
        assert not _knows(known, f"evil{number}.example")
    assert machine.looks <= 11


def test_what_is_known_is_not_looked_for_again_and_again(known: KnownHosts, machine: _Machine) -> None:
    for number in range(1000):
        machine.now = number / 100
        assert _knows(known, "lab")
    assert machine.looks == 1
