"""A queue file of another orchestrator becomes tasks of a session, all of it or nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lan_session_manager import LANSessionManager
from tests.integration.clients import dashboard, device, ended
from tests.server import ROOT, Server


def _import(data_dir: Path, file: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lan_session_manager", "import", str(file), "--data-dir", str(data_dir), *options]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def _file(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "queue.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_tasks_come_with_their_dependencies_and_once(server: Server, tmp_path: Path) -> None:
    tasks = [
        {"id": "b", "type": "shell", "description": "cat outputs/a; echo b", "status": "pending", "depends_on": ["a"]},
        {"id": "a", "type": "shell", "description": "sleep 0.3; echo a > outputs/a", "status": "in_progress"},
        {"id": "z", "type": "shell", "description": "exit 1", "status": "completed"},
    ]
    file = _file(tmp_path, {"version": 1, "tasks": tasks, "completed": ["z"], "failed": []})
    with device(server, "127.0.0.31") as client, dashboard(server, "127.0.0.31") as live:
        live.event("dashboard_update")
        done = _import(server.data_dir, file, "--session", "127.0.0.31", "--runner", "shell")
        assert (done.returncode, done.stderr) == (0, "")
        assert "2 tasks handed in for 127_0_0_31: user_127_0_0_31_task_001 to user_127_0_0_31_task_002" in done.stdout
        live.event("task_submitted", task_id="user_127_0_0_31_task_001")
        # What is waited for comes first, wherever it stands in the file.
        second = ended(client, "user_127_0_0_31_task_002")
        assert (second["status"], second["depends_on"]) == ("completed", ["user_127_0_0_31_task_001"])
        assert second["metadata"]["type"] == "shell"
        assert client.get("/api/task/user_127_0_0_31_task_002/log").text == "a\nb\n"
        again = _import(server.data_dir, file, "--session", "127_0_0_31", "--runner", "shell")
        assert (again.returncode, again.stderr) == (0, "")
        assert "0 tasks handed in" in again.stdout
        assert "2 were there already, 1 of the file have ended" in again.stdout


def test_a_list_is_imported_without_a_server_and_waits_for_one(tmp_path: Path) -> None:
    manager = LANSessionManager(tmp_path / "user_sessions")
    manager.close()
    file = _file(tmp_path, [{"task": "find the prime", "model": "large", "priority": "high", "phase": 1, "budget": 5}])
    told = _import(manager.data_dir, file, "--dry-run")
    assert (told.returncode, told.stdout.splitlines()[0]) == (0, "1 tasks would be handed in, 0 have ended.")
    assert _import(manager.data_dir, file).returncode == 0
    manager = LANSessionManager(tmp_path / "user_sessions")
    task = manager.store.read.task("user_127_0_0_1_task_001")
    manager.close()
    assert task is not None
    assert (task.runner, task.priority, dict(task.metadata)) == (
        "swarm",
        50,
        {"model": "large", "phase": 1, "budget": 5},
    )


def test_what_cannot_be_imported_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    manager = LANSessionManager(tmp_path / "user_sessions")
    cases = {
        "{": "JSON",
        '[{"task": "a", "depends_on": ["2"]}, {"task": "b", "depends_on": ["1"]}]': "1 → 2 → 1",
        '[{"task": ""}]': "Task 1",
        '[{"task": "a", "priority": "urgent"}]': "priority",
    }
    for content, why in cases.items():
        done = _import(manager.data_dir, _file(tmp_path, content))
        assert done.returncode == 1
        assert why in done.stderr
        assert "Traceback" not in done.stderr
    for options, why in (
        (["--session", "nobody"], "There is no session nobody"),
        (["--data-dir", str(tmp_path / "elsewhere")], "no server has ever used it"),
    ):
        done = _import(manager.data_dir, _file(tmp_path, '[{"task": "a"}]'), *options)
        assert (done.returncode, why in done.stderr) == (1, True), done.stderr
    assert _import(manager.data_dir, tmp_path / "missing.json").stderr.startswith("The file ")
    many = _file(tmp_path, [{"task": f"task {number}"} for number in range(101)])
    assert "queue_bound" in _import(manager.data_dir, many).stderr
    assert manager.store.read.task("user_127_0_0_1_task_001") is None
    manager.close()
