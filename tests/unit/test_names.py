"""The machine's own names, and no name that somebody else could give it."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.names import host_names, look


def test_a_host_name_is_known_alone_and_in_the_local_domain() -> None:
    assert host_names("Lab-PC", [], []) == {"lab-pc", "lab-pc.local"}


def test_a_full_host_name_is_known_with_and_without_its_domain() -> None:
    assert host_names("lab.example.org", [], []) == {"lab.example.org", "lab", "lab.local"}


def test_the_domain_comes_from_the_files() -> None:
    hosts = ["127.0.0.1 localhost", "127.0.1.1\tlab.home.arpa lab # the machine itself", "# 1.2.3.4 lab.evil lab"]
    resolv = ["nameserver 192.168.1.1", "search fritz.box corp.example", "options ndots:1"]
    wanted = {"lab", "lab.local", "lab.home.arpa", "lab.fritz.box", "lab.corp.example"}
    assert host_names("lab", hosts, resolv) == wanted


def test_other_names_of_the_same_address_are_not_the_machines() -> None:
    assert host_names("lab", ["127.0.0.1 localhost lab ads.evil.example laboratory.example"], []) == {
        "lab",
        "lab.local",
    }


def test_a_machine_that_is_only_called_localhost_has_no_name_for_others() -> None:
    for name in ("localhost", "localhost.localdomain", "LOCALHOST."):
        assert host_names(name, ["127.0.0.1 localhost localhost.evil"], ["search evil.example"]) == set()


_LINES = st.lists(st.text("abc. \t#:12/@%", max_size=30), max_size=5)


@given(hostname=st.text("ab.-1:%/ ", max_size=20), hosts=_LINES, resolv=st.lists(st.text("search .ab\t", max_size=20)))
def test_whatever_the_files_hold_a_name_is_one_of_the_host_name(
    hostname: str, hosts: list[str], resolv: list[str]
) -> None:
    short = hostname.lower().removesuffix(".").partition(".")[0]
    for name in host_names(hostname, hosts, resolv):
        assert name.partition(".")[0] == short
        assert name == name.lower().strip(". /@%:")


def test_the_machine_has_its_loopback_address() -> None:
    own = look()
    assert "127.0.0.1" in own.addresses
    for address in own.addresses:
        assert str(ipaddress.ip_address(address)) == address
