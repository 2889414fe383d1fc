"""A data directory that looks as after long use, made by SQL through the store's own schema."""

import contextlib
import sqlite3
import time
from pathlib import Path

from lan_session_manager.sandbox.box import opaque_id
from lan_session_manager.settings import STATE_DIR
from lan_session_manager.store import Store

_DAY_S = 86_400
_FIRST_HOST = 10
# The sessions in turns, as they would have submitted.
_TASKS = """
    WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < :each)
    INSERT INTO tasks (id, session_id, number, state, runner, source_type, description, command, memory_mb, time_s,
                       created_at, started_at, ended_at, exit_code, reason, isolation, cpu_s, memory_peak_mb,
                       kept_bytes)
    SELECT printf('user_%s_task_%03d', name, number), id, number, iif(number % 10, 'completed', 'failed'), 'shell',
           'USER_TRIGGERED', words, words, 512, 600, at, at + 1, at + 5, iif(number % 10, 0, 1), 'exit', 'full', 0.5,
           12.5, 4096
    FROM (SELECT sessions.id AS id, name, number, :now - :day + number * :day / (:each + 1.0) AS at,
                 printf('python3 analyze.py --input inputs/%d.csv --output outputs/%d.html', number, number) AS words
          FROM numbers CROSS JOIN sessions)
"""
_EVENTS = """
    INSERT INTO events (at, kind, session_id, task_id, data, number)
    SELECT created_at, kind, session_id, tasks.id, json_object('status', status), 3 * tasks.number - 2 + step
    FROM tasks CROSS JOIN (SELECT 0 AS step, 'task_submitted' AS kind, 'queued' AS status
                           UNION ALL SELECT 1, 'task_started', 'running'
                           UNION ALL SELECT 2, 'task_completed', 'completed')
    ORDER BY seq, step
"""


def address_of(session: int) -> str:
    """The address of a session, of 127.0.0.0/8."""
    return f"127.5.{session // 200}.{_FIRST_HOST + session % 200}"


def name_of(session: int) -> str:
    """The name of its workspace."""
    return address_of(session).replace(".", "_")


def task_of(session: int, number: int) -> str:
    """The id of one of its tasks, which are numbered from 1 on."""
    return f"user_{name_of(session)}_task_{number:03d}"


def fill(data_dir: Path, sessions: int, tasks: int) -> None:
    """Make `sessions` live sessions that have `tasks` ended tasks together, with three events each."""
    state_dir = data_dir / STATE_DIR
    state_dir.mkdir(mode=0o700, parents=True)
    Store(state_dir / "state.db").close()
    each, now = tasks // sessions, time.time()
    given = {"each": each, "now": now, "day": _DAY_S}
    with contextlib.closing(sqlite3.connect(state_dir / "state.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        connection.execute("BEGIN")
        connection.executemany(
            """INSERT INTO sessions (id, name, address, user_slot, state, created_at, last_activity, next_number,
                                     total_tasks) VALUES (?, ?, ?, ?, 'live', ?, ?, ?, ?)""",
            (
                (f"{n + 1:032x}", name_of(n), address_of(n), n, now - _DAY_S, now, each + 1, each)
                for n in range(sessions)
            ),
        )
        connection.execute(
            "INSERT INTO bindings (address, session_id, seen_at) SELECT address, id, last_activity FROM sessions"
        )
        connection.execute(_TASKS, given)
        connection.execute(_EVENTS)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def write_log(data_dir: Path, task_id: str, lines: int) -> None:
    """Give a task a log, in the format of its monitor."""
    directory = data_dir / STATE_DIR / "boxes" / opaque_id(task_id)
    directory.mkdir(parents=True, mode=0o700)
    stamp = "2026-01-01T00:00:00.000000000+00:00"
    (directory / "log").write_text("".join(f"{stamp} stdout F line {n} of {task_id}\n" for n in range(lines)))
