"""Who is a caller? Decided from what was seen of a request and what is known, and from nothing else.

| device token | the address names | a MAC address tells | the caller is |
|---|---|---|---|
| known | anything | anything | its device, and so in the session that the device opens |
| none, or not known | nobody, as it is shared | | asked for a device |
| none, or not known | another session, or nothing | the one for which it named a session before | in that session |
| none, or not known | a session, no MAC noted | | in that session |
| none, or not known | a session, with a MAC | the same one | in that session |
| none, or not known | a session, with a MAC | another one, or routed now | somebody new |
| none, or not known | a session, with a MAC | nothing at this moment | asked to come again |
| none, or not known | nothing | of one live session at the other kind of IP | in that session |
| none, or not known | nothing | nothing like it | somebody new |

The first row that fits holds. With LSM_IDENTITY=device all rows but the first are "asked for a device".
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.store.records import BindingRecord, DeviceRecord


class Answer(StrEnum):
    """Who a caller is."""

    KNOWN = "known"  # one of `Verdict.session_id`
    NEW = "new"  # nobody yet: what needs a session makes one
    DEVICE_NEEDED = "device_needed"  # nobody can say; a device has to prove itself
    WAIT = "wait"  # it can be said in a moment


@dataclass(frozen=True)
class Seen:
    """What is seen of a request."""

    address: Address
    mac: str | None = None  # of the host at the other end of the link; None: none can be seen
    is_on_link: bool = False  # the address is on a link of ours, so that it has a MAC address
    token_hash: str | None = None  # of the device token that was sent
    needs_device: bool = False  # the owner takes no address for a proof
    mac_addresses: frozenset[str] = frozenset()  # where else the kernel has the MAC at this moment


@dataclass(frozen=True)
class Known:
    """What is known of it."""

    device: DeviceRecord | None = None  # with the token that was sent
    binding: BindingRecord | None = None  # of the address
    former: BindingRecord | None = None  # what the address named for this MAC until another host took the address
    of_mac: tuple[BindingRecord, ...] = ()  # where the MAC was seen; needed only where the address names nothing


@dataclass(frozen=True)
class Bind:
    """What the address names from now on: the verdict's session, with this MAC, proven by this device."""

    mac: str | None
    device_id: str | None = None


class Share(StrEnum):
    """The address names nobody from now on."""

    SHARE = "share"


@dataclass(frozen=True)
class Verdict:
    """Who the caller is, and what becomes of the address; `change` None: nothing."""

    answer: Answer
    session_id: str | None = None  # None: there is none, or it has yet to be made
    change: Bind | Share | None = None


def decide(seen: Seen, known: Known) -> Verdict:
    """Who the caller is.

    >>> seen = Seen(parse_address("10.0.0.7"), mac="02:00:00:00:00:01")
    >>> decide(seen, Known()).answer
    <Answer.NEW: 'new'>
    >>> bound = BindingRecord("10.0.0.7", "s1", None, "02:00:00:00:00:02", False, 0.0, True)
    >>> decide(seen, Known(binding=bound)).answer
    <Answer.NEW: 'new'>
    """
    if known.device is not None:
        return Verdict(Answer.KNOWN, known.device.session_id, _taken_along(seen, known.device, known.binding))
    bound = known.binding
    if seen.needs_device or (bound is not None and bound.is_shared):
        return Verdict(Answer.DEVICE_NEEDED)
    if bound is not None and bound.mac is not None and bound.mac == seen.mac:
        return Verdict(Answer.KNOWN, bound.session_id)
    if known.former is not None:
        return Verdict(Answer.KNOWN, known.former.session_id, Bind(seen.mac, known.former.device_id))
    if bound is None:
        same = _of_other_family(seen, known.of_mac)
        return Verdict(Answer.KNOWN if same else Answer.NEW, same, Bind(seen.mac))
    if bound.mac is None:
        return Verdict(Answer.KNOWN, bound.session_id, Bind(seen.mac, bound.device_id) if seen.mac else None)
    if seen.mac is None and seen.is_on_link:
        return Verdict(Answer.WAIT)
    return Verdict(Answer.NEW, None, Bind(seen.mac))


def decide_fresh(seen: Seen, bound: BindingRecord | None) -> Verdict:
    """The same for one who says that what the address names is not theirs: always somebody new."""
    if bound is not None and bound.is_shared:
        return Verdict(Answer.NEW)
    if bound is None or _tells_apart(seen, bound):
        return Verdict(Answer.NEW, None, Bind(seen.mac))
    return Verdict(Answer.NEW, None, Share.SHARE)


def _taken_along(seen: Seen, device: DeviceRecord, bound: BindingRecord | None) -> Bind | Share | None:
    """What becomes of the address at which a device has proven itself."""
    is_lost = seen.mac is None and seen.is_on_link  # at the next connection the MAC says more
    if bound is None:
        return None if is_lost else Bind(seen.mac, device.id)
    if bound.is_shared:
        return None
    if bound.session_id == device.session_id:
        is_its_mac = seen.mac not in (None, bound.mac)  # so that what is noted goes with this device, if it goes
        now = Bind(seen.mac or bound.mac, device.id if is_its_mac else bound.device_id or device.id)
        return None if now == Bind(bound.mac, bound.device_id) else now
    if is_lost and bound.mac is not None:
        return None  # what is noted keeps others out
    if bound.device_id in (None, device.id) or _tells_apart(seen, bound):
        return Bind(seen.mac, device.id)
    return Share.SHARE


def _tells_apart(seen: Seen, bound: BindingRecord) -> bool:
    return seen.mac is not None and bound.mac is not None and seen.mac != bound.mac


def _of_other_family(seen: Seen, of_mac: Collection[BindingRecord]) -> str | None:
    """The live session that the same device has at the other kind of IP address.

    A MAC that stands at several addresses of one kind may be a router that answers for others. A link-local address is
    one that each host has beside its other ones.
    """
    sessions = {bound.session_id for bound in of_mac}
    mine = _family(str(seen.address))
    there = [bound for bound in of_mac if _family(bound.address) != mine]
    if seen.mac is None or len(sessions) != 1 or not there or not all(b.is_live and not b.is_shared for b in of_mac):
        return None
    standing = {bound.address for bound in there} | {text for text in seen.mac_addresses if _family(text) != mine}
    kinds = [_is_link_local(text) for text in standing]
    return next(iter(sessions)) if len(kinds) == len(set(kinds)) else None


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _is_link_local(address: str) -> bool:
    return parse_address(address).is_link_local
