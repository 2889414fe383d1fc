"""The questions that are asked of the database, by name."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from lan_session_manager.states import Reason, SessionState, TaskState, Verdict
from lan_session_manager.store.faults import readable
from lan_session_manager.store.records import (
    AuditRecord,
    BindingRecord,
    ConnectionRecord,
    DeviceKind,
    DeviceRecord,
    EventKind,
    EventRecord,
    LeaseRecord,
    LimitsRecord,
    OutputFile,
    SessionRecord,
    SourceType,
    TaskRecord,
)

_SESSION = (
    "SELECT id, name, address, user_slot, state, created_at, last_activity, next_number, total_tasks FROM sessions"
)
_TASK = """SELECT seq, id, session_id, number, state, runner, source_type, description, command, memory_mb, time_s,
    created_at, started_at, ended_at, exit_code, reason, detail, child_out_of_memory, isolation, cpu_s, memory_peak_mb,
    outputs, outputs_total, stop_reason, network, cores, pids, open_files, log_mb, disk_mb, files, kept_bytes
    FROM tasks"""
_CONNECTION = """SELECT id, number, key, task_id, session_id, host, port, address, verdict, bytes_sent, bytes_received,
    started_at, ended_at, more FROM connections"""
_EVENT = "SELECT id, number, at, kind, session_id, task_id, data FROM events"


def _session(row: sqlite3.Row) -> SessionRecord:
    return SessionRecord(**{**dict(row), "state": SessionState(row["state"])})


_SESSION_COLUMNS = """sessions.id, sessions.name, sessions.address, user_slot, state, sessions.created_at,
    last_activity, next_number, total_tasks"""
_DEVICE_COLUMNS = """devices.id, session_id, home_session_id, kind, devices.name, devices.address, mac,
    devices.created_at, last_seen"""
_DEVICE = f"SELECT {_DEVICE_COLUMNS} FROM devices"
_BINDING_COLUMNS = "bindings.address, session_id, device_id, mac, is_shared, seen_at, state = 'live'"
_BOUND = "FROM bindings JOIN sessions ON sessions.id = session_id AND state <> 'ended'"


def _device(row: Sequence[Any]) -> DeviceRecord:
    device_id, session_id, home_id, kind, *rest = row
    return DeviceRecord(device_id, session_id, home_id, DeviceKind(kind), *rest)


def _binding(row: Sequence[Any]) -> BindingRecord:
    address, session_id, device_id, mac, is_shared, seen_at, is_live = row
    return BindingRecord(address, session_id, device_id, mac, bool(is_shared), seen_at, bool(is_live))


def _joined_session(row: Sequence[Any]) -> SessionRecord:
    session_id, name, address, user_slot, state, *rest = row
    return SessionRecord(session_id, name, address, user_slot, SessionState(state), *rest)


_STATES = {str(state): state for state in TaskState}
_REASONS: dict[str | None, Reason | None] = {None: None, **{str(reason): reason for reason in Reason}}
_SOURCES = {str(source): source for source in SourceType}


def _task(row: sqlite3.Row) -> TaskRecord:
    # By position, in the order of _TASK: a dashboard reads a hundred of these.
    seq, task_id, session_id, number, state, runner, source, description, command, memory_mb, time_s, *rest = row
    created_at, started_at, ended_at, exit_code, reason, detail, child, isolation, *rest = rest
    cpu_s, peak, outputs, total, stop, network, *limits_and_kept = rest
    return TaskRecord(
        seq,
        task_id,
        session_id,
        number,
        _STATES[state],
        runner,
        _SOURCES[source],
        description,
        command,
        memory_mb,
        time_s,
        created_at,
        started_at,
        ended_at,
        exit_code,
        _REASONS[reason],
        detail,
        bool(child),
        isolation,
        cpu_s,
        peak,
        tuple(OutputFile(*output) for output in json.loads(outputs)) if outputs != "[]" else (),
        total,
        _REASONS[stop],
        network,
        *limits_and_kept,
    )


def _event(row: sqlite3.Row) -> EventRecord:
    return EventRecord(**{**dict(row), "kind": EventKind(row["kind"]), "data": json.loads(row["data"])})


def _connection(row: sqlite3.Row) -> ConnectionRecord:
    return ConnectionRecord(**{**dict(row), "verdict": Verdict(row["verdict"])})


class Reads:
    """Reads over one connection, for one thread. Each method is one statement, and so one consistent view.

    Each raises BusyError or StorageError where the file cannot be read.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _one(self, sql: str, *values: object) -> sqlite3.Row | None:
        try:
            row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise readable(error) from error
        return row

    def _all(self, sql: str, *values: object) -> list[sqlite3.Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise readable(error) from error

    def session(self, session_id: str) -> SessionRecord | None:
        """The session of that id."""
        row = self._one(f"{_SESSION} WHERE id = ?", session_id)
        return _session(row) if row else None

    def session_of_address(self, address: str) -> SessionRecord | None:
        """The session that the address names now: live or expired, never one that is over."""
        row = self._one(
            f"""{_SESSION} WHERE state <> 'ended'
                AND id = (SELECT session_id FROM bindings WHERE bindings.address = ?)""",
            address,
        )
        return _session(row) if row else None

    def session_named(self, name: str) -> SessionRecord | None:
        """The session whose workspace has that name; not one that is over."""
        row = self._one(f"{_SESSION} WHERE name = ? AND state <> 'ended'", name)
        return _session(row) if row else None

    def last_session_at(self, address: str) -> SessionRecord | None:
        """Of the sessions that were seen last at that address the one that was there last; not one that is over."""
        row = self._one(
            f"{_SESSION} WHERE address = ? AND state <> 'ended' ORDER BY last_activity DESC LIMIT 1", address
        )
        return _session(row) if row else None

    def binding(self, address: str) -> tuple[BindingRecord, SessionRecord] | None:
        """What the address names now, and that session; None where it names nothing, or a session that is over."""
        row = self._one(f"SELECT {_BINDING_COLUMNS}, {_SESSION_COLUMNS} {_BOUND} WHERE bindings.address = ?", address)
        return (_binding(row[:7]), _joined_session(row[7:])) if row else None

    def former_binding(self, address: str, mac: str) -> tuple[BindingRecord, SessionRecord] | None:
        """What the address named for a host with that MAC until another one took it; None for what `binding` gives."""
        row = self._one(
            f"""SELECT former.address, session_id, device_id, mac, 0, seen_at, state = 'live', {_SESSION_COLUMNS}
                FROM former_bindings AS former JOIN sessions ON sessions.id = session_id AND state <> 'ended'
                WHERE former.address = ? AND mac = ?""",
            address,
            mac,
        )
        return (_binding(row[:7]), _joined_session(row[7:])) if row else None

    def bindings_of_mac(self, mac: str) -> list[BindingRecord]:
        """What the addresses name at which that MAC address was seen."""
        rows = self._all(f"SELECT {_BINDING_COLUMNS} {_BOUND} WHERE mac = ? ORDER BY bindings.address", mac)
        return [_binding(row) for row in rows]

    def addresses_of(self, session_id: str) -> list[str]:
        """The addresses that name the session, the one that was seen last first."""
        rows = self._all("SELECT address FROM bindings WHERE session_id = ? ORDER BY seen_at DESC", session_id)
        return [row["address"] for row in rows]

    def is_bound(self, session_id: str, address: str) -> bool:
        """Whether the address names that session; to find that it names another takes as long as that it names none."""
        return self._one("SELECT 1 FROM bindings WHERE address = ? AND session_id = ?", address, session_id) is not None

    def device(self, device_id: str) -> DeviceRecord | None:
        """The device of that id."""
        row = self._one(f"{_DEVICE} WHERE id = ?", device_id)
        return _device(row) if row else None

    def device_of(self, session_id: str, device_id: str) -> DeviceRecord | None:
        """The device of that id, if it opens that session; one that does not takes as long as one that is missing."""
        row = self._one(f"{_DEVICE} WHERE id = ? AND session_id = ?", device_id, session_id)
        return _device(row) if row else None

    def device_of_token(self, token_hash: str) -> tuple[DeviceRecord, SessionRecord] | None:
        """The device with the token of that hash, and the session that it opens; None where that session is over."""
        row = self._one(
            f"""SELECT {_DEVICE_COLUMNS}, {_SESSION_COLUMNS} FROM devices
                JOIN sessions ON sessions.id = session_id AND state <> 'ended' WHERE token_hash = ?""",
            token_hash,
        )
        return (_device(row[:9]), _joined_session(row[9:])) if row else None

    def devices_of(self, session_id: str) -> list[DeviceRecord]:
        """The devices that open the session, the one that was seen last first."""
        rows = self._all(f"{_DEVICE} WHERE session_id = ? ORDER BY last_seen DESC, id", session_id)
        return [_device(row) for row in rows]

    def limits_of(self, session_id: str) -> LimitsRecord:
        """What the owner has given the session."""
        row = self._one(
            """SELECT memory_mb, pids, cores, quota_mb, files, max_concurrent_tasks, queue_bound, networks,
                      time_s, open_files, log_mb, logs_mb
               FROM session_limits WHERE session_id = ?""",
            session_id,
        )
        if row is None:
            return LimitsRecord()
        networks = row["networks"]
        return LimitsRecord(**{**dict(row), "networks": None if networks is None else tuple(json.loads(networks))})

    def concurrency_of_sessions(self) -> dict[str, int]:
        """How many tasks of a session run at once, for those sessions for which the owner has said it."""
        rows = self._all(
            "SELECT session_id, max_concurrent_tasks AS n FROM session_limits WHERE max_concurrent_tasks IS NOT NULL"
        )
        return {row["session_id"]: row["n"] for row in rows}

    def names_like(self, name: str) -> set[str]:
        """The workspace names that are `name` or `name-2`, `name-3`, …, of all sessions that ever were."""
        rows = self._all(
            "SELECT name FROM sessions WHERE name = ? OR substr(name, 1, ?) = ?", name, len(name) + 1, f"{name}-"
        )
        return {row["name"] for row in rows}

    def next_user_slot(self) -> int:
        """The lowest user slot that no session has; one that had files keeps its slot for good."""
        row = self._one(
            """SELECT min(slot) AS slot FROM (
                   SELECT 0 AS slot UNION ALL SELECT user_slot + 1 FROM sessions
               ) WHERE slot NOT IN (SELECT user_slot FROM sessions)"""
        )
        return int(row["slot"]) if row else 0

    def session_count(self) -> int:
        """How many sessions there are, in whatever state."""
        row = self._one("SELECT count(*) AS n FROM sessions")
        return int(row["n"]) if row else 0

    def unused_sessions(self, most: int) -> list[SessionRecord]:
        """Expired sessions that never had a task, `most` at once, those that were not there for longest first."""
        rows = self._all(
            f"""{_SESSION} WHERE state = 'expired' AND next_number = 1 AND total_tasks = 0
                ORDER BY last_activity LIMIT ?""",
            most,
        )
        return [_session(row) for row in rows]

    def live_sessions(self) -> list[SessionRecord]:
        """All live sessions, by address; of one address the oldest first."""
        return [_session(row) for row in self._all(f"{_SESSION} WHERE state = 'live' ORDER BY address, user_slot")]

    def known_sessions(self, most: int) -> list[SessionRecord]:
        """Live and expired sessions: the live ones first, of each the one that was seen last first."""
        rows = self._all(
            f"{_SESSION} WHERE state <> 'ended' ORDER BY state = 'live' DESC, last_activity DESC, id LIMIT ?", most
        )
        return [_session(row) for row in rows]

    def known_session_count(self) -> int:
        """How many sessions are live or expired."""
        row = self._one("SELECT count(*) AS n FROM sessions WHERE state <> 'ended'")
        return int(row["n"]) if row else 0

    def load_by_session(self) -> dict[str, tuple[int, int, int]]:
        """Of each session with live tasks: how many run, how many wait, and the MB of memory of those that run."""
        rows = self._all(
            """SELECT session_id, sum(state = 'running') AS running, sum(state = 'queued') AS queued,
                      sum(CASE WHEN state = 'running' THEN memory_mb ELSE 0 END) AS memory_mb
               FROM tasks WHERE state IN ('queued', 'running') AND session_id IS NOT NULL GROUP BY session_id"""
        )
        return {row["session_id"]: (row["running"], row["queued"], row["memory_mb"]) for row in rows}

    def idle_sessions(self, before: float) -> list[SessionRecord]:
        """Live sessions without activity since `before` and without a queued or running task."""
        rows = self._all(
            f"""{_SESSION} WHERE state = 'live' AND last_activity < ? AND NOT EXISTS (
                SELECT 1 FROM tasks WHERE session_id = sessions.id AND state IN ('queued', 'running'))""",
            before,
        )
        return [_session(row) for row in rows]

    def task(self, task_id: str) -> TaskRecord | None:
        """The task of that id."""
        row = self._one(f"{_TASK} WHERE id = ?", task_id)
        return _task(row) if row else None

    def task_of(self, session_id: str, task_id: str) -> TaskRecord | None:
        """The task of that id, if it is of that session; one that is not takes as long as one that is missing."""
        row = self._one(f"{_TASK} WHERE id = ? AND session_id = ?", task_id, session_id)
        return _task(row) if row else None

    def task_of_key(self, session_id: str, idempotency_key: str) -> TaskRecord | None:
        """The task that the session submitted with that key."""
        row = self._one(f"{_TASK} WHERE session_id = ? AND idempotency_key = ?", session_id, idempotency_key)
        return _task(row) if row else None

    def live_tasks_of(self, session_id: str) -> list[TaskRecord]:
        """The session's queued and running tasks, newest first."""
        rows = self._all(
            f"{_TASK} WHERE session_id = ? AND state IN ('queued', 'running') ORDER BY seq DESC", session_id
        )
        return [_task(row) for row in rows]

    def live_count(self, session_id: str) -> int:
        """How many of the session's tasks wait or run."""
        row = self._one(
            "SELECT count(*) AS n FROM tasks WHERE session_id = ? AND state IN ('queued', 'running')", session_id
        )
        return int(row["n"]) if row else 0

    def recent_tasks_of(self, session_id: str, most: int) -> list[TaskRecord]:
        """All live tasks of the session and the last `most` ended ones, newest first."""
        rows = self._all(
            f"""SELECT * FROM ({_TASK} WHERE session_id = ?1 AND state IN ('queued', 'running'))
                UNION ALL
                SELECT * FROM ({_TASK} WHERE session_id = ?1 AND state NOT IN ('queued', 'running')
                               ORDER BY seq DESC LIMIT ?2)
                ORDER BY seq DESC""",
            session_id,
            most,
        )
        return [_task(row) for row in rows]

    def queued_count(self, session_id: str) -> int:
        """How many of the session's tasks wait."""
        row = self._one("SELECT count(*) AS n FROM tasks WHERE session_id = ? AND state = 'queued'", session_id)
        return int(row["n"]) if row else 0

    def waiting(self, runners: Sequence[str]) -> list[tuple[int, str, str, int, float]]:
        """Each session's queued tasks that one of `runners` is to run, oldest first.

        (seq, task id, session id, MB of memory, seconds that it may run).
        """
        marks = ", ".join("?" * len(runners))
        rows = self._all(
            f"""SELECT seq, id, session_id, memory_mb, time_s FROM tasks
                WHERE state = 'queued' AND session_id IS NOT NULL AND runner IN ({marks}) ORDER BY seq""",
            *runners,
        )
        return [(row["seq"], row["id"], row["session_id"], row["memory_mb"], row["time_s"]) for row in rows]

    def running(self, runners: Sequence[str]) -> list[TaskRecord]:
        """Every running task that one of `runners` runs."""
        marks = ", ".join("?" * len(runners))
        return [_task(row) for row in self._all(f"{_TASK} WHERE state = 'running' AND runner IN ({marks})", *runners)]

    def lease(self, task_id: str) -> LeaseRecord | None:
        """The lease of a started task."""
        row = self._one("SELECT * FROM leases WHERE task_id = ?", task_id)
        return LeaseRecord(**dict(row)) if row else None

    def kept_bytes_of(self, session_id: str) -> int:
        """What the logs and records of the session's ended tasks take on the disk together, as far as measured."""
        row = self._one(
            "SELECT coalesce(sum(kept_bytes), 0) AS n FROM tasks WHERE session_id = ? AND kept_bytes > 0", session_id
        )
        return int(row["n"]) if row else 0

    def oldest_kept(self, session_id: str, more_than: int, most: int) -> list[tuple[str, int]]:
        """(task id, bytes) of the session's ended tasks whose logs and records take more than that, oldest first."""
        rows = self._all(
            """SELECT id, kept_bytes FROM tasks WHERE session_id = ? AND kept_bytes > 0 AND kept_bytes > ?
               ORDER BY seq LIMIT ?""",
            session_id,
            more_than,
            most,
        )
        return [(row["id"], row["kept_bytes"]) for row in rows]

    def unmeasured(self, runners: Sequence[str], most: int) -> list[tuple[str, str]]:
        """(task id, session id) of ended tasks that one of `runners` ran and whose logs were never measured."""
        marks = ", ".join("?" * len(runners))
        rows = self._all(
            f"""SELECT id, session_id FROM tasks
                WHERE kept_bytes IS NULL AND ended_at IS NOT NULL AND session_id IS NOT NULL AND runner IN ({marks})
                ORDER BY seq LIMIT ?""",
            *runners,
            most,
        )
        return [(row["id"], row["session_id"]) for row in rows]

    def running_by_session(self) -> dict[str | None, int]:
        """How many tasks of each session run; under None those that belong to no session."""
        rows = self._all("SELECT session_id, count(*) AS n FROM tasks WHERE state = 'running' GROUP BY session_id")
        return {row["session_id"]: row["n"] for row in rows}

    def running_boxes_by_session(self, runners: Sequence[str]) -> dict[str, int]:
        """How many tasks of each session are run by one of `runners` now."""
        marks = ", ".join("?" * len(runners))
        rows = self._all(
            f"""SELECT session_id, count(*) AS n FROM tasks
                WHERE state = 'running' AND session_id IS NOT NULL AND runner IN ({marks}) GROUP BY session_id""",
            *runners,
        )
        return {row["session_id"]: row["n"] for row in rows}

    def live_session_count(self) -> int:
        """How many sessions are live."""
        row = self._one("SELECT count(*) AS n FROM sessions WHERE state = 'live'")
        return int(row["n"]) if row else 0

    def active_sessions(self, since: float) -> frozenset[str]:
        """The ids of the live sessions with activity since that moment."""
        rows = self._all("SELECT id FROM sessions WHERE state = 'live' AND last_activity >= ?", since)
        return frozenset(row["id"] for row in rows)

    def last_event_id(self) -> int:
        """The id of the newest event, 0 before the first."""
        row = self._one("SELECT coalesce(max(id), 0) AS id FROM events")
        return int(row["id"]) if row else 0

    def deleted_lately(self, events: int) -> list[str]:
        """The ids of the tasks that were deleted within so many last events, oldest first."""
        rows = self._all(
            "SELECT task_id FROM events WHERE id > (SELECT max(id) FROM events) - ? AND kind = ? ORDER BY id",
            events,
            EventKind.TASK_DELETED,
        )
        return [row["task_id"] for row in rows]

    def events_after(self, event_id: int, most: int) -> list[EventRecord]:
        """The events of everybody after that one, oldest first, `most` at once."""
        return [_event(row) for row in self._all(f"{_EVENT} WHERE id > ? ORDER BY id LIMIT ?", event_id, most)]

    def last_event_number(self, session_id: str) -> int:
        """The number of the session's newest event, 0 before the first."""
        row = self._one("SELECT coalesce(max(number), 0) AS number FROM events WHERE session_id = ?", session_id)
        return int(row["number"]) if row else 0

    def events_of_session(self, session_id: str, after: int, most: int) -> list[EventRecord]:
        """The session's own events with a number above `after`, oldest first, `most` at once."""
        rows = self._all(
            f"{_EVENT} WHERE session_id = ? AND number > ? ORDER BY number LIMIT ?", session_id, after, most
        )
        return [_event(row) for row in rows]

    def newest_events_of_session(self, session_id: str, most: int) -> list[EventRecord]:
        """The session's own newest events, newest first."""
        return [
            _event(row)
            for row in self._all(f"{_EVENT} WHERE session_id = ? ORDER BY number DESC LIMIT ?", session_id, most)
        ]

    def audit(
        self, before: int, most: int, *, session_id: str | None = None, verdict: str | None = None
    ) -> list[AuditRecord]:
        """The audit log below that id, newest first; of one session, or of one verdict, if it is given."""
        given = {name: value for name, value in {"session_id": session_id, "verdict": verdict}.items() if value}
        rows = self._all(
            f"""SELECT id, at, session_id, device_id, address, role, operation, object, verdict, detail FROM audit
                WHERE id < ? {"".join(f"AND {name} = ? " for name in given)} ORDER BY id DESC LIMIT ?""",
            before,
            *given.values(),
            most,
        )
        return [AuditRecord(**dict(row)) for row in rows]

    def connections_of_task(self, task_id: str, before: int, most: int) -> list[ConnectionRecord]:
        """The connections that a task tried to make with a number below `before`, newest first, `most` at once."""
        rows = self._all(
            f"{_CONNECTION} WHERE task_id = ? AND number < ? ORDER BY number DESC LIMIT ?", task_id, before, most
        )
        return [_connection(row) for row in rows]

    def connections(self, before: int, most: int) -> list[ConnectionRecord]:
        """The connections of everybody with an id below `before`, newest first, `most` at once."""
        return [
            _connection(row) for row in self._all(f"{_CONNECTION} WHERE id < ? ORDER BY id DESC LIMIT ?", before, most)
        ]
