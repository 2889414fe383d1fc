"""The calls, fields and names that Python clients know."""

import os
from datetime import datetime

import pytest

import lan_session_manager
from lan_session_manager import LANSessionManager, SecurityError, get_session_manager
from lan_session_manager.errors import IllegalMoveError, InvalidInputError, NotFoundError

IP = "192.168.1.100"


def test_the_package_has_the_public_names() -> None:
    assert set(lan_session_manager.__all__) == {"LANSessionManager", "SecurityError", "get_session_manager"}


def test_a_process_has_one_manager_over_the_default_directory(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manager = get_session_manager()
    assert get_session_manager() is manager
    assert str(manager.data_dir) == os.path.join(tmp_path, "user_sessions")
    manager.close()
    monkeypatch.setattr("lan_session_manager.manager._managers", {})


def test_a_session_has_the_fields_that_clients_read(manager: LANSessionManager) -> None:
    session = manager.create_session(IP)
    assert session.ip == IP
    assert session.task_namespace == "user_192_168_1_100"
    assert isinstance(session.created_at, datetime)
    assert isinstance(session.last_activity, datetime)
    assert session.active_tasks == {}
    assert session.task_history == []
    assert session.permissions["role"] == "standard_user"
    assert not session.is_expired()
    assert set(session.get_session_info()) >= {
        "session_id", "ip", "created_at", "last_activity", "active_tasks", "total_tasks", "workspace", "permissions",
    }  # fmt: skip


def test_a_submitted_task_is_active_until_it_is_completed(manager: LANSessionManager) -> None:
    session = manager.create_session(IP)
    task_id = manager.submit_task(IP, "Analyze data.csv")
    assert task_id == "user_192_168_1_100_task_001"
    assert list(session.active_tasks) == [task_id]
    manager.complete_task(task_id, "completed")
    assert session.active_tasks == {}
    assert [task["status"] for task in session.task_history] == ["completed"]


def test_the_dashboard_has_every_key_that_clients_read(manager: LANSessionManager) -> None:
    manager.submit_task(IP, "Analyze data.csv")
    board = manager.get_user_dashboard_data(IP)
    assert set(board["my_tasks"][0]) >= {"task_id", "description", "status", "tag", "source_type", "started_at"}
    assert set(board["network_activity"]) >= {"active_users", "background_tasks"}
    assert set(board["swarm_health"]) >= {"status", "active_sessions", "total_active_tasks", "timestamp"}
    assert set(board["workspace_usage"]) >= {"size_mb", "file_count"}
    permissions = board["permissions"]
    for denied in ("can_read_core_system", "can_modify_core_system", "can_see_other_workspaces"):
        assert permissions[denied] is False
    assert set(permissions) >= {
        "can_trigger_swarm_tasks", "can_view_network_activity", "workspace_quota_mb", "max_concurrent_tasks", "role",
    }  # fmt: skip


def test_an_orchestrator_reports_its_own_work(manager: LANSessionManager) -> None:
    manager.create_session(IP)
    tracker = manager.activity_tracker
    tracker.tag_task("job-7", "USER_TRIGGERED", IP)
    tracker.tag_task("nightly", "SWARM_AUTO")
    board = manager.get_user_dashboard_data(IP)
    assert [(task["task_id"], task["status"], task["tag"]) for task in board["my_tasks"]] == [
        ("job-7", "running", "Started by user 192.168.1.100")
    ]
    assert board["network_activity"]["background_tasks"] == 1
    tracker.complete_task("job-7", "failed")
    tracker.complete_task("nightly")
    board = manager.get_user_dashboard_data(IP)
    assert board["my_tasks"][0]["status"] == "failed"
    assert board["network_activity"]["background_tasks"] == 0


def test_an_orchestrator_takes_a_waiting_wish_by_tagging_it(manager: LANSessionManager) -> None:
    task_id = manager.submit_task(IP, "Write a report about whales")
    assert manager.get_user_dashboard_data(IP)["my_tasks"][0]["waits_for"] == "worker"
    manager.activity_tracker.tag_task(task_id, "USER_TRIGGERED", IP)
    assert manager.get_user_dashboard_data(IP)["my_tasks"][0]["status"] == "running"


@pytest.mark.parametrize("source_type", ["", "user_triggered", "ROOT"])
def test_a_source_type_is_of_the_closed_list(manager: LANSessionManager, source_type: str) -> None:
    with pytest.raises(InvalidInputError):
        manager.activity_tracker.tag_task("job", source_type)


def test_completing_twice_with_one_word_is_once_and_with_two_is_refused(manager: LANSessionManager) -> None:
    task_id = manager.submit_task(IP, "Analyze data.csv")
    manager.complete_task(task_id)
    manager.complete_task(task_id, "completed")
    with pytest.raises(IllegalMoveError):
        manager.complete_task(task_id, "failed")
    with pytest.raises(InvalidInputError):
        manager.complete_task(task_id, "exploded")
    with pytest.raises(NotFoundError):
        manager.complete_task("nothing")


def test_file_access_is_true_inside_and_a_security_error_outside(manager: LANSessionManager) -> None:
    session = manager.create_session(IP)
    manager.create_session("192.168.1.101")
    assert manager.validate_file_access(IP, session.workspace / "inputs" / "data.csv") is True
    for outside in (
        "/etc/passwd",
        session.workspace / ".." / "192_168_1_101" / "inputs" / "x",
        "\x00",
        "x" * 1_000_000,
    ):
        with pytest.raises(SecurityError):
            manager.validate_file_access(IP, outside)


def test_all_sessions_are_listed_by_address(manager: LANSessionManager) -> None:
    manager.create_session(IP)
    manager.submit_task("192.168.1.101", "Analyze data.csv")
    info = manager.get_all_sessions_info()
    assert (info["total_sessions"], info["active_tasks"]) == (2, 1)
    assert set(info["sessions"]) == {IP, "192.168.1.101"}


def test_tokens_are_made_once_and_readable_by_their_owner_alone(manager: LANSessionManager) -> None:
    tokens = manager.tokens()
    assert manager.tokens() == tokens
    assert tokens.admin != tokens.worker
    for name in ("admin-token", "worker-token"):
        assert (manager.state_dir / name).stat().st_mode & 0o777 == 0o600


def test_a_viewer_sees_of_others_only_counts(manager: LANSessionManager) -> None:
    manager.create_session(IP)
    secret = manager.submit_task("192.168.1.101", "whale-secret")
    manager.activity_tracker.tag_task(secret, "CROSS_USER")
    board = manager.get_user_dashboard_data(IP)
    assert (board["network_activity"]["other_users"], board["network_activity"]["other_tasks"]) == (1, 1)
    seen = repr(board)
    for trace in ("whale", "192.168.1.101", "192_168_1_101", secret):
        assert trace not in seen


def test_a_token_file_that_was_left_empty_is_made_anew(manager: LANSessionManager) -> None:
    kept = manager.state_dir / "admin-token"
    kept.write_text("\n")
    tokens = manager.tokens()
    assert len(tokens.admin) > 40
    assert kept.read_text().strip() == tokens.admin
    assert [path.name for path in manager.state_dir.iterdir() if path.name.startswith(".admin-token")] == []
