"""The columns that are read, and the rows of the database as records."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from lan_session_manager.states import Reason, SessionState, TaskState, Verdict
from lan_session_manager.store.records import (
    BindingRecord,
    ConnectionRecord,
    DeviceKind,
    DeviceRecord,
    EventKind,
    EventRecord,
    OutputFile,
    SessionRecord,
    SourceType,
    TaskRecord,
)

SESSION = (
    "SELECT id, name, address, user_slot, state, created_at, last_activity, next_number, total_tasks, trashed_at,"
    " paused_at FROM sessions"
)
TASK = """SELECT seq, id, session_id, number, state, runner, source_type, description, command, memory_mb, time_s,
    created_at, started_at, ended_at, exit_code, reason, detail, child_out_of_memory, isolation, cpu_s, memory_peak_mb,
    outputs, outputs_total, stop_reason, network, cores, pids, open_files, log_mb, disk_mb, files, kept_bytes,
    priority, start_after, retries, attempt, parallel_safe, metadata, open_dependencies,
    worker, silent_claims FROM tasks"""
CONNECTION = """SELECT id, number, key, task_id, session_id, host, port, address, verdict, bytes_sent, bytes_received,
    started_at, ended_at, more FROM connections"""
EVENT = "SELECT id, number, at, kind, session_id, task_id, data FROM events"


def session_of_row(row: sqlite3.Row) -> SessionRecord:
    """A row of SESSION."""
    return SessionRecord(**{**dict(row), "state": SessionState(row["state"])})


SESSION_COLUMNS = """sessions.id, sessions.name, sessions.address, user_slot, state, sessions.created_at,
    last_activity, next_number, total_tasks, trashed_at, paused_at"""
DEVICE_COLUMNS = """devices.id, session_id, home_session_id, kind, devices.name, devices.address, mac,
    devices.created_at, last_seen"""
DEVICE = f"SELECT {DEVICE_COLUMNS} FROM devices"
BINDING_COLUMNS = "bindings.address, session_id, device_id, mac, is_shared, seen_at, state = 'live'"
BOUND = "FROM bindings JOIN sessions ON sessions.id = session_id AND state <> 'ended'"


def device_of_row(row: Sequence[Any]) -> DeviceRecord:
    """A row of DEVICE_COLUMNS."""
    device_id, session_id, home_id, kind, *rest = row
    return DeviceRecord(device_id, session_id, home_id, DeviceKind(kind), *rest)


def binding_of_row(row: Sequence[Any]) -> BindingRecord:
    """A row of BINDING_COLUMNS."""
    address, session_id, device_id, mac, is_shared, seen_at, is_live = row
    return BindingRecord(address, session_id, device_id, mac, bool(is_shared), seen_at, bool(is_live))


def joined_session_of_row(row: Sequence[Any]) -> SessionRecord:
    """A row of SESSION_COLUMNS."""
    session_id, name, address, user_slot, state, *rest = row
    return SessionRecord(session_id, name, address, user_slot, SessionState(state), *rest)


_STATES = {str(state): state for state in TaskState}
_REASONS: dict[str | None, Reason | None] = {None: None, **{str(reason): reason for reason in Reason}}
_SOURCES = {str(source): source for source in SourceType}


def task_of_row(row: sqlite3.Row) -> TaskRecord:
    """A row of TASK."""
    # By position, in the order of TASK: a dashboard reads a hundred of these.
    seq, task_id, session_id, number, state, runner, source, description, command, memory_mb, time_s, *rest = row
    created_at, started_at, ended_at, exit_code, reason, detail, child, isolation, *rest = rest
    cpu_s, peak, outputs, total, stop, network, *rest = rest
    cores, pids, open_files, log_mb, disk_mb, files, kept_bytes, *rest = rest
    priority, start_after, retries, attempt, parallel_safe, metadata, open_dependencies, worker, silent_claims = rest
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
        cores,
        pids,
        open_files,
        log_mb,
        disk_mb,
        files,
        kept_bytes,
        priority,
        start_after,
        retries,
        attempt,
        bool(parallel_safe),
        json.loads(metadata) if metadata != "{}" else {},
        open_dependencies,
        worker,
        silent_claims,
    )


def event_of_row(row: sqlite3.Row) -> EventRecord:
    """A row of EVENT."""
    return EventRecord(**{**dict(row), "kind": EventKind(row["kind"]), "data": json.loads(row["data"])})


def connection_of_row(row: sqlite3.Row) -> ConnectionRecord:
    """A row of CONNECTION."""
    return ConnectionRecord(**{**dict(row), "verdict": Verdict(row["verdict"])})
