"""The doctor on this machine: it passes here, finds what is made wrong, and leaves nothing behind."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lan_session_manager.doctor import isolation
from lan_session_manager.doctor.findings import Verdict
from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.boxes import instance_id
from lan_session_manager.sandbox.cgroups import TREE
from lan_session_manager.sandbox.host import read_mounts
from lan_session_manager.sandbox.runtime import find_program
from lan_session_manager.settings import STATE_DIR
from tests.integration.clients import device, ended, submit, wait_for
from tests.server import ROOT, Server, start_server

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="the doctor's self-test needs root"),
]


@dataclass(frozen=True)
class Report:
    """What the doctor said with --json."""

    status: int
    verdict: str
    findings: dict[str, dict[str, str]]  # by name

    def verdict_of(self, name: str) -> str:
        return self.findings[name]["verdict"]


def _run(
    *arguments: str, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LSM_")}
    return subprocess.run(
        [*prefix, sys.executable, "-m", "lan_session_manager", "doctor", *arguments],
        cwd=ROOT,
        env=clean | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def _examine(
    data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Report:
    done = _run("--json", "--data-dir", str(data_dir), *arguments, env=env, prefix=prefix)
    told = json.loads(done.stdout)
    assert set(told) == {"findings", "verdict"}
    for finding in told["findings"]:
        assert set(finding) == {"name", "verdict", "what", "advice"}
        assert finding["verdict"] in ("PASS", "FAIL", "CAUTION", "SKIPPED")
        assert finding["what"]
        if finding["verdict"] != "SKIPPED":
            assert bool(finding["advice"]) is (finding["verdict"] != "PASS"), finding
    assert len({finding["name"] for finding in told["findings"]}) == len(told["findings"])
    failed = any(finding["verdict"] == "FAIL" for finding in told["findings"])
    assert (done.returncode, told["verdict"] == "FAIL") == (int(failed), failed)
    return Report(done.returncode, told["verdict"], {finding["name"]: finding for finding in told["findings"]})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def test_this_machine_can_serve(tmp_path: Path) -> None:
    report = _examine(tmp_path / "none", "--port", str(_free_port()))
    assert [name for name in ("isolation", "box: memory", "box: no network") if report.verdict_of(name) != "PASS"] == []
    for name in ("kernel", "user namespaces", "seccomp", "cgroups", "conmon", "catatonit"):
        assert report.verdict_of(name) == "PASS"
    assert report.verdict_of("user of the server") == "CAUTION"
    assert report.verdict_of("data directory") == "SKIPPED"
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_its_boxes_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instances: list[str] = []

    def noted(data_dir: Path) -> str:
        instances.append(instance_id(data_dir))
        return instances[-1]

    monkeypatch.setattr(isolation, "instance_id", noted)
    (tmp_path / STATE_DIR).mkdir()
    found = isolation.find_isolation(tmp_path, "", "")
    assert found[0].verdict is Verdict.PASS, found
    [instance] = instances
    trees = [mount.point / TREE for mount in read_mounts() if mount.kind.startswith("cgroup")]
    assert [place for place in (launcher.run_dir(), *trees) if (place / instance).exists()] == []
    assert list((tmp_path / STATE_DIR).iterdir()) == []


def test_people_get_a_line_a_finding_and_the_sum(tmp_path: Path) -> None:
    done = _run("--data-dir", str(tmp_path), "--port", str(_free_port()))
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["PASS", "settings", "they", "fit"]
    assert lines[-1].partition(":")[0] == ("FAIL" if done.returncode else "CAUTION")
    assert any(line.startswith("CAUTION  user of the server") for line in lines)


def test_a_port_that_another_program_uses_is_found(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        report = _examine(tmp_path, "--port", str(port))
    found = report.findings[f"port {port}"]
    assert (found["verdict"], report.status) == ("FAIL", 1)
    assert f"process {os.getpid()}" in found["what"]


def _without(*programs: str) -> list[str]:
    """What stands before a command so that it finds none of the programs, as if they were not installed."""
    found = [find_program(program) for program in programs]
    hide = "; ".join(f"mount --bind /dev/null {path}" for path in found if path)
    return ["unshare", "--mount", "sh", "-ec", f'{hide}; exec "$@"', "sh"]


def test_programs_that_are_not_installed_are_found(tmp_path: Path) -> None:
    report = _examine(tmp_path, prefix=_without("crun", "runc", "conmon", "catatonit"))
    for name in ("runtime", "conmon", "catatonit"):
        assert report.verdict_of(name) == "FAIL"
        assert "apt install" in report.findings[name]["advice"]
    assert (report.status, report.verdict_of("isolation")) == (1, "FAIL")


def test_one_runtime_is_enough(tmp_path: Path) -> None:
    report = _examine(tmp_path, "--port", str(_free_port()), prefix=_without("runc"))
    assert "runtime runc" not in report.findings
    assert (report.verdict_of("runtime crun"), report.verdict_of("isolation")) == ("PASS", "PASS")


def test_a_runtime_of_the_settings_that_is_not_there_is_found(tmp_path: Path) -> None:
    report = _examine(tmp_path, env={"LSM_OCI_RUNTIME": str(tmp_path / "runtime")})
    assert (report.status, report.verdict_of("runtime"), report.verdict_of("isolation")) == (1, "FAIL", "FAIL")
    assert "LSM_OCI_RUNTIME" in report.findings["runtime"]["advice"]


def test_a_setting_that_does_not_fit_is_found(tmp_path: Path) -> None:
    for text in ('slots = "many"', "slots ="):
        (tmp_path / STATE_DIR).mkdir(exist_ok=True)
        (tmp_path / STATE_DIR / "settings.toml").write_text(text)
        assert _examine(tmp_path).verdict_of("settings") == "FAIL"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a server that has run a task and has ended."""
    with start_server(tmp_path_factory.mktemp("server")) as server, device(server) as client:
        ended(client, submit(client, "true"))
    return server.data_dir


def test_the_data_directory_of_a_server_that_has_ended_is_whole(stopped: Path) -> None:
    report = _examine(stopped)
    assert (report.verdict_of("database"), report.verdict_of("data directory")) == ("PASS", "PASS")


def test_a_damaged_database_is_found_and_not_changed(stopped: Path, tmp_path: Path) -> None:
    for offset, junk in ((0, b"no database"), (4096, b"\xff" * 2048)):
        copy = tmp_path / str(offset)
        shutil.copytree(stopped, copy)
        database = copy / STATE_DIR / "state.db"
        with database.open("r+b") as file:
            file.seek(offset)
            file.write(junk)
        before = database.read_bytes()
        report = _examine(copy)
        assert (report.status, report.verdict_of("database")) == (1, "FAIL")
        assert database.read_bytes() == before


def test_a_data_directory_that_others_may_enter_is_found(stopped: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(stopped, copy)
    copy.chmod(0o755)
    assert _examine(copy).verdict_of("data directory") == "CAUTION"
    copy.chmod(0o700)
    os.chown(copy, 12345, 12345)
    assert _examine(copy).verdict_of("data directory") == "FAIL"


def test_it_runs_beside_a_server_which_knows_its_ports_and_goes_on(tmp_path: Path) -> None:
    with start_server(tmp_path) as server, device(server) as client:
        task_id = submit(client, "sleep 60")
        wait_for(client, task_id, lambda task: task["status"] == "running")
        report = _examine(server.data_dir, "--port", str(server.port))
        assert report.findings[f"port {server.port}"]["what"] == f"used by the server (process {server.process.pid})"
        for name in (f"port {server.port}", "database", "isolation", "open files"):
            assert report.verdict_of(name) == "PASS", report.findings[name]
        assert [entry for entry in os.listdir(server.data_dir / STATE_DIR) if entry.startswith("doctor")] == []
        assert client.get(f"/api/task/{task_id}").json()["status"] == "running"
        _runs_a_task(server)


def _runs_a_task(server: Server) -> None:
    with device(server, "127.0.0.7") as client:
        assert ended(client, submit(client, "true"))["status"] == "completed"


def test_what_a_killed_doctor_left_is_removed_by_the_next(tmp_path: Path) -> None:
    with start_server(tmp_path) as server:
        state_dir = server.data_dir / STATE_DIR
        command = [sys.executable, "-m", "lan_session_manager", "doctor", "--data-dir", str(server.data_dir)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
            instances: list[str] = []
            end = time.monotonic() + 60
            while not any((launcher.run_dir() / one / "bundles").is_dir() for one in instances):
                assert time.monotonic() < end
                instances = [instance_id(left) for left in state_dir.glob("doctor-*")]
            time.sleep(0.3)
            killed.kill()
        [left], [instance] = list(state_dir.glob("doctor-*")), instances
        begun = time.time() - 60
        os.utime(left, (begun, begun))
        assert _run("--data-dir", str(server.data_dir)).returncode in (0, 1)
        assert list(state_dir.glob("doctor-*")) == []
        assert not (launcher.run_dir() / instance).exists()
        assert [
            one.pid for one in psutil.process_iter(["cmdline"]) if instance in " ".join(one.info["cmdline"] or ())
        ] == []
