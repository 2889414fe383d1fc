"""The changes that are made to the database, by name. Each writes its event row in the same transaction."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, astuple, replace
from typing import Any

from lan_session_manager.states import Reason, SessionState, TaskState, Verdict, check_session_move, check_task_move
from lan_session_manager.store.reads import Reads
from lan_session_manager.store.records import (
    DeviceKind,
    DeviceRecord,
    EventKind,
    LeaseRecord,
    LimitsRecord,
    NewAudit,
    NewConnection,
    NewTask,
    SessionRecord,
    SourceType,
    TaskRecord,
)

_SESSION_EVENT = {
    SessionState.LIVE: EventKind.SESSION_RESUMED,
    SessionState.EXPIRED: EventKind.SESSION_EXPIRED,
    SessionState.ENDED: EventKind.SESSION_ENDED,
}
_TASK_EVENT = {
    TaskState.QUEUED: EventKind.TASK_REQUEUED,
    TaskState.RUNNING: EventKind.TASK_STARTED,
    TaskState.COMPLETED: EventKind.TASK_COMPLETED,
    TaskState.FAILED: EventKind.TASK_COMPLETED,
    TaskState.CANCELLED: EventKind.TASK_COMPLETED,
}
_TASK_CHANGES = frozenset(
    {
        "started_at", "ended_at", "exit_code", "reason", "detail", "child_out_of_memory", "isolation", "cpu_s",
        "memory_peak_mb", "outputs", "outputs_total", "kept_bytes",
    }
)  # fmt: skip

KEPT_DEVICES = 100  # of one session
KEPT_ADDRESSES = 100  # that name one session
KEPT_FORMER = 100  # that named one session before others took them, and MACs for which one address named another one
LISTED = 1000  # connections of one task that have a row each
_KEPT = 200_000  # rows of all tasks: about 40 MB
_KEPT_OF_SESSION = 20_000
_KEPT_AUDIT = 100_000  # rows of the audit log of each verdict, some 20 MB; its trigger knows the same number


class Transaction(Reads):
    """Reads and changes inside one transaction of the writer thread."""

    def add_event(self, at: float, kind: EventKind, session_id: str | None, task_id: str | None, **data: object) -> int:
        """Write an event row and give its id."""
        cursor = self._connection.execute(
            """INSERT INTO events (at, kind, session_id, task_id, data, number)
               SELECT ?1, ?2, ?3, ?4, ?5, CASE WHEN ?3 IS NOT NULL THEN coalesce(max(number), 0) + 1 END
               FROM events WHERE session_id = ?3""",
            (at, kind, session_id, task_id, json.dumps(data)),
        )
        return int(cursor.lastrowid or 0)

    def add_session(self, name: str, address: str, now: float) -> SessionRecord:
        """Write a new live session with the next free range of user ids."""
        session_id = uuid.uuid4().hex
        self._connection.execute(
            """INSERT INTO sessions (id, name, address, user_slot, state, created_at, last_activity)
               VALUES (?, ?, ?, ?, 'live', ?, ?)""",
            (session_id, name, address, self.next_user_slot(), now, now),
        )
        self.add_event(now, EventKind.SESSION_STARTED, session_id, None)
        return self._known_session(session_id)

    def touch_session(self, session_id: str, now: float, address: str | None = None) -> SessionRecord:
        """Note that the session's device was here, at that address."""
        self._connection.execute(
            "UPDATE sessions SET last_activity = max(last_activity, ?), address = coalesce(?, address) WHERE id = ?",
            (now, address, session_id),
        )
        return self._known_session(session_id)

    def move_session(self, session_id: str, wanted: SessionState, now: float) -> SessionRecord:
        """Move a session to another state, with its event. Raises IllegalMoveError."""
        session = self._known_session(session_id)
        check_session_move(session_id, session.state, wanted)
        self._connection.execute("UPDATE sessions SET state = ? WHERE id = ?", (wanted, session_id))
        self.add_event(now, _SESSION_EVENT[wanted], session_id, None)
        return self._known_session(session_id)

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

    def remove_unused_session(self, session_id: str) -> bool:
        """Remove an expired session that was only looked at, with its devices; gives whether it was one.

        It had no task, the owner gave it nothing, and nobody else depends on it: no guest, no device that is a guest
        elsewhere, no address that is shared. Whether it has files the caller knows.
        """
        row = self._one(
            """SELECT 1 FROM sessions WHERE id = ?1 AND state = 'expired' AND next_number = 1 AND total_tasks = 0
                   AND NOT EXISTS (SELECT 1 FROM tasks WHERE session_id = ?1)
                   AND NOT EXISTS (SELECT 1 FROM session_limits WHERE session_id = ?1)
                   AND NOT EXISTS (SELECT 1 FROM devices WHERE session_id = ?1 AND home_session_id <> ?1)
                   AND NOT EXISTS (SELECT 1 FROM devices WHERE session_id <> ?1 AND home_session_id = ?1)
                   AND NOT EXISTS (SELECT 1 FROM bindings WHERE session_id = ?1 AND is_shared = 1)""",
            session_id,
        )
        if row is None:
            return False
        for table in ("bindings", "former_bindings", "devices"):
            self._connection.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))
        self._connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
        return True

    def add_numbered_task(self, session_id: str, new: NewTask, now: float) -> TaskRecord:
        """Accept a task under the session's next number, queued."""
        session = self._known_session(session_id)
        number = session.next_number
        while self.task(task_id := f"{session.namespace}_task_{number:03d}"):
            number += 1  # an orchestrator has reported a task under this id
        self._connection.execute("UPDATE sessions SET next_number = ? WHERE id = ?", (number + 1, session_id))
        return self._add_task(task_id, session_id, number, new, now)

    def add_reported_task(
        self, task_id: str, session_id: str | None, new: NewTask, now: float, *, number: int = 0
    ) -> TaskRecord:
        """Note a task that an orchestrator reports under its own id, running; the next number is above `number`."""
        self._add_task(task_id, session_id, None, new, now)
        self._connection.execute(
            "UPDATE sessions SET next_number = max(next_number, ?) WHERE id = ?", (number + 1, session_id)
        )
        return self.move_task(task_id, TaskState.RUNNING, now, started_at=now)

    def _add_task(
        self, task_id: str, session_id: str | None, number: int | None, new: NewTask, now: float
    ) -> TaskRecord:
        self._connection.execute(
            """INSERT INTO tasks (id, session_id, number, state, runner, source_type, description, command, memory_mb,
                                  time_s, created_at, idempotency_key, network, cores, pids, open_files, log_mb,
                                  disk_mb, files)
               VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (task_id, session_id, number, new.runner, new.source_type, new.description, new.command, new.memory_mb,
             new.time_s, now, new.idempotency_key, new.network, new.cores, new.pids, new.open_files, new.log_mb,
             new.disk_mb, new.files),
        )  # fmt: skip
        self._connection.execute("UPDATE sessions SET total_tasks = total_tasks + 1 WHERE id = ?", (session_id,))
        self.add_event(now, EventKind.TASK_SUBMITTED, session_id, task_id, status=TaskState.QUEUED)
        return self._known_task(task_id)

    def move_task(self, task_id: str, wanted: TaskState, now: float, **changes: Any) -> TaskRecord:
        """Move a task to another state, with its event and the fields in `changes`. Raises IllegalMoveError."""
        if unknown := changes.keys() - _TASK_CHANGES:
            raise TypeError(f"no fields of a move: {sorted(unknown)}")
        task = self._known_task(task_id)
        check_task_move(task_id, task.state, wanted)
        if "outputs" in changes:
            changes["outputs"] = json.dumps([astuple(output) for output in changes["outputs"]])
        sets = "".join(f", {field} = ?" for field in changes)
        self._connection.execute(
            f"UPDATE tasks SET state = ?{sets} WHERE id = ?",
            (wanted, *changes.values(), task_id),
        )
        self.add_event(now, _TASK_EVENT[wanted], task.session_id, task_id, status=wanted)
        if wanted.ended or wanted is TaskState.QUEUED:
            self._connection.execute("DELETE FROM leases WHERE task_id = ?", (task_id,))
        return self._known_task(task_id)

    def stop_task(self, task_id: str, reason: Reason, now: float) -> TaskRecord:
        """Note that somebody wants a running task to end, with its event; the first reason stays."""
        task = self._known_task(task_id)
        if task.stop_reason is None:
            self._connection.execute("UPDATE tasks SET stop_reason = ? WHERE id = ?", (reason, task_id))
            self.add_event(now, EventKind.TASK_STOPPING, task.session_id, task_id, status=task.state)
        return self._known_task(task_id)

    def tag_task(self, task_id: str, source_type: SourceType, now: float) -> TaskRecord:
        """Say who a task is for, with its event."""
        self._connection.execute("UPDATE tasks SET source_type = ? WHERE id = ?", (source_type, task_id))
        task = self._known_task(task_id)
        self.add_event(now, EventKind.TASK_TAGGED, task.session_id, task_id, status=task.state)
        return task

    def delete_task(self, task_id: str, now: float) -> None:
        """Remove a task's row; the event stays."""
        task = self._known_task(task_id)
        self._connection.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
        self.add_event(now, EventKind.TASK_DELETED, task.session_id, task_id)

    def set_limits(self, session_id: str, limits: LimitsRecord) -> None:
        """Give a session limits of its own, in place of those that it was given before."""
        given = {"session_id": session_id, **asdict(limits)}
        if limits.networks is not None:
            given["networks"] = json.dumps(limits.networks)
        names, marks = ", ".join(given), ", ".join("?" * len(given))
        self._connection.execute(
            f"INSERT OR REPLACE INTO session_limits ({names}) VALUES ({marks})", tuple(given.values())
        )

    def note_kept(self, task_id: str, kept_bytes: int) -> None:
        """Note what the log and the records of an ended task take on the disk; nothing for one that is deleted."""
        self._connection.execute("UPDATE tasks SET kept_bytes = ? WHERE id = ?", (kept_bytes, task_id))

    def keep_lease(self, lease: LeaseRecord) -> None:
        """Note where a started task is to be found."""
        self._connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(lease))

    def keep_base(self, task_id: str, base: tuple[int, int]) -> None:
        """Note a lease's base anew."""
        self._connection.execute("UPDATE leases SET base_bytes = ?, base_files = ? WHERE task_id = ?", (*base, task_id))

    def note_connections(self, noted: Sequence[NewConnection]) -> None:
        """Write down what connections were tried; of one task `LISTED` at most, and then how many more there were."""
        listed: dict[str, int] = {}
        for one in noted:
            if one.task_id not in listed:
                row = self._one("SELECT count(*) AS n FROM connections WHERE task_id = ?", one.task_id)
                listed[one.task_id] = int(row["n"]) if row else 0
            if one.verdict is not Verdict.MORE:
                changed = self._connection.execute(
                    """UPDATE connections SET verdict = ?, bytes_sent = ?, bytes_received = ?, ended_at = ?
                       WHERE key = ?""",
                    (one.verdict, one.bytes_sent, one.bytes_received, one.ended_at, one.key),
                )
                if changed.rowcount:
                    continue
                if listed[one.task_id] < LISTED:
                    listed[one.task_id] += 1
                    self._add_connection(one)
                    continue
                if one.ended_at is None:
                    continue  # it is counted when it ends
                one = replace(one, host="", port=0, address="", verdict=Verdict.MORE, more=1)
            self._add_connection(replace(one, key=f"more {one.task_id}"))
        for session_id in {self._session_of(task_id) for task_id in listed}:
            # Else one session could push out what the others did, or what it did itself, with rows of no interest.
            self._connection.execute(
                """DELETE FROM connections WHERE session_id IS ?1 AND id <= (
                       SELECT id FROM connections WHERE session_id IS ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)""",
                (session_id, _KEPT_OF_SESSION),
            )
        self._connection.execute("DELETE FROM connections WHERE id <= (SELECT max(id) FROM connections) - ?", (_KEPT,))

    def _add_connection(self, one: NewConnection) -> None:
        values = {**asdict(one), "session_id": self._session_of(one.task_id)}
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        self._connection.execute(
            f"""INSERT INTO connections ({names}, number) VALUES (
                    {marks}, (SELECT coalesce(max(number), 0) + 1 FROM connections WHERE task_id = ?)
                ) ON CONFLICT (key) DO UPDATE SET
                more = more + excluded.more, bytes_sent = bytes_sent + excluded.bytes_sent,
                bytes_received = bytes_received + excluded.bytes_received, ended_at = excluded.ended_at""",
            (*values.values(), one.task_id),
        )

    def note_audit(self, noted: Sequence[NewAudit]) -> None:
        """Add rows to the audit log; of each verdict the oldest go when there are too many."""
        for one in noted:
            values = asdict(one)
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            self._connection.execute(
                f"""INSERT INTO audit ({names}, number)
                    VALUES ({marks}, (SELECT coalesce(max(number), 0) + 1 FROM audit WHERE verdict = ?))""",
                (*values.values(), one.verdict),
            )
        for verdict in {one.verdict for one in noted}:
            self._connection.execute(
                """DELETE FROM audit WHERE verdict = ?1 AND number <= (
                       SELECT max(number) FROM audit WHERE verdict = ?1) - ?2""",
                (verdict, _KEPT_AUDIT),
            )

    def _session_of(self, task_id: str) -> str | None:
        row = self._one("SELECT session_id FROM tasks WHERE id = ?", task_id)
        return row["session_id"] if row else None

    def end_connections(self, now: float) -> None:
        """Note that no connection goes on, as the server that made them has ended."""
        self._connection.execute("UPDATE connections SET ended_at = ? WHERE ended_at IS NULL", (now,))

    def _known_session(self, session_id: str) -> SessionRecord:
        session = self.session(session_id)
        if session is None:
            raise LookupError(f"no session {session_id}")
        return session

    def _known_device(self, device_id: str) -> DeviceRecord:
        device = self.device(device_id)
        if device is None:
            raise LookupError(f"no device {device_id}")
        return device

    def _known_task(self, task_id: str) -> TaskRecord:
        task = self.task(task_id)
        if task is None:
            raise LookupError(f"no task {task_id}")
        return task
