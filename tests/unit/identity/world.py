"""A network whose devices change addresses, lose cookies, share addresses and carry sessions, over the real decision
and the real changes of the database; and the rule that says who may read what.

    python -m tests.unit.identity.world 10000

Everybody who is in a session writes there, and so reads what is there. A host may be in a session in which others have
written if, and only if, one of these holds:

1. It was in it before: the session was made for it, or it came in by one of the other two.
2. It has claimed the session with a code, which a device in it had asked for.
3. The contract's rule of addresses, for one who sends no token: the address names the session, it is not shared, and
   no MAC address was seen there since it names that session. A host that cannot be told from another one by anything
   is that other one.

An address names the session of the last one who was there, and what was seen of its MAC since is noted. When a host
with another MAC, or with none that can be seen, takes the address, what it named for the MAC that was there stays
known, until that MAC is there again, a device leaves that session or is forgotten in it, or the address is shared. Who
comes there with that MAC and without a token is in that session again, and in no third one. There are two
exceptions. An address where devices of two sessions have proven themselves, with no MAC to tell them apart, is shared,
for ever; so is one of which somebody has said that the session is not theirs. And where the neighbour table has lost
the MAC of a device that proves itself, an address that names nothing, or with a MAC, stays as it was.
"""

import random
import sqlite3
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from lan_session_manager.addresses import parse_address
from lan_session_manager.errors import BusyError, DeviceNeededError
from lan_session_manager.identity.carry import Carries, Given
from lan_session_manager.identity.decide import Seen
from lan_session_manager.identity.devices import hash_of
from lan_session_manager.identity.settle import look, settle, settle_device, settle_move
from lan_session_manager.states import SessionState
from lan_session_manager.store import Transaction
from lan_session_manager.store.records import DeviceKind
from lan_session_manager.store.schema import bring_up_to_date

_V4 = [f"192.168.1.{number}" for number in range(1, 5)]
_V6 = [f"2001:db8::{number}" for number in range(1, 4)] + ["fe80::1%eth0"]
_STEPS = 30


@dataclass
class Host:
    """A machine on the network; what it is in truth, which the server cannot see."""

    name: int
    mac: str
    address: str
    is_routed: bool = False  # behind a router: no MAC can be seen
    token: str | None = None
    old_token: str | None = None  # it was forgotten, and is sent all the same

    def seen(self, *, token: str | None, is_lost: bool, needs_device: bool) -> Seen:
        """What the server sees of a request of this host."""
        mac = None if self.is_routed or is_lost else self.mac
        token_hash = hash_of(token) if token else None
        return Seen(parse_address(self.address), mac, not self.is_routed, token_hash, needs_device)


@dataclass
class Named:
    """What an address names, by the rule."""

    session: str
    mac: str | None
    proven_by: set[str] = field(default_factory=set)  # device ids


class World:
    """One sequence."""

    def __init__(self, tx: Transaction, seed: int) -> None:
        self.tx = tx
        self.random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.needs_device = self.random.random() < 0.1
        self.now = 1_000.0
        self.carries = Carries(lambda: self.now)
        self.hosts = [Host(n, f"02:00:00:00:00:{n:02x}", self._any_address(), self._maybe(0.3)) for n in range(4)]
        self.members: dict[str, set[int]] = defaultdict(set)  # hosts by session
        self.written: dict[str, set[int]] = defaultdict(set)
        self.tokens: dict[str, str] = {}  # session by token, by the rule
        self.names: dict[str, Named] = {}
        self.former: dict[tuple[str, str], Named] = {}  # by address and MAC, of those that were taken over
        self.shared: set[str] = set()
        self.counts: dict[str, int] = defaultdict(int)

    def run(self, how_many: int) -> None:
        """Let so many things happen."""
        steps = (
            (self.visit, 9), (self.enrol, 5), (self.roam, 3), (self.swap, 2), (self.clash, 2), (self.lose_cookie, 2),
            (self.change_mac, 1), (self.forget, 1), (self.carry, 4), (self.leave, 1), (self.fresh, 1), (self.expire, 1),
        )  # fmt: skip
        calls, weights = [step for step, _ in steps], [weight for _, weight in steps]
        for step in self.random.choices(calls, weights, k=how_many):
            self.now += self.random.choice((1.0, 10.0))
            self.counts[step.__name__] += 1
            step()

    def visit(self) -> None:
        """A host asks for its session, with its token, with a dead one or with none, and reads and writes there."""
        host = self._host()
        self._come(host, self.random.choice((host.token, host.token, host.old_token, None)))

    def _come(self, host: Host, token: str | None) -> str | None:
        seen = host.seen(token=token, is_lost=self._maybe(0.1), needs_device=self.needs_device)
        known = self._known(token)
        try:
            session = settle(self.tx, seen, self.now)
        except DeviceNeededError:
            assert known is None
            assert self.needs_device or host.address in self.shared
            return None
        except BusyError:
            assert known is None
            assert seen.is_on_link
            assert seen.mac is None
            return None
        assert known in (None, session.id), "a known token opens its session and no other"
        if known is None:
            self._check_address(host, session.id)
            self._check_return(seen, session.id)
        self._be_in(host, session.id)
        self._move_name(seen, session.id, device_id=self._device_id(token))
        if session.state is SessionState.EXPIRED:
            self.tx.move_session(session.id, SessionState.LIVE, self.now)
        return session.id

    def _check_address(self, host: Host, session: str) -> None:
        """Rules 1 and 3 for a host that has proven nothing."""
        assert host.address not in self.shared, "a shared address names nobody"
        assert not self.needs_device
        is_alone = not self.written[session] - {host.name}
        if is_alone or host.name in self.members[session]:
            return
        named = self.names.get(host.address)
        assert named is not None, "an address that names nothing lets nobody in"
        assert named.session == session, "an address lets nobody in but where it leads"
        assert named.mac is None, "where a MAC was seen another one is another device"
        self.counts["let in by the contract's rule"] += 1

    def _check_return(self, seen: Seen, session: str) -> None:
        """Who is told by its MAC from the one there now, and was there before, is back."""
        named = self.names.get(str(seen.address))
        before = self.former.get((str(seen.address), seen.mac or ""))
        if before is not None:
            assert named is None or named.mac != seen.mac
            assert session == before.session, "who comes back to an address with its MAC is who it was there"
            self.counts["came back"] += 1

    def _be_in(self, host: Host, session: str) -> None:
        self.members[session].add(host.name)
        assert self.written[session] <= self.members[session], "somebody reads what another has written"
        self.written[session].add(host.name)

    def _move_name(self, seen: Seen, session: str, device_id: str | None) -> None:
        address = str(seen.address)
        named = self.names.get(address)
        is_lost = seen.mac is None and seen.is_on_link
        if address in self.shared or (device_id and named is None and is_lost):
            return
        if named is None or named.session != session:
            if device_id and named:
                told_apart = seen.mac is not None and named.mac is not None and seen.mac != named.mac
                if is_lost and named.mac is not None:
                    return
                if named.proven_by - {device_id} and not told_apart:
                    self._share(address)
                    return
            if named and named.mac not in (None, seen.mac):
                self.former[address, named.mac] = named
            before = self.former.get((address, seen.mac or ""))
            is_back = before is not None and not device_id
            named = self.names[address] = Named(session, seen.mac, before.proven_by if before and is_back else set())
        elif seen.mac:
            if device_id and named.mac != seen.mac:
                named.proven_by = set()
            named.mac = seen.mac
        self.former.pop((address, named.mac or ""), None)
        if device_id:
            named.proven_by = named.proven_by or {device_id}

    def enrol(self) -> None:
        """A browser without a token gets one: POST /api/device."""
        host = self._host()
        token = self._new_token() if self._known(host.token) is None else None
        if token is None:
            self._come(host, host.token)
            return
        seen = host.seen(token=host.token, is_lost=self._maybe(0.1), needs_device=self.needs_device)
        names_nobody = self.needs_device or host.address in self.shared
        try:
            device = settle_device(self.tx, seen, DeviceKind.BROWSER, "Browser", hash_of(token), self.now)
        except BusyError:
            return
        if names_nobody:
            assert not self.written[device.session_id], "who cannot be known begins anew"
        else:
            self._check_address(host, device.session_id)
        host.token, self.tokens[token] = token, device.session_id
        self._be_in(host, device.session_id)
        if not names_nobody:
            self._move_name(seen, device.session_id, None)
        self._move_name(seen, device.session_id, device.id)

    def fresh(self) -> None:
        """Somebody says that the session is not theirs."""
        host = self._host()
        known = self._known(host.token)
        token = host.token if known and host.token else self._new_token()
        seen = host.seen(token=host.token, is_lost=False, needs_device=self.needs_device)
        named, is_guest = self.names.get(host.address), self._is_guest(self._device_id(host.token))
        device = settle_device(self.tx, seen, DeviceKind.BROWSER, "Browser", hash_of(token), self.now, fresh=True)
        assert not self.written[device.session_id], "what is fresh is empty"
        if known:
            self._drop_names(known, seen.mac)
            if is_guest:
                self._drop_former(known)
        told_apart = named and seen.mac is not None and named.mac is not None and seen.mac != named.mac
        if named and not told_apart:
            self._share(host.address)
        host.token, self.tokens[token] = token, device.session_id
        self._be_in(host, device.session_id)
        self._move_name(seen, device.session_id, device.id)

    def _share(self, address: str) -> None:
        self.shared.add(address)
        self.former = {key: named for key, named in self.former.items() if key[0] != address}

    def roam(self) -> None:
        """A host gets an address that nobody has at this moment, or had before: another lease, another network."""
        host = self._host()
        taken = {other.address for other in self.hosts}
        host.address = self.random.choice([address for address in _V4 + _V6 if address not in taken] or _V4)
        host.is_routed = self._maybe(0.3)

    def swap(self) -> None:
        """Two hosts swap their addresses."""
        one, other = self.random.sample(self.hosts, 2)
        one.address, other.address = other.address, one.address

    def clash(self) -> None:
        """Two hosts have one address: by mistake on one link, or behind one NAT."""
        one, other = self.random.sample(self.hosts, 2)
        one.address, one.is_routed = other.address, other.is_routed

    def lose_cookie(self) -> None:
        """A browser's memory is cleared."""
        self._host().token = None

    def change_mac(self) -> None:
        """A phone makes itself a new random MAC address."""
        host = self._host()
        host.mac = f"02:00:00:00:{self.random.randrange(1, 255):02x}:{host.name:02x}"

    def forget(self) -> None:
        """A device is forgotten where it is, and comes again at once without its cookie."""
        host = self._host()
        session = self._come(host, host.token) if self._known(host.token) else None
        device_id = self._device_id(host.token)
        if session is None or device_id is None or host.token is None:
            return
        device = self.tx.device(device_id)
        assert device is not None
        self.tx.remove_device(device_id, self.now)
        self.carries.drop(device_id)
        del self.tokens[host.token]
        host.token, host.old_token = None, host.token
        for named in (*self.names.values(), *self.former.values()):
            named.proven_by.discard(device_id)  # what nobody is left to have proven is not proven
        for left in (session, device.home_session_id):
            self._drop_names(left)
            self._drop_former(left)
        seen = host.seen(token=host.old_token, is_lost=False, needs_device=self.needs_device)
        again = look(self.tx, seen)
        assert again.device is None
        assert again.session is None or again.session.id != session, "a device that is forgotten is so"

    def carry(self) -> None:
        """A device claims the session of another one with its code; sometimes with a wrong or a late one."""
        giver, taker = self.random.sample(self.hosts, 2)
        given, own = self._known(giver.token), self._known(taker.token)
        giver_id, taker_id = self._device_id(giver.token), self._device_id(taker.token)
        if not (given and own and giver_id and taker_id):
            return
        made = self.carries.make(giver_id, given)
        if made is None:
            return
        kind = self.random.choice(("code", "secret", "wrong", "late", "twice"))
        if kind == "late":
            self.now += 121
        code = f"{(int(made.code) + 1) % 10**6:06d}" if kind == "wrong" else made.code
        claimed = self.carries.claim(secret=made.secret) if kind == "secret" else self.carries.claim(code=code)
        assert claimed == (None if kind in ("wrong", "late") else Given(giver_id, given))
        if kind == "twice":
            assert self.carries.claim(code=code) is None
        if claimed:
            self._move(taker, taker_id, own, given)
            self.members[given].add(taker.name)  # rule 2
            self.counts["carried"] += 1

    def leave(self) -> None:
        """A device goes back to its own session."""
        host = self._host()
        known, device_id = self._known(host.token), self._device_id(host.token)
        device = self.tx.device(device_id) if device_id else None
        if known and device:
            self._move(host, device.id, known, device.home_session_id)
            assert host.name in self.members[device.home_session_id]

    def _move(self, host: Host, device_id: str, before: str, session: str) -> None:
        seen = host.seen(token=host.token, is_lost=self._maybe(0.1), needs_device=self.needs_device)
        is_guest = self._is_guest(device_id)
        settle_move(self.tx, seen, device_id, session, self.now)
        self._drop_names(before, seen.mac)
        if is_guest and before != session:
            self._drop_former(before)
        if host.token:
            self.tokens[host.token] = session
        self._move_name(seen, session, device_id)

    def _drop_names(self, session: str, mac: str | None = None) -> None:
        """What the session's addresses name no more, as a device that has left it has that MAC or was alone there."""
        for address in [address for address, named in self.names.items() if named.session == session]:
            found = self.tx.binding(address)
            is_its_own = mac is not None and self.names[address].mac == mac
            if address not in self.shared and (found is None or (is_its_own and found[0].session_id != session)):
                del self.names[address]

    def _drop_former(self, session: str) -> None:
        self.former = {key: named for key, named in self.former.items() if named.session != session}

    def _is_guest(self, device_id: str | None) -> bool:
        device = self.tx.device(device_id) if device_id else None
        return device is not None and device.session_id != device.home_session_id

    def expire(self) -> None:
        """The sessions of all are idle for too long; they come back with their device, or by their address."""
        for session in self.tx.live_sessions():
            self.tx.move_session(session.id, SessionState.EXPIRED, self.now)

    def _known(self, token: str | None) -> str | None:
        return self.tokens.get(token or "")

    def _device_id(self, token: str | None) -> str | None:
        found = self.tx.device_of_token(hash_of(token)) if token else None
        assert (found[1].id if found else None) == self._known(token)
        return found[0].id if found else None

    def _new_token(self) -> str:
        return f"{self.random.getrandbits(200):043x}"[:43]

    def _any_address(self) -> str:
        return self.random.choice(_V4 + _V6)

    def _host(self) -> Host:
        return self.random.choice(self.hosts)

    def _maybe(self, chance: float) -> bool:
        return self.random.random() < chance


def run(sequences: int, steps: int = _STEPS) -> dict[str, int]:
    """So many sequences, each over an empty database; how often what happened. Raises AssertionError, with the seed."""
    counts: dict[str, int] = defaultdict(int)
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        bring_up_to_date(connection, Path(":memory:"))
        for seed in range(sequences):
            connection.execute("BEGIN")
            world = World(Transaction(connection), seed)
            try:
                world.run(steps)
            except AssertionError as error:
                raise AssertionError(f"sequence {seed}: {error}") from error
            connection.execute("ROLLBACK")
            for what, number in world.counts.items():
                counts[what] += number
            counts["shared addresses"] += len(world.shared)
    finally:
        connection.close()
    return counts


if __name__ == "__main__":
    wanted, begun = int(sys.argv[1]), time.monotonic()
    found = run(wanted)
    print(f"{wanted} sequences, {wanted * _STEPS} steps in {time.monotonic() - begun:.0f} s: nobody read another's")
    print(", ".join(f"{what} {number}" for what, number in sorted(found.items())))
