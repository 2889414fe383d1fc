"""The server of an ordinary user, who starts it in a shell: with a systemd of the user's own, and without."""

import json
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.clients import PATIENCE_S, device, ended, submit
from tests.server import ROOT, Server, start_server
from tests.vm.service import as_user, begun, needs_machine, shell, shell_of
from tests.vm.test_service import EAT

DROP_IN = Path("/etc/systemd/system/user@.service.d")

pytestmark = needs_machine


def new_user(name: str, first: int, sessions: int = 20) -> Path:
    """Make a user with ids for that many sessions from `first` on; its home."""
    ids = f"{first}-{first + sessions * 65536 - 1}"
    shell(
        f"useradd --create-home --shell /bin/sh {name}; sed -i '/^{name}:/d' /etc/subuid /etc/subgid;"
        f"usermod --add-subuids {ids} --add-subgids {ids} {name}"
    )
    return Path("/home", name)


def give_session(name: str) -> None:
    """Give a user a systemd of its own that stays."""
    shell(f"loginctl enable-linger {name}; systemctl start user@$(id -u {name})")
    end = time.monotonic() + PATIENCE_S
    while as_user("systemctl", "--user", "is-active", "basic.target", user=name, session=True).returncode != 0:
        assert time.monotonic() < end, "the user's systemd did not start"
        time.sleep(0.2)


def forget_user(name: str) -> None:
    """End all that a user runs, and remove it."""
    subprocess.run(["loginctl", "disable-linger", name], check=False)
    subprocess.run(f"systemctl stop user@$(id -u {name})", shell=True, check=False)  # noqa: S602
    own = [process for process in psutil.process_iter(["username"]) if process.info["username"] == name]
    for process in own:
        process.kill()
    psutil.wait_procs(own, timeout=PATIENCE_S)
    subprocess.run(["userdel", "--remove", name], check=False)


def isolation(server: Server) -> str:
    """The grade of isolation that a server tells."""
    return str(httpx.get(f"{server.url}/api/system/health").json()["isolation"]["grade"])


def doctor(name: str, home: Path) -> dict[str, str]:
    """The verdicts of the doctor that a user runs."""
    command = ["-m", "lan_session_manager", "doctor", "--json", "--data-dir", str(home / "user_sessions")]
    done = as_user("env", "-C", str(ROOT), sys.executable, *command, user=name)
    return {finding["name"]: finding["verdict"] for finding in json.loads(done.stdout)["findings"]}


@pytest.fixture(scope="module")
def ann() -> Iterator[Path]:
    """The home of a user with a systemd of its own."""
    try:
        home = new_user("ann", 100_000_000)
        give_session("ann")
        yield home
    finally:
        forget_user("ann")


@pytest.fixture
def bob() -> Iterator[Path]:
    """The home of a user with none."""
    try:
        yield new_user("bob", 200_000_000)
    finally:
        place = Path("/tmp", f"lan-session-manager-{pwd.getpwnam('bob').pw_uid}")
        forget_user("bob")
        shutil.rmtree(place, ignore_errors=True)


def test_in_a_session_with_systemd_everything_holds_and_tasks_outlive_the_server(ann: Path) -> None:
    server = start_server(ann, prefix=shell_of("ann"))
    assert isolation(server) == "full"
    with device(server) as client:
        eats = submit(client, EAT, runner="python", limits={"memory_mb": 64})
        assert ended(client, eats)["reason"] == "out_of_memory"
        goes_on = begun(client, "until [ -e temp/go ]; do sleep 0.1; done; exit 7")
        is_cancelled = begun(client, "sleep 600")
    server.kill9()
    again = start_server(ann, prefix=shell_of("ann"))
    try:
        with device(again) as client:
            assert client.put("/api/workspace/127.0.0.1/files/temp/go", content=b"").is_success
            assert ended(client, goes_on)["exit_code"] == 7
            client.post(f"/api/task/{is_cancelled}/cancel")
            assert ended(client, is_cancelled)["reason"] == "cancelled_by_user"
    finally:
        again.terminate()
    assert (ann / "user_sessions/127_0_0_1/temp/go").stat().st_uid == 100_000_000 + 1000
    found = doctor("ann", ann)
    for name in ("user of the server", "user ids of boxes", "cgroups", "isolation", "lingering"):
        assert found[name] == "PASS", name


def test_what_is_not_delegated_is_told_and_the_network_is_not_served(ann: Path) -> None:
    shell(f"mkdir -p {DROP_IN}; printf '[Service]\\nDelegate=\\nDelegate=memory pids\\n' >{DROP_IN}/delegate.conf")
    try:
        shell("systemctl daemon-reload; systemctl restart user@$(id -u ann)")
        give_session("ann")
        server = start_server(ann, prefix=shell_of("ann"), host="0.0.0.0")
        try:
            assert isolation(server) == "reduced: CPU"
            assert "127.0.0.1" in server.output
            assert doctor("ann", ann)["cgroups"] == "FAIL"
        finally:
            server.terminate()
    finally:
        shutil.rmtree(DROP_IN)
        shell("systemctl daemon-reload; systemctl restart user@$(id -u ann)")


def test_without_systemd_tasks_run_without_limits_for_this_machine_alone(bob: Path) -> None:
    server = start_server(bob, prefix=shell_of("bob"), host="0.0.0.0")
    try:
        assert isolation(server) == "reduced: memory, CPU, process limits"
        listeners = {
            seen.laddr.ip
            for seen in psutil.net_connections("tcp")
            if seen.status == psutil.CONN_LISTEN and seen.laddr and seen.laddr.port == server.port
        }
        assert listeners <= {"127.0.0.1", "::1"}
        with device(server) as client:
            task_id = submit(client, "id -u; touch outputs/made")
            assert ended(client, task_id)["reason"] == "exit"
            assert client.get(f"/api/task/{task_id}/log").text == "1000\n"
        found = doctor("bob", bob)
        assert found["user of the server"] == "PASS"
        assert found["cgroups"] == found["isolation"] == "FAIL"
    finally:
        server.terminate()


def test_without_user_ids_no_task_runs_and_the_page_says_why(bob: Path) -> None:
    shell("sed -i '/^bob:/d' /etc/subuid /etc/subgid")
    server = start_server(bob, prefix=shell_of("bob"))
    try:
        assert httpx.get(f"{server.url}/api/system/health").json()["isolation"] is None
        assert "/etc/subuid" in server.output
        assert doctor("bob", bob)["user ids of boxes"] == "FAIL"
    finally:
        server.terminate()
