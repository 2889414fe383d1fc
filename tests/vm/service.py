"""A server that systemd runs on cgroup v2, and short ways to look at it."""

import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lan_session_manager.sandbox.box import group_id
from lan_session_manager.sandbox.boxes import instance_id
from lan_session_manager.sandbox.cgroups import TREE
from tests.integration.clients import PATIENCE_S, submit, wait_for
from tests.server import ROOT

CGROUPS = Path("/sys/fs/cgroup")
INSTALLED = Path("/opt/lan-session-manager")  # where the units and docs/operations.md have it
UNITS = Path("/etc/systemd/system")
SERVER, TASKS = "lan-session-manager", "lan-session-manager-tasks"
USER = "lsm"

needs_machine = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or not Path("/run/systemd/system").exists() or not (CGROUPS / "cgroup.controllers").exists(),
        reason="needs root, systemd and cgroup v2: scripts/test-vm",
    ),
]


@dataclass(frozen=True)
class Service:
    """A server that systemd runs. `delegated` is the cgroup below which the instance's are."""

    unit: str
    url: str
    data_dir: Path
    delegated: Path = CGROUPS

    @property
    def cgroup(self) -> Path:
        """The cgroup of the instance."""
        return self.delegated / TREE / instance_id(self.data_dir)

    @property
    def session_cgroup(self) -> Path:
        """That of the session that the tests' requests come from."""
        return self.cgroup / group_id("127_0_0_1")

    def control(self, *verb: str) -> None:
        """Have systemctl do something to the service."""
        subprocess.run(["systemctl", *verb, self.unit], check=True)

    def process(self, unit: str = "") -> int:
        """The process id of the server, or of another unit; 0 between two of them."""
        command = ["systemctl", "show", "--value", "--property", "MainPID", unit or self.unit]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def monitors(self) -> list[str]:
        """The process ids of the monitors of its tasks."""
        files = (self.cgroup / "monitors").rglob("cgroup.procs")
        return sorted(pid for file in files for pid in file.read_text().split())

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
        units = ["-u", self.unit, "-u", TASKS]
        journal = subprocess.run(["journalctl", *units], capture_output=True, text=True, check=True).stdout
        raise AssertionError(f"the service does not answer: {journal}")


def begun(client: httpx.Client, command: str) -> str:
    """Submit a shell task and give its id once it prints "begun", which it does first."""
    task_id = submit(client, f"echo begun; {command}")
    wait_for(client, task_id, lambda _: client.get(f"/api/task/{task_id}/log").text)
    return task_id


def documented(heading: str, without: str) -> str:
    """The first block of commands below a heading of docs/operations.md, without the lines that match a pattern."""
    text = (ROOT / "docs/operations.md").read_text()
    block = text.split(f"{heading}\n", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    return "\n".join(line for line in block.splitlines() if not re.search(without, line))


def shell(commands: str) -> None:
    """Run commands as root. Fails with the first that fails."""
    subprocess.run(["bash", "-euxc", commands], check=True)


def shell_of(user: str, *, session: bool = False) -> list[str]:
    """What stands before a command of a user in an ordinary shell; `session`: that knows the user's systemd."""
    uid = subprocess.run(["id", "-u", user], capture_output=True, text=True, check=True).stdout.strip()
    known = [f"XDG_RUNTIME_DIR=/run/user/{uid}"] if session else ["-u", "XDG_RUNTIME_DIR"]
    return ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "env", *known]


def as_user(*command: str, user: str = USER, session: bool = False) -> "subprocess.CompletedProcess[str]":
    """Run a program as a user in an ordinary shell."""
    whole = [*shell_of(user, session=session), *command]
    return subprocess.run(whole, capture_output=True, text=True, check=False, cwd="/")
