"""The server as a service of systemd on cgroup v2, as its users run it. scripts/test-vm has a machine for it."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lan_session_manager.sandbox.box import TASK_UID, opaque_id, user_range
from lan_session_manager.sandbox.cgroups import TREE
from tests.integration.clients import PATIENCE_S, ended, submit
from tests.server import ROOT, free_ports, remove_leftovers
from tests.vm.service import (
    CGROUPS,
    INSTALLED,
    SERVER,
    TASKS,
    UNITS,
    USER,
    Service,
    as_user,
    begun,
    documented,
    needs_machine,
    shell,
)

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

pytestmark = needs_machine


@pytest.fixture(scope="module", params=["shipped", "as-root"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """The service of deploy/, as docs/operations.md installs it; and one of root's, as machines without a user have."""
    yield from _shipped() if request.param == "shipped" else _roots()


def _shipped() -> Iterator[Service]:
    made = Service(SERVER, "http://127.0.0.1:5000", Path("/var/lib", SERVER), CGROUPS / f"system.slice/{TASKS}.service")
    install = documented("## As a service", without=r"^(git clone|\S*scripts/serve)")
    try:
        INSTALLED.symlink_to(ROOT)
        (ROOT / ".venv").symlink_to(sys.prefix)
        shell(install)
        made.wait()
        yield made
    finally:
        subprocess.run(["systemctl", "disable", "--now", SERVER, TASKS], check=False)
        shutil.rmtree(made.data_dir, ignore_errors=True)
        for name in (SERVER, TASKS):
            (UNITS / f"{name}.service").unlink(missing_ok=True)
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        (ROOT / ".venv").unlink()
        INSTALLED.unlink()


def _roots() -> Iterator[Service]:
    port, ws_port = free_ports()
    unit = f"lsm-test-{secrets.token_hex(4)}"
    made = Service(unit, f"http://127.0.0.1:{port}", Path("/var/lib", unit))
    options = f"--host 127.0.0.1 --port {port} --ws-port {ws_port} --data-dir {made.data_dir}"
    server = f"{sys.executable} {ROOT}/session_web_server.py {options}"
    file = Path("/run/systemd/system", f"{unit}.service")
    file.write_text(f"[Service]\nExecStart={server}\nStateDirectory={unit}\nRestart=always\n")
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


@pytest.fixture
def shipped(service: Service) -> Service:
    """The service of deploy/ alone."""
    if service.unit != SERVER:
        pytest.skip("of the shipped units")
    return service


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=PATIENCE_S) as client:
        yield client


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
    for directory in (service.delegated, service.delegated / TREE, service.cgroup, service.session_cgroup):
        assert {"cpu", "memory", "pids"} <= set((directory / "cgroup.subtree_control").read_text().split()), directory
    eats = submit(client, EAT, runner="python", limits={"memory_mb": 64})
    assert ended(client, eats)["reason"] == "out_of_memory"
    client.post(f"/api/task/{runs}/cancel")
    assert ended(client, runs)["reason"] == "cancelled_by_user"


def test_the_server_and_its_tasks_have_no_rights_on_the_host(client: httpx.Client, shipped: Service) -> None:
    task_id = begun(client, "touch outputs/made; sleep 60")
    uid = int(subprocess.run(["id", "-u", USER], capture_output=True, text=True, check=True).stdout)
    for pid in (shipped.process(), shipped.process(TASKS), *map(int, shipped.monitors())):
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Uid"].split() == [str(uid)] * 4
        assert status["NoNewPrivs"] == "1"
        # Rights of its own user namespace, which are none over anything else.
        assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    made = shipped.data_dir / "127_0_0_1" / "outputs" / "made"
    assert made.stat().st_uid == user_range(0) + TASK_UID
    assert shipped.data_dir.stat().st_uid == uid
    client.post(f"/api/task/{task_id}/cancel")
    ended(client, task_id)


def test_a_task_goes_before_everything_else_where_memory_runs_out(client: httpx.Client, service: Service) -> None:
    task_id = submit(client, "echo 99 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj")
    ended(client, task_id)
    assert "500" in client.get(f"/api/task/{task_id}/log").text.splitlines()


def test_an_adopted_task_can_be_cancelled(client: httpx.Client, service: Service) -> None:
    task_id = begun(client, "sleep 600")
    before = service.process()
    service.control("kill", "--signal", "KILL")
    service.wait(before)
    client.post(f"/api/task/{task_id}/cancel")
    assert ended(client, task_id)["reason"] == "cancelled_by_user"


def test_tasks_go_on_without_the_server_and_end_meanwhile(client: httpx.Client, shipped: Service) -> None:
    task_id = begun(client, "until [ -e temp/now ]; do sleep 0.1; done; echo over; exit 3")
    shipped.control("stop")
    (shipped.data_dir / "127_0_0_1" / "temp" / "now").touch()
    end = time.monotonic() + PATIENCE_S
    while shipped.monitors() and time.monotonic() < end:
        time.sleep(0.1)
    shipped.control("start")
    shipped.wait()
    task = ended(client, task_id)
    assert (task["reason"], task["exit_code"]) == ("exit", 3)
    assert client.get(f"/api/task/{task_id}/log").text == "begun\nover\n"


def test_the_doctor_finds_nothing_wrong_with_the_user_and_warns_of_root(shipped: Service) -> None:
    doctor = [str(INSTALLED / ".venv/bin/python"), "-m", "lan_session_manager", "doctor", "--json"]
    doctor += ["--data-dir", str(shipped.data_dir)]
    script = f"cd {INSTALLED} && exec {' '.join(doctor)}"
    done = as_user("sh", "-c", script)
    found = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    for name in ("user of the server", "user ids of boxes", "user namespaces", "cgroups", "isolation"):
        assert found[name]["verdict"] == "PASS", found[name]
    roots = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout
    warned = {finding["name"]: finding for finding in json.loads(roots)["findings"]}["user of the server"]
    assert warned["verdict"] == "CAUTION"


@pytest.mark.parametrize(
    "how", [["restart"], ["kill", "--kill-who", "main", "--signal", "KILL"]], ids=["restart", "kill"]
)
def test_tasks_end_with_their_unit_and_the_server_comes_back(
    client: httpx.Client, shipped: Service, how: list[str]
) -> None:
    task_id = begun(client, "sleep 600")
    before = shipped.process()
    subprocess.run(["systemctl", *how, TASKS], check=True)
    shipped.wait(before)
    assert ended(client, task_id)["reason"] in ("lost", "signal")
    good = submit(client, "echo again")
    assert ended(client, good)["reason"] == "exit"


def test_stopping_the_tasks_unit_stops_everything(client: httpx.Client, shipped: Service) -> None:
    begun(client, "sleep 600")
    subprocess.run(["systemctl", "stop", TASKS], check=True)
    assert shipped.process() == shipped.process(TASKS) == 0
    assert not shipped.delegated.exists()  # systemd removes a cgroup once nothing runs in it
    shipped.control("start")
    shipped.wait()
