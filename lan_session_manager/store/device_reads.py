"""The questions that are asked of devices, and what addresses name, by name."""

from lan_session_manager.store.connected import Connected
from lan_session_manager.store.records import BindingRecord, DeviceRecord, SessionRecord
from lan_session_manager.store.rows import (
    BINDING_COLUMNS,
    BOUND,
    DEVICE,
    DEVICE_COLUMNS,
    SESSION_COLUMNS,
    binding_of_row,
    device_of_row,
    joined_session_of_row,
)


class DeviceReads(Connected):
    """Reads of devices, and what addresses name."""

    def binding(self, address: str) -> tuple[BindingRecord, SessionRecord] | None:
        """What the address names now, and that session; None where it names nothing, or a session that is over."""
        row = self._one(f"SELECT {BINDING_COLUMNS}, {SESSION_COLUMNS} {BOUND} WHERE bindings.address = ?", address)
        return (binding_of_row(row[:7]), joined_session_of_row(row[7:])) if row else None

    def former_binding(self, address: str, mac: str) -> tuple[BindingRecord, SessionRecord] | None:
        """What the address named for a host with that MAC until another one took it; None for what `binding` gives."""
        row = self._one(
            f"""SELECT former.address, session_id, device_id, mac, 0, seen_at, state = 'live', {SESSION_COLUMNS}
                FROM former_bindings AS former JOIN sessions ON sessions.id = session_id AND state <> 'ended'
                WHERE former.address = ? AND mac = ?""",
            address,
            mac,
        )
        return (binding_of_row(row[:7]), joined_session_of_row(row[7:])) if row else None

    def bindings_of_mac(self, mac: str) -> list[BindingRecord]:
        """What the addresses name at which that MAC address was seen."""
        rows = self._all(f"SELECT {BINDING_COLUMNS} {BOUND} WHERE mac = ? ORDER BY bindings.address", mac)
        return [binding_of_row(row) for row in rows]

    def addresses_of(self, session_id: str) -> list[str]:
        """The addresses that name the session, the one that was seen last first."""
        rows = self._all("SELECT address FROM bindings WHERE session_id = ? ORDER BY seen_at DESC", session_id)
        return [row["address"] for row in rows]

    def is_bound(self, session_id: str, address: str) -> bool:
        """Whether the address names that session; to find that it names another takes as long as that it names none."""
        return self._one("SELECT 1 FROM bindings WHERE address = ? AND session_id = ?", address, session_id) is not None

    def device(self, device_id: str) -> DeviceRecord | None:
        """The device of that id."""
        row = self._one(f"{DEVICE} WHERE id = ?", device_id)
        return device_of_row(row) if row else None

    def device_of(self, session_id: str, device_id: str) -> DeviceRecord | None:
        """The device of that id, if it opens that session; one that does not takes as long as one that is missing."""
        row = self._one(f"{DEVICE} WHERE id = ? AND session_id = ?", device_id, session_id)
        return device_of_row(row) if row else None

    def device_of_token(self, token_hash: str) -> tuple[DeviceRecord, SessionRecord] | None:
        """The device with the token of that hash, and the session that it opens; None where that session is over."""
        row = self._one(
            f"""SELECT {DEVICE_COLUMNS}, {SESSION_COLUMNS} FROM devices
                JOIN sessions ON sessions.id = session_id AND state <> 'ended' WHERE token_hash = ?""",
            token_hash,
        )
        return (device_of_row(row[:9]), joined_session_of_row(row[9:])) if row else None

    def devices_of(self, session_id: str) -> list[DeviceRecord]:
        """The devices that open the session, the one that was seen last first."""
        rows = self._all(f"{DEVICE} WHERE session_id = ? ORDER BY last_seen DESC, id", session_id)
        return [device_of_row(row) for row in rows]
