"""An orchestrator is another process: what it records, the open dashboards show."""

import subprocess
import sys

from tests.integration.clients import dashboard, device, submit
from tests.server import ROOT, Server


def _orchestrate(server: Server, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from lan_session_manager import get_session_manager as get\n" + code],
        env={"LSM_DATA_DIR": str(server.data_dir), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_it_tags_and_completes_is_shown_at_once(server: Server) -> None:
    with dashboard(server) as live:
        live.event("dashboard_update")
        _orchestrate(server, "get().activity_tracker.tag_task('job-7', 'USER_TRIGGERED', '127.0.0.1')")
        started = live.event("task_started", task_id="job-7")
        assert started["task"]["tag"] == "Started by user 127.0.0.1"
        _orchestrate(server, "get().activity_tracker.complete_task('job-7', 'completed')")
        assert live.event("task_completed", task_id="job-7")["status"] == "completed"


def test_what_it_submits_is_run_by_the_server(server: Server) -> None:
    with dashboard(server) as live:
        live.event("dashboard_update")
        task_id = _orchestrate(server, "print(get().submit_task('127.0.0.1', 'ls -la inputs/'))")
        done = live.event("task_completed", task_id=task_id)
        assert (done["status"], done["task"]["runner"]) == ("completed", "shell")


def test_background_work_is_a_count_and_no_more(server: Server) -> None:
    with dashboard(server) as live:
        live.event("dashboard_update")
        _orchestrate(server, "get().activity_tracker.tag_task('whale-watch', 'SWARM_AUTO')")
        got = live.until(
            lambda message: message["event"] == "activity" and message["network_activity"]["background_tasks"] == 1
        )
        assert "whale" not in repr(got)


def test_a_session_that_it_ends_is_ended_in_the_server(server: Server) -> None:
    with device(server, "127.0.0.5") as client, dashboard(server, "127.0.0.5") as live:
        task_id = submit(client, "sleep 60")
        live.event("task_started", task_id=task_id)
        _orchestrate(server, "get().cleanup_session('127.0.0.5')")
        done = live.event("task_completed", task_id=task_id)
        assert (done["status"], done["task"]["reason"]) == ("cancelled", "session_ended")
