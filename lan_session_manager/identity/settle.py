"""From what was seen to whom it is: what is known is read, it is decided, and what follows is written down.

Reading is cheap, so each request is decided on what every reader sees. Where something is to change, it is decided
again inside of the writer's transaction: of two first requests at once the second one finds the session of the first.
"""

from dataclasses import dataclass

from lan_session_manager.addresses import Address
from lan_session_manager.errors import BusyError, CarryError, DeviceNeededError, NotFoundError
from lan_session_manager.identity.carry import Given
from lan_session_manager.identity.decide import Answer, Bind, Known, Seen, Share, Verdict, decide, decide_fresh
from lan_session_manager.states import SessionState
from lan_session_manager.store import Reads, Transaction
from lan_session_manager.store.records import BindingRecord, DeviceKind, DeviceRecord, SessionRecord


@dataclass(frozen=True)
class Look:
    """Whom a request is of, as far as it is written down."""

    verdict: Verdict
    session: SessionRecord | None  # None: it has to be made, or nobody can say
    device: DeviceRecord | None
    is_shared: bool  # the address names nobody
    is_by_mac: bool  # by nothing but its MAC, which may stand at more addresses than are written down


def look(reads: Reads, seen: Seen) -> Look:
    """Whom a request is of. Two reads; one more, or two, where a session of the same MAC may be known."""
    proven = reads.device_of_token(seen.token_hash) if seen.token_hash else None
    named = reads.binding(str(seen.address))
    device = proven[0] if proven else None
    binding = named[0] if named else None
    former: tuple[BindingRecord, SessionRecord] | None = None
    of_mac: tuple[BindingRecord, ...] = ()
    if seen.mac and not device and (binding is None or not (binding.is_shared or binding.mac == seen.mac)):
        former = reads.former_binding(str(seen.address), seen.mac)
        of_mac = () if binding or former else tuple(reads.bindings_of_mac(seen.mac))
    verdict = decide(seen, Known(device, binding, former[0] if former else None, of_mac))
    session: SessionRecord | None = None
    if verdict.answer is Answer.KNOWN:
        found = proven or former or named
        session = found[1] if found else reads.session(verdict.session_id or "")
    is_by_mac = verdict.answer is Answer.KNOWN and device is None and binding is None and former is None
    return Look(verdict, session, device, binding is not None and binding.is_shared, is_by_mac)


def settle(tx: Transaction, seen: Seen, now: float) -> SessionRecord:
    """The session of a request, made if need be, with all that follows written down.

    Raises DeviceNeededError and BusyError.
    """
    found = look(tx, seen)
    check(found.verdict)
    session = found.session or add_session(tx, seen.address, now)
    _change(tx, seen, session.id, found.verdict.change, now)
    if found.device:
        tx.touch_device(found.device.id, now, str(seen.address), seen.mac)
    return session


def check(verdict: Verdict) -> None:
    """Raise DeviceNeededError or BusyError where nobody can say who it is."""
    if verdict.answer is Answer.DEVICE_NEEDED:
        raise DeviceNeededError
    if verdict.answer is Answer.WAIT:
        raise BusyError


def settle_device(
    tx: Transaction, seen: Seen, kind: DeviceKind, name: str, token_hash: str, now: float, *, fresh: bool = False
) -> DeviceRecord:
    """A device for one who has none, of the session that is theirs; `fresh`: of a new one, also for one who has one.

    Raises BusyError, and NotFoundError when the device that has one was forgotten in this moment: its token stays dead.
    """
    found = look(tx, seen)
    if found.device is None and seen.token_hash == token_hash:
        raise NotFoundError
    if fresh or found.verdict.answer is Answer.DEVICE_NEEDED:
        named = tx.binding(str(seen.address))
        verdict = decide_fresh(seen, named[0] if named else None) if fresh else Verdict(Answer.NEW)
        session = add_session(tx, seen.address, now)
        _change(tx, seen, session.id, verdict.change, now)
    else:
        session = settle(tx, seen, now)
    if found.device and kind is DeviceKind.BROWSER:
        device = tx.move_device(found.device.id, session.id, now, is_home=True) if fresh else found.device
    else:
        device = tx.add_device(session.id, kind, name, token_hash, str(seen.address), seen.mac, now)
    return _proven(tx, seen, device, now)


def settle_move(tx: Transaction, seen: Seen, device_id: str, session_id: str, now: float) -> DeviceRecord:
    """Have a device, which has proven itself where it was seen, open another session."""
    return _proven(tx, seen, tx.move_device(device_id, session_id, now), now)


def settle_claim(tx: Transaction, seen: Seen, device_id: str, given: Given, now: float) -> DeviceRecord:
    """The same, with what another device has given it.

    Raises CarryError when that one does not open the session any more, which may have been so for a moment only: a code
    outlives nobody who could make it.
    """
    giver, session = tx.device(given.device_id), tx.session(given.session_id)
    if giver is None or giver.session_id != given.session_id or session is None or session.state is SessionState.ENDED:
        raise CarryError
    return settle_move(tx, seen, device_id, given.session_id, now)


def _proven(tx: Transaction, seen: Seen, device: DeviceRecord, now: float) -> DeviceRecord:
    named = tx.binding(str(seen.address))
    verdict = decide(seen, Known(device, named[0] if named else None))
    _change(tx, seen, device.session_id, verdict.change, now)
    return tx.touch_device(device.id, now, str(seen.address), seen.mac)


def add_session(tx: Transaction, address: Address, now: float) -> SessionRecord:
    """A new session, named after the address, or with the first number that nobody had: a name is never given twice."""
    taken = tx.names_like(address.name)
    names = (address.name, *(f"{address.name}-{number}" for number in range(2, len(taken) + 2)))
    return tx.add_session(next(name for name in names if name not in taken), str(address), now)


def _change(tx: Transaction, seen: Seen, session_id: str, change: Bind | Share | None, now: float) -> None:
    address = str(seen.address)
    if isinstance(change, Bind):
        tx.bind(address, session_id, now, mac=change.mac, device_id=change.device_id)
    elif change is Share.SHARE:
        tx.share(address, now)
