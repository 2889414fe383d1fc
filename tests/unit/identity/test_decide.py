"""Who a caller is: one table of cases."""

import pytest

from lan_session_manager.addresses import parse_address
from lan_session_manager.identity.decide import Answer, Bind, Known, Seen, Share, Verdict, decide, decide_fresh
from lan_session_manager.store.records import BindingRecord, DeviceKind, DeviceRecord

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
V4, V6, LINK_LOCAL = "192.168.1.7", "2001:db8::7", "fe80::7%eth0"
NEEDED, WAIT = Verdict(Answer.DEVICE_NEEDED), Verdict(Answer.WAIT)


def seen(mac: str | None = None, *, on_link: bool = True, address: str = V4, strict: bool = False) -> Seen:
    return Seen(parse_address(address), mac, on_link, None, strict)


def bound(
    mac: str | None = None, *, device: str | None = None, shared: bool = False, live: bool = True
) -> BindingRecord:
    return BindingRecord(V4, "one", device, mac, shared, 0.0, live)


def at(address: str, session: str = "one", *, shared: bool = False, live: bool = True) -> BindingRecord:
    return BindingRecord(address, session, None, A, shared, 0.0, live)


def device(session: str = "one") -> DeviceRecord:
    return DeviceRecord("dev", session, session, DeviceKind.BROWSER, "Browser", V4, None, 0.0, 0.0)


def known(session: str, change: Bind | Share | None = None) -> Verdict:
    return Verdict(Answer.KNOWN, session, change)


def new(mac: str | None) -> Verdict:
    return Verdict(Answer.NEW, None, Bind(mac))


@pytest.mark.parametrize(
    ("seen", "known", "verdict"),
    [
        # Nothing is known.
        (seen(), Known(), new(None)),
        (seen(A), Known(), new(A)),
        # The address names a session, and no token is sent.
        (seen(), Known(binding=bound()), known("one")),
        (seen(on_link=False), Known(binding=bound()), known("one")),
        (seen(A), Known(binding=bound()), known("one", Bind(A))),
        (seen(A), Known(binding=bound(device="dev")), known("one", Bind(A, "dev"))),
        (seen(A), Known(binding=bound(A)), known("one")),
        (seen(B), Known(binding=bound(A)), new(B)),
        (seen(), Known(binding=bound(A)), WAIT),
        (seen(on_link=False), Known(binding=bound(A)), new(None)),
        (seen(A), Known(binding=bound(A, shared=True)), NEEDED),
        (seen(A, strict=True), Known(binding=bound(A)), NEEDED),
        (seen(strict=True), Known(), NEEDED),
        # Another host was at the address for a while, and this one comes back.
        (seen(A), Known(binding=bound(B), former=at(V4, "two")), known("two", Bind(A))),
        (seen(A), Known(binding=bound(), former=at(V4, "two")), known("two", Bind(A))),
        (seen(A), Known(None, None, at(V4, "two"), (at(V6, "three"),)), known("two", Bind(A))),
        (seen(A), Known(binding=bound(A), former=at(V4, "two")), known("one")),
        (seen(A), Known(binding=bound(B, shared=True), former=at(V4, "two")), NEEDED),
        (seen(A, strict=True), Known(binding=bound(B), former=at(V4, "two")), NEEDED),
        (seen(A), Known(device("three"), bound(B), former=at(V4, "two")), known("three", Bind(A, "dev"))),
        # A device proves itself: its session, wherever it comes from.
        (seen(), Known(device()), known("one")),
        (seen(on_link=False), Known(device()), known("one", Bind(None, "dev"))),
        (seen(A, strict=True), Known(device()), known("one", Bind(A, "dev"))),
        (seen(B), Known(device(), bound(A)), known("one", Bind(B, "dev"))),
        (seen(), Known(device(), bound(A, device="other")), known("one")),
        (seen(A), Known(device(), bound(A, device="other")), known("one")),
        (seen(B), Known(device(), bound(A, device="other")), known("one", Bind(B, "dev"))),
        (seen(A), Known(device("two"), bound()), known("two", Bind(A, "dev"))),
        (seen(A), Known(device("two"), bound(A, device="dev")), known("two", Bind(A, "dev"))),
        (seen(B), Known(device("two"), bound(A, device="other")), known("two", Bind(B, "dev"))),
        (seen(A), Known(device("two"), bound(A, device="other")), known("two", Share.SHARE)),
        (seen(A), Known(device("two"), bound(device="other")), known("two", Share.SHARE)),
        (seen(on_link=False), Known(device("two"), bound(A, device="other")), known("two", Share.SHARE)),
        (seen(), Known(device("two"), bound(A, device="other")), known("two")),
        (seen(), Known(device("two"), bound(A)), known("two")),
        (seen(B), Known(device("two"), bound(A, shared=True)), known("two")),
    ],
)
def test_the_table_of_cases(seen: Seen, known: Known, verdict: Verdict) -> None:
    assert decide(seen, known) == verdict


@pytest.mark.parametrize(
    ("address", "of_mac", "session"),
    [
        (V6, [at(V4)], "one"),
        (V4, [at(V6)], "one"),
        (V4, [at(V6), at(LINK_LOCAL)], "one"),
        (V6, [], None),
        (V4, [at("192.168.1.8")], None),  # the same kind of address: a lease that changed, or a router
        (V6, [at(V4), at("192.168.1.8")], None),
        (V6, [at(V4), at(LINK_LOCAL, "two")], None),
        (V6, [at(V4, live=False)], None),
        (V6, [at(V4, shared=True)], None),
    ],
)
def test_the_other_kind_of_address_of_one_device_is_the_same_session(
    address: str, of_mac: list[BindingRecord], session: str | None
) -> None:
    verdict = decide(seen(A, address=address), Known(of_mac=tuple(of_mac)))
    assert (verdict.session_id, verdict.change) == (session, Bind(A))


def test_a_mac_that_answers_for_several_addresses_names_nobody() -> None:
    router = Seen(parse_address(V6), A, True, mac_addresses=frozenset({V4, "192.168.1.9"}))
    assert decide(router, Known(of_mac=(at(V4),))).answer is Answer.NEW
    host = Seen(parse_address(V6), A, True, mac_addresses=frozenset({V4, V6, LINK_LOCAL}))
    assert decide(host, Known(of_mac=(at(V4),))).session_id == "one"


@pytest.mark.parametrize(
    ("seen", "binding", "change"),
    [
        (seen(A), None, Bind(A)),
        (seen(B), bound(A), Bind(B)),
        (seen(A), bound(A), Share.SHARE),
        (seen(), bound(A), Share.SHARE),
        (seen(), bound(), Share.SHARE),
        (seen(B), bound(A, shared=True), None),
    ],
)
def test_who_says_that_a_session_is_not_theirs_begins_anew(
    seen: Seen, binding: BindingRecord | None, change: Bind | Share | None
) -> None:
    assert decide_fresh(seen, binding) == Verdict(Answer.NEW, None, change)
