"""What tests start, they take down: the server's boxes as well, which outlive it on purpose."""

from pathlib import Path

import psutil
import pytest

from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.boxes import instance_id
from lan_session_manager.sandbox.cgroups import TREE
from tests.integration.clients import device, submit, wait_for
from tests.server import start_server

pytestmark = pytest.mark.root


def _left(data_dir: Path) -> list[str]:
    """The monitors, directories and cgroups of the server over that directory."""
    instance = instance_id(data_dir)
    monitors = [process for process in psutil.process_iter(["name", "cmdline"]) if process.info["name"] == "conmon"]
    mine = [f"process {process.pid}" for process in monitors if instance in " ".join(process.info["cmdline"] or ())]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{TREE}/{instance}")]
    return [*mine, *groups, *(str(path) for path in launcher.run_dir().glob(instance))]


def test_a_task_outlives_a_killed_server_and_is_gone_after_the_stop(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    try:
        with device(server) as client:
            task_id = submit(client, "touch inputs/begun; sleep 300")
            wait_for(client, task_id, lambda _: (server.data_dir / "127_0_0_1/inputs/begun").exists())
        server.kill9()
        assert any(name.startswith("process") for name in _left(server.data_dir))
    finally:
        server.stop()
    assert _left(server.data_dir) == []


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="unrecognized arguments: --nonsense"):
        start_server(tmp_path, args=["--nonsense"])
