"""What must be true after a crash test, from the database and the disk, compared with what the devices were told."""

import contextlib
import hashlib
import json
import os
import sqlite3
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.box import opaque_id
from lan_session_manager.sandbox.boxes import instance_id
from lan_session_manager.sandbox.host import read_mounts
from tests.crash.device import Device
from tests.crash.listener import Listener
from tests.crash.programs import Program, token_in
from tests.crash.revenant import Revenant

_ENDED = ("completed", "failed", "cancelled")
_NOT_FOR_CLIENTS = "session_"  # events of the session itself


@dataclass
class Findings:
    """What was counted, and what is wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def expect(self, holds: object, fault: str) -> None:
        """A fault unless it holds."""
        if not holds:
            self.faults.append(fault)


@contextlib.contextmanager
def database(data_dir: Path) -> Iterator[sqlite3.Connection]:
    """The database, to be read."""
    path = data_dir / ".lan_session_manager" / "state.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


@dataclass
class Story:
    """What the events tell of one task."""

    submitted: list[int] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    ended: list[tuple[int, str]] = field(default_factory=list)
    requeued: int = 0
    deleted: int = 0


def stories(connection: sqlite3.Connection) -> dict[str, Story]:
    """What the events tell, by task."""
    found: dict[str, Story] = defaultdict(Story)
    for row in connection.execute("SELECT id, kind, task_id, data FROM events WHERE task_id IS NOT NULL ORDER BY id"):
        story = found[row["task_id"]]
        match row["kind"]:
            case "task_submitted":
                story.submitted.append(row["id"])
            case "task_started":
                story.started.append(row["id"])
            case "task_completed":
                story.ended.append((row["id"], json.loads(row["data"])["status"]))
            case "task_requeued":
                story.requeued += 1
            case "task_deleted":
                story.deleted += 1
    return dict(found)


class SessionCheck:
    """The checks of one device's session."""

    def __init__(
        self, found: Findings, revenant: Revenant, device: Device, listener: Listener, connection: sqlite3.Connection
    ) -> None:
        self._found = found
        self._revenant = revenant
        self._device = device
        self._listener = listener
        self._ledger = device.ledger
        self._connection = connection
        self._session = connection.execute("SELECT * FROM sessions WHERE address = ?", (device.address,)).fetchone()
        rows = connection.execute("SELECT * FROM tasks WHERE session_id = ?", (self._session["id"],))
        self._rows = {row["id"]: row for row in rows}
        self._stories = stories(connection)
        self._workspace = revenant.data_dir / self._session["name"]
        self._programs: dict[str, Program] = {}  # of every task that is there

    async def all(self) -> None:
        """Look at everything."""
        found, ledger = self._found, self._ledger
        found.faults += [f"{self._device.address}: {fault}" for fault in (*ledger.faults, *self._listener.faults)]
        found.counts.update(ledger.counts)
        found.counts.update(self._listener.counts)
        found.counts["tasks accepted"] += len(ledger.accepted)
        found.counts["tasks deleted"] += sum(task.deleted for task in ledger.accepted.values())
        self._tasks_exist()
        self._numbers()
        for task_id, row in self._rows.items():
            self._end(task_id, row)
        self._dependencies()
        self._starts()
        for task_id, row in self._rows.items():
            await self._log(task_id, row)
        self._events()
        await self._uploads()

    def _tasks_exist(self) -> None:
        found, ledger = self._found, self._ledger
        unanswered = Counter(program.token for program in ledger.unanswered)
        by_token = {program.token: program for program in ledger.unanswered}
        for task_id, row in self._rows.items():
            known = ledger.accepted.get(task_id)
            token = token_in(row["command"]) or "?"
            if known is None:
                found.expect(unanswered[token] > 0, f"{task_id} exists, and nobody asked for it: {token}")
                unanswered[token] -= 1
                found.counts["unanswered tasks that exist"] += 1
            program = known.program if known else by_token.get(token)
            if program is None or program.token != token:
                found.faults.append(f"{task_id} is another program than was asked for: {token}")
            else:
                self._programs[task_id] = program
        for task_id, task in ledger.accepted.items():
            story = self._stories.get(task_id)
            if task.deleted:
                found.expect(task_id not in self._rows, f"{task_id} was deleted and is there")
                found.expect(story and story.deleted == 1, f"{task_id} was deleted and no event tells it once: {story}")
            elif task_id not in self._rows:
                found.counts["tasks lost"] += 1
                found.faults.append(f"{task_id} was accepted and is not there")
        for key, ids in ledger.keys.items():
            found.counts["keys"] += 1
            deleted = any(ledger.accepted[task_id].deleted for task_id in ids if task_id in ledger.accepted)
            rows = [task_id for task_id, row in self._rows.items() if row["idempotency_key"] == key]
            if not deleted:
                found.expect(len(ids) == 1 and rows == list(ids), f"{key} is the key of {rows}, answered were {ids}")

    def _numbers(self) -> None:
        """Every number was given once, without a gap, to tasks that are there or were deleted."""
        own = {task_id for task_id in self._stories if task_id.startswith(f"user_{self._session['name']}_task_")}
        expected = {f"user_{self._session['name']}_task_{n:03d}" for n in range(1, self._session["next_number"])}
        self._found.expect(own == expected, f"numbers that are missing or too many: {sorted(own ^ expected)}")
        self._found.expect(
            self._session["total_tasks"] == len(own), f"{self._session['total_tasks']} in total, not {len(own)}"
        )

    def _end(self, task_id: str, row: sqlite3.Row) -> None:
        found, story, program = self._found, self._stories[task_id], self._programs.get(task_id)
        known = self._ledger.accepted.get(task_id)
        found.expect(len(story.submitted) == 1, f"{task_id} was submitted {len(story.submitted)} times")
        found.expect(len(story.ended) == 1, f"{task_id} has {len(story.ended)} ends: {story}")
        found.expect(row["state"] in _ENDED, f"{task_id} is {row['state']}")
        if program is None or row["state"] not in _ENDED:
            return
        found.expect(
            story.ended and story.ended[-1][1] == row["state"], f"{task_id} is {row['state']}, its event says otherwise"
        )
        found.ends[f"{row['state']}, {row['reason']}"] += 1
        monitor_killed = opaque_id(task_id) in self._revenant.killed_boxes
        asked = known.cancelled if known else False
        match row["reason"]:
            case "exit":
                code, right = row["exit_code"], program.exit_code
                found.expect(code == right, f"{task_id} ended with {code}, not {right}")
                found.expect((row["state"] == "completed") == (code == 0), f"{task_id} is {row['state']} with {code}")
            case "cancelled_by_user":
                found.expect(asked, f"{task_id} was cancelled, and nobody asked for it")
            case "dependency_failed":
                found.expect(known is None or known.depends_on, f"{task_id} waits for nobody: {row['reason']}")
            case "lost":
                found.expect(monitor_killed, f"{task_id} was lost, and its monitor was not killed: {row['detail']}")
            case reason:
                found.expect(monitor_killed, f"{task_id} ended with {reason}: {row['detail']}")
        attempts = len(story.started)
        most = 1 + row["retries"] if monitor_killed else 1
        found.expect(attempts - story.requeued <= most, f"{task_id} was started {attempts} times: {story}")

    def _dependencies(self) -> None:
        """Who waited began after all for whom it waited had completed, or was cancelled because one had not."""
        found = self._found
        for task_id, task in self._ledger.accepted.items():
            story = self._stories.get(task_id)
            if not task.depends_on or story is None or not story.ended:
                continue
            found.counts["tasks with dependencies"] += 1
            ends = {other: self._stories[other].ended for other in task.depends_on}
            if story.started:
                met = all(end and end[0][1] == "completed" and end[0][0] < story.started[0] for end in ends.values())
                found.expect(met, f"{task_id} began before what it waits for had completed: {ends}")
            row = self._rows.get(task_id)
            if row is not None and row["reason"] == "dependency_failed":
                failed = any(end and end[0][1] != "completed" for end in ends.values())
                found.expect(failed, f"{task_id} was cancelled, though all that it waits for have completed: {ends}")

    def _starts(self) -> None:
        """No program began more often than its tasks were started, and each that ended by itself began."""
        found = self._found
        least: Counter[str] = Counter()
        most: Counter[str] = Counter()
        for task_id in self._programs:
            token, row = self._programs[task_id].token, self._rows[task_id]
            least[token] += row["reason"] == "exit"
            most[token] += len(self._stories[task_id].started)
        for task_id, task in self._ledger.accepted.items():
            if task.deleted:
                least[task.program.token] += self._stories[task_id].ended[0][1] == "completed"
                most[task.program.token] += len(self._stories[task_id].started)
        for token in most:
            with contextlib.suppress(FileNotFoundError):
                begun = (self._workspace / "temp" / f"{token}.started").read_text().count("\n")
                found.counts["starts"] += begun
                if begun > most[token]:
                    found.counts["tasks doubled"] += 1
                    found.faults.append(f"{token} began {begun} times, {most[token]} at most were wanted")
                found.expect(begun >= least[token], f"{token} began {begun} times, {least[token]} at least were wanted")
                continue
            found.expect(not least[token], f"{token} never began")

    async def _log(self, task_id: str, row: sqlite3.Row) -> None:
        program = self._programs.get(task_id)
        if program is None:
            return
        found = self._found
        answer, _ = await self._device.until_answered("GET", f"/api/task/{task_id}/log")
        whole = answer.content
        live = self._listener.logs.get(task_id)
        streams = live.streams if live and live.ended else None
        if live is not None:
            found.expect(live.ended, f"{task_id}: the end of its log was not told")
            found.expect(not live.missed, f"{task_id}: {live.missed} pieces of its log did not fit together")
        if streams is not None:
            size = sum(len(data) for data in streams.values())
            found.counts["log bytes followed"] += size
            found.expect(size == len(whole), f"{task_id}: {size} bytes of log were followed, {len(whole)} are there")
        found.counts["log bytes"] += len(whole)
        attempts = len(self._stories[task_id].started)
        expected = program.output
        if row["reason"] == "exit" and attempts <= 1:
            right = len(whole) == sum(len(data) for data in expected.values())
            if streams is not None:
                right = right and all(streams.get(stream, b"") == data for stream, data in expected.items())
            elif not program.both:
                right = right and whole == expected["stdout"]
            if not right:
                lost = sum(len(data) for data in expected.values()) - len(whole)
                found.counts["log bytes lost"] += max(0, lost)
                found.faults.append(f"{task_id} ({program.token}): its log is not what it printed, {lost} bytes less")
            found.counts["logs that are whole"] += 1
        elif streams is not None and attempts <= 1:
            for stream, data in expected.items():
                begins = data.startswith(streams.get(stream, b""))
                found.expect(
                    begins, f"{task_id} ({program.token}): its {stream} is not the beginning of what it prints"
                )
            found.counts["logs that are a beginning"] += 1
        elif streams is not None and row["reason"] == "exit":
            for stream, data in expected.items():
                ends = streams.get(stream, b"").endswith(data)
                found.expect(ends, f"{task_id} ({program.token}): its {stream} does not end with its last attempt")
            found.counts["logs of more than one attempt"] += 1

    def _events(self) -> None:
        rows = self._connection.execute(
            "SELECT number, kind, task_id FROM events WHERE session_id = ? AND number > ? ORDER BY number",
            (self._session["id"], self._listener.first),
        )
        told = [tuple(row) for row in rows if not row["kind"].startswith(_NOT_FOR_CLIENTS)]
        heard = self._listener.events
        self._found.counts["events"] += len(told)
        self._found.counts["events heard"] += len(heard)
        if heard != told:
            missing = Counter(told) - Counter(heard)
            more = Counter(heard) - Counter(told)
            self._found.faults.append(
                f"{self._device.address} heard {len(heard)} of {len(told)} events; missing: {sorted(missing)[:9]}, "
                f"too many: {sorted(more)[:9]}, in order: {heard == sorted(heard)}"
            )

    async def _uploads(self) -> None:
        found, base = self._found, f"/api/workspace/{self._device.address}"
        for path, digest in self._ledger.uploaded.items():
            found.counts["uploads"] += 1
            answer, _ = await self._device.until_answered("GET", f"{base}/files/{path}")
            there = hashlib.sha256(answer.content).hexdigest()
            found.expect(answer.status_code == 200 and there == digest, f"the upload {path} is not what was sent")
        left, _ = await self._device.until_answered("GET", f"{base}/uploads")
        found.expect(not left.json()["uploads"], f"uploads are left: {left.json()['uploads']}")


def check_leftovers(found: Findings, revenant: Revenant) -> None:
    """Nothing of a task is left on the machine but its log, and the database is whole."""
    data_dir, run_dir = revenant.data_dir, launcher.run_dir() / instance_id(revenant.data_dir)
    with database(data_dir) as connection:
        found.expect(connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok", "the database is damaged")
        found.expect(not connection.execute("PRAGMA foreign_key_check").fetchall(), "the database refers to nothing")
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for leases in {"leases", "worker_leases"} & tables:
            rows = [tuple(row) for row in connection.execute(f"SELECT * FROM {leases}")]  # noqa: S608 - a fixed name
            found.expect(not rows, f"leases are left: {rows}")
        tasks = {opaque_id(row[0]) for row in connection.execute("SELECT id FROM tasks")}
    found.expect(not revenant.monitors(), f"monitors are left: {list(revenant.monitors())}")
    for kind in ("state", "bundles"):
        left = sorted(os.listdir(run_dir / kind)) if (run_dir / kind).is_dir() else []
        found.expect(not left, f"boxes are left in {kind}/: {left}")
    kept = set(os.listdir(data_dir / ".lan_session_manager" / "boxes"))
    found.expect(kept <= tasks, f"logs of no task are left: {sorted(kept - tasks)}")
    trials = sorted(path.name for path in (data_dir / ".lan_session_manager").glob("selftest-*"))
    found.expect(not trials, f"self-tests have left {trials}")
    points = [str(mount.point) for mount in read_mounts() if mount.point.is_relative_to(data_dir.resolve())]
    found.expect(not points, f"mounts are left: {points}")
    groups = list(_box_cgroups(instance_id(data_dir)))
    found.expect(not groups, f"cgroups of boxes are left: {groups}")
    found.expect(not (lost := list(_processes_in(data_dir))), f"processes are left: {lost}")


def _box_cgroups(instance: str) -> Iterator[str]:
    for place in Path("/sys/fs/cgroup").glob(f"**/{instance}"):
        for path, _, _ in os.walk(place):
            if len(name := os.path.basename(path)) == 32 and not set(name) - set("0123456789abcdef"):
                yield path


def _processes_in(data_dir: Path) -> Iterator[str]:
    """Processes of tasks: those whose root has the workspace, as a box's has."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any("token, lines, widest" in word for word in words):
            with contextlib.suppress(OSError):
                inside = os.stat(f"/proc/{process.pid}/root/workspace")
                if any(os.path.samestat(inside, os.stat(place)) for place in data_dir.iterdir()):
                    yield f"{process.pid}: {words[-1][:80]}"


def as_json(found: Findings, revenant: Revenant, **more: Any) -> dict[str, Any]:
    """All that was counted."""
    back = revenant.back_s or [0.0]
    return {
        **more,
        "blows": {str(blow): count for blow, count in revenant.blows.items()},
        "seconds_to_serve_again": {"median": round(statistics.median(back), 2), "most": round(max(back), 2)},
        "seconds_to_stop_most": round(max(revenant.stop_s, default=0.0), 2),
        "ends": dict(sorted(found.ends.items())),
        "counts": {"tasks lost": 0, "tasks doubled": 0, "log bytes lost": 0, **dict(sorted(found.counts.items()))},
        "faults": found.faults,
    }
