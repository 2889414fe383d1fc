"""The server as a service of systemd on cgroup v2, as its users run it. scripts/test-vm has a machine for it."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lan_session_manager.sandbox.box import group_id, opaque_id
from lan_session_manager.sandbox.boxes import instance_id
from lan_session_manager.sandbox.cgroups import TREE
from tests.integration.clients import PATIENCE_S, ended, submit, wait_for
from tests.server import ROOT, free_ports, remove_leftovers

CGROUPS = Path("/sys/fs/cgroup")
FORK = """
import os, time

try:
    while os.fork():
        pass
    time.sleep(60)
except OSError as error:
    print(error.strerror)
"""
EAT = "kept = bytearray(400 * 1024 * 1024); print('got it')"

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or not Path("/run/systemd/system").exists() or not (CGROUPS / "cgroup.controllers").exists(),
        reason="needs root, systemd and cgroup v2: scripts/test-vm",
    ),
]


@dataclass(frozen=True)
class Service:
    """A server that systemd runs."""

    unit: str
    url: str
    data_dir: Path

    @property
    def cgroup(self) -> Path:
        """The cgroup of the instance, beside those of systemd."""
        return CGROUPS / TREE / instance_id(self.data_dir)

    @property
    def session_cgroup(self) -> Path:
        """That of the session that the tests' requests come from."""
        return self.cgroup / group_id("127_0_0_1")

    def control(self, *verb: str) -> None:
        """Have systemctl do something to the service."""
        subprocess.run(["systemctl", *verb, self.unit], check=True)

    def process(self) -> int:
        """The process id of the server; 0 between two of them."""
        command = ["systemctl", "show", "--value", "--property", "MainPID", self.unit]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def monitors(self) -> list[str]:
        """The process ids of the monitors of its tasks."""
        return (self.cgroup / "monitors" / "cgroup.procs").read_text().split()

    def wait(self, before: int = 0) -> None:
        """Wait until it answers, by another process than `before`."""
        end = time.monotonic() + 2 * PATIENCE_S
        while time.monotonic() < end:
            try:
                if self.process() not in (0, before) and httpx.get(f"{self.url}/api/system/health").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        journal = subprocess.run(["journalctl", "-u", self.unit], capture_output=True, text=True, check=True).stdout
        raise AssertionError(f"the service does not answer: {journal}")


@pytest.fixture(scope="module", params=["plain", "shipped"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """A service that systemd ends as it does by default, with all that is in its cgroup; and the one of deploy/."""
    port, ws_port = free_ports()
    unit = f"lsm-test-{secrets.token_hex(4)}"
    made = Service(unit, f"http://127.0.0.1:{port}", Path("/var/lib", unit))
    options = f"--host 127.0.0.1 --port {port} --ws-port {ws_port} --data-dir {made.data_dir}"
    if request.param == "shipped":
        text = _shipped(unit, options)
    else:
        server = f"{sys.executable} {ROOT}/session_web_server.py {options}"
        text = f"[Service]\nExecStart={server}\nStateDirectory={unit}\nRestart=always\n"
    file = Path("/run/systemd/system", f"{unit}.service")
    file.write_text(text)
    try:
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        made.control("start")
        made.wait()
        yield made
    finally:
        made.control("stop")
        remove_leftovers(made.data_dir)
        shutil.rmtree(made.data_dir)
        file.unlink()
        subprocess.run(["systemctl", "daemon-reload"], check=True)


def _shipped(unit: str, options: str) -> str:
    """The unit of deploy/, for this copy of the project and with a directory of its own."""
    text = (ROOT / "deploy/lan-session-manager.service").read_text()
    for old, new in (
        ("/opt/lan-session-manager/.venv/bin/python", sys.executable),
        ("/opt/lan-session-manager", str(ROOT)),
        ("StateDirectory=lan-session-manager", f"StateDirectory={unit}"),
    ):
        assert old in text
        text = text.replace(old, new)
    return re.sub(r"^(ExecStart=.*)$", rf"\1 {options}", text, flags=re.MULTILINE)


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=PATIENCE_S) as client:
        yield client


def begun(client: httpx.Client, command: str) -> str:
    """Submit a shell task and give its id once it prints "begun", which it does first."""
    task_id = submit(client, f"echo begun; {command}")
    wait_for(client, task_id, lambda _: client.get(f"/api/task/{task_id}/log").text)
    return task_id


def test_the_self_test_finds_every_promise_kept(client: httpx.Client) -> None:
    isolation = client.get("/api/system/health").json()["isolation"]
    assert isolation["grade"] == "full", isolation
    assert "cgroup v2" in isolation["line"]


def test_a_task_runs_and_has_no_more_memory_and_processes_than_its_limits(client: httpx.Client) -> None:
    good = submit(client, "echo hello")
    eats = submit(client, EAT, runner="python", limits={"memory_mb": 64})
    forks = submit(client, FORK, runner="python")
    assert ended(client, good)["reason"] == "exit"
    assert client.get(f"/api/task/{good}/log").text == "hello\n"
    task = ended(client, eats)
    assert (task["status"], task["reason"], task["exit_code"]) == ("failed", "out_of_memory", 137)
    assert 60 < task["usage"]["memory_peak_mb"] <= 64
    assert ended(client, forks)["reason"] == "exit"
    assert client.get(f"/api/task/{forks}/log").text == "Resource temporarily unavailable\n"


def test_a_task_does_not_go_around_its_limit_by_swap(client: httpx.Client, service: Service) -> None:
    if len(Path("/proc/swaps").read_text().splitlines()) < 2:
        pytest.skip("this machine has no swap")
    task_id = begun(client, "sleep 60")
    for directory in (service.session_cgroup, service.session_cgroup / opaque_id(task_id)):
        assert (directory / "memory.swap.max").read_text() == "0\n"
    client.post(f"/api/task/{task_id}/cancel")
    ended(client, task_id)


@pytest.mark.parametrize("verb", [["restart"], ["kill", "--signal", "KILL"]], ids=["restart", "kill"])
def test_tasks_go_on_while_systemd_ends_all_that_is_in_the_service(
    client: httpx.Client, service: Service, verb: list[str]
) -> None:
    task_id = begun(client, "until [ -e go ]; do sleep 0.1; done; echo over; exit 5")
    monitors = service.monitors()
    assert len(monitors) == 1
    before = service.process()
    service.control(*verb)
    service.wait(before)
    assert service.monitors() == monitors
    assert client.put("/api/workspace/127.0.0.1/files/go", content=b"").is_success
    task = ended(client, task_id)
    assert (task["reason"], task["exit_code"]) == ("exit", 5)
    assert client.get(f"/api/task/{task_id}/log").text == "begun\nover\n"
    assert client.delete("/api/workspace/127.0.0.1/files/go").is_success


def test_limits_hold_after_systemd_has_put_its_tree_in_order(client: httpx.Client, service: Service) -> None:
    runs = begun(client, "sleep 60")
    # Both have systemd write which controllers its own services need, at the root that it shares with this tree.
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(
        ["systemd-run", "--quiet", "--wait", "-p", "CPUWeight=50", "-p", "MemoryMax=50M", "true"], check=True
    )
    for directory in (CGROUPS, CGROUPS / TREE, service.cgroup, service.session_cgroup):
        assert {"cpu", "memory", "pids"} <= set((directory / "cgroup.subtree_control").read_text().split()), directory
    eats = submit(client, EAT, runner="python", limits={"memory_mb": 64})
    assert ended(client, eats)["reason"] == "out_of_memory"
    client.post(f"/api/task/{runs}/cancel")
    assert ended(client, runs)["reason"] == "cancelled_by_user"
