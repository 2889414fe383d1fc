"""The changes that are made to devices, and to what addresses name, by name."""

import uuid
from dataclasses import replace

from lan_session_manager.store.event_writes import EventWrites
from lan_session_manager.store.records import DeviceKind, DeviceRecord, EventKind

KEPT_DEVICES = 100  # of one session
KEPT_ADDRESSES = 100  # that name one session
KEPT_FORMER = 100  # that named one session before others took them, and MACs for which one address named another one


class DeviceWrites(EventWrites):
    """Changes of devices, and to what addresses name."""

    def bind(self, address: str, session_id: str, now: float, *, mac: str | None, device_id: str | None) -> None:
        """Have the address name the session from now on, and nothing that was noted of it before.

        Of another host that it takes the address from, what it named for that one's MAC stays known.
        """
        self._keep_former(address, session_id, mac)
        self._connection.execute(
            "INSERT OR REPLACE INTO bindings (address, session_id, device_id, mac, seen_at) VALUES (?, ?, ?, ?, ?)",
            (address, session_id, device_id, mac, now),
        )
        # A device with an IPv6 address has a new one every day.
        self._connection.execute(
            """DELETE FROM bindings WHERE is_shared = 0 AND session_id = ?1 AND address IN (
                   SELECT address FROM bindings WHERE session_id = ?1 AND is_shared = 0
                   ORDER BY seen_at DESC, address <> ?2 LIMIT -1 OFFSET ?3)""",
            (session_id, address, KEPT_ADDRESSES),
        )

    def _keep_former(self, address: str, session_id: str, mac: str | None) -> None:
        taken = self._one(
            """SELECT session_id, device_id, mac, seen_at FROM bindings WHERE address = ?1 AND is_shared = 0
               AND session_id <> ?2 AND mac IS NOT NULL AND mac IS NOT ?3""",
            address,
            session_id,
            mac,
        )
        if taken is not None:
            self._connection.execute(
                """INSERT OR REPLACE INTO former_bindings (address, mac, session_id, device_id, seen_at)
                   VALUES (?, ?, ?, ?, ?)""",
                (address, taken["mac"], taken["session_id"], taken["device_id"], taken["seen_at"]),
            )
            for column, value in (("session_id", taken["session_id"]), ("address", address)):
                self._connection.execute(
                    f"""DELETE FROM former_bindings WHERE {column} = ?1 AND (address, mac) IN (
                           SELECT address, mac FROM former_bindings WHERE {column} = ?1
                           ORDER BY seen_at DESC, address, mac LIMIT -1 OFFSET ?2)""",
                    (value, KEPT_FORMER),
                )
        self._connection.execute("DELETE FROM former_bindings WHERE address = ? AND mac = ?", (address, mac))

    def share(self, address: str, now: float) -> None:
        """Have the address name nobody from now on, whatever it named before."""
        self._connection.execute("DELETE FROM former_bindings WHERE address = ?", (address,))
        self._connection.execute("UPDATE bindings SET is_shared = 1, seen_at = ? WHERE address = ?", (now, address))

    def touch_binding(self, address: str, now: float) -> None:
        """Note that somebody was at the address."""
        self._connection.execute("UPDATE bindings SET seen_at = max(seen_at, ?) WHERE address = ?", (now, address))

    def add_device(
        self, session_id: str, kind: DeviceKind, name: str, token_hash: str, address: str, mac: str | None, now: float
    ) -> DeviceRecord:
        """Write a new device of a session, with its event. Of very many the one that was seen least lately goes."""
        device_id = uuid.uuid4().hex
        for device in self.devices_of(session_id)[KEPT_DEVICES - 1 :]:
            if device.home_session_id == session_id:
                self.remove_device(device.id, now)
            else:
                self.move_device(device.id, device.home_session_id, now)
        self._connection.execute(
            """INSERT INTO devices (id, session_id, home_session_id, kind, name, token_hash, address, mac, created_at,
                                    last_seen)
               VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)""",
            (device_id, session_id, kind, name, token_hash, address, mac, now),
        )
        self.add_event(now, EventKind.DEVICE_ADDED, session_id, None, device_id=device_id)
        return self._known_device(device_id)

    def touch_device(self, device_id: str, now: float, address: str, mac: str | None) -> DeviceRecord:
        """Note where the device was seen."""
        self._connection.execute(
            "UPDATE devices SET last_seen = max(last_seen, ?), address = ?, mac = ? WHERE id = ?",
            (now, address, mac, device_id),
        )
        return self._known_device(device_id)

    def name_device(self, device_id: str, name: str) -> DeviceRecord:
        """Give the device a name."""
        self._connection.execute("UPDATE devices SET name = ? WHERE id = ?", (name, device_id))
        return self._known_device(device_id)

    def move_device(self, device_id: str, session_id: str, now: float, *, is_home: bool = False) -> DeviceRecord:
        """Have the device open another session, with an event in each; `is_home`: it is its own from now on.

        Of a session that was not its own it takes its addresses away.
        """
        device = self._known_device(device_id)
        home_id = session_id if is_home else device.home_session_id
        self._connection.execute(
            "UPDATE devices SET session_id = ?, home_session_id = ? WHERE id = ?", (session_id, home_id, device_id)
        )
        if device.session_id != session_id:
            is_guest = device.session_id != device.home_session_id
            # Where the session's own devices have been, and no MAC tells, the guest's next visit says what it is.
            self._leave_session(device, self._unbind(device, "device_id IS NULL") if is_guest else [], now)
            self.add_event(now, EventKind.DEVICE_ADDED, session_id, None, device_id=device_id)
        return self._known_device(device_id)

    def remove_device(self, device_id: str, now: float) -> None:
        """Remove a device, with what its addresses name because of it, and with its event; a guest at home as well."""
        device = self._known_device(device_id)
        left = [replace(device, session_id=session) for session in {device.session_id, device.home_session_id}]
        gone = [self._unbind(each) for each in left]
        self._connection.execute("DELETE FROM devices WHERE id = ?", (device_id,))
        for each, addresses in zip(left, gone, strict=True):
            self._leave_session(each, addresses, now)

    def _unbind(self, device: DeviceRecord, at_its_address: str = "TRUE") -> list[str]:
        """Have the device's addresses not name its session any more; gives them.

        `at_its_address` says when that holds for the one where it was seen last. An address that is shared stays so:
        else it would name the next one who comes. No address leads back to the session for what it was before: it is
        not noted which of its devices was there.
        """
        gone = self._all(
            f"""DELETE FROM bindings WHERE session_id = ?1 AND is_shared = 0 AND (
                   device_id = ?2 OR (address = ?3 AND {at_its_address}) OR mac = ?4 OR mac IN (
                       SELECT mac FROM bindings WHERE session_id = ?1 AND device_id = ?2))
               RETURNING address""",
            device.session_id,
            device.id,
            device.address,
            device.mac,
        )
        gone += self._all("DELETE FROM former_bindings WHERE session_id = ? RETURNING address", device.session_id)
        return [row["address"] for row in gone]

    def _leave_session(self, device: DeviceRecord, addresses: list[str], now: float) -> None:
        self.add_event(
            now, EventKind.DEVICE_FORGOTTEN, device.session_id, None, device_id=device.id, addresses=addresses
        )
