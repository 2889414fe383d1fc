"""Whatever dies under a task, it has one end with a sentence, or, if it asked for that, its next attempt."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.clients import Live, dashboard, device, ended, submit
from tests.integration.failing import box_directory, kill, kill_monitor, lease, mortal_runtime, restart_host, until
from tests.server import Server, remove_leftovers, start_server

pytestmark = pytest.mark.root

WAITS = "echo begun; until [ -e temp/go ]; do sleep 0.05; done; echo over; exit 3"
DIED = "The monitor of the task died."
RESTARTED = "The machine restarted while the task ran."


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_leftovers(tmp_path / "user_sessions")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def _until_printed(client: httpx.Client, task_id: str, log: str) -> None:
    until(lambda: client.get(f"/api/task/{task_id}/log").text == log)


def _log(live: Live, task_id: str, until_has: str) -> str:
    """What the log brings up to that text; each piece begins where the one before it ended."""
    text = ""
    while until_has not in text:
        piece = live.event("log", task_id=task_id)
        text += piece["text"]
    return text


def test_after_a_restart_of_the_host_a_task_goes_on_with_one_log_or_says_that_it_was_lost(place: Path) -> None:
    with start_server(place) as server, device(server) as client:
        data_dir = server.data_dir
        again, lost = submit(client, WAITS, retries=1), submit(client, WAITS)
        for task_id in (again, lost):
            _until_printed(client, task_id, "begun\n")
        server.kill9()
        restart_host(data_dir, again, lost)
    with start_server(place) as server, device(server) as client:
        task = ended(client, lost)
        assert (task["status"], task["reason"], task["exit_code"]) == ("failed", "lost", None)
        assert task["detail"].startswith(f"{RESTARTED} It had not asked to be tried again")
        wanted = f"begun\n[{RESTARTED} Attempt 2 begins here.]\nbegun\n"
        _until_printed(client, again, wanted)
        # Who had read the first attempt before the fall goes on behind it.
        resumed = client.get(f"/api/task/{again}/log", params={"after": len("begun\n")}).text
        assert resumed == wanted.removeprefix("begun\n")
        assert client.get(f"/api/task/{again}").json()["detail"] == "This is attempt 2: the one before it was lost."
        (data_dir / "127_0_0_1" / "temp" / "go").touch()
        task = ended(client, again)
        assert (task["reason"], task["exit_code"], task["attempt"], task["detail"]) == ("exit", 3, 2, "")
        assert client.get(f"/api/task/{again}/log").text == wanted + "over\n"


def test_a_follower_goes_on_over_the_death_of_a_monitor_into_the_next_attempt(server: Server) -> None:
    address = "127.0.1.1"
    with device(server, address) as client, dashboard(server, address) as live:
        task_id = submit(client, WAITS, retries=1)
        live.send(type="follow_log", task_id=task_id, after=0)
        assert _log(live, task_id, "begun\n") == "begun\n"
        kill_monitor(server.data_dir, task_id)
        text = _log(live, task_id, "]\nbegun\n")
        assert text == f"[{DIED} Attempt 2 begins here.]\nbegun\n"
        (server.data_dir / "127_0_1_1" / "temp" / "go").touch()
        assert _log(live, task_id, "over\n") == "over\n"
        said = client.get(f"/api/task/{task_id}/log").text
        assert live.event("log_end", task_id=task_id)["next"] == len(said.encode())
        task = ended(client, task_id)
        assert (task["exit_code"], task["attempt"]) == (3, 2)
        assert said == f"begun\n[{DIED} Attempt 2 begins here.]\nbegun\nover\n"


def test_a_task_whose_monitor_dies_again_is_lost_and_says_that_it_was_tried_twice(server: Server) -> None:
    with device(server, "127.0.1.2") as client:
        task_id = submit(client, "echo begun; sleep 60", retries=1)
        for log in ("begun\n", f"begun\n[{DIED} Attempt 2 begins here.]\nbegun\n"):
            _until_printed(client, task_id, log)
            kill_monitor(server.data_dir, task_id)
        task = ended(client, task_id)
        assert (task["reason"], task["attempt"]) == ("lost", 2)
        assert task["detail"].startswith(f"{DIED} It had been tried again already")


def test_a_monitor_that_dies_while_no_server_runs(place: Path) -> None:
    with start_server(place) as server, device(server) as client:
        data_dir = server.data_dir
        again, lost = submit(client, WAITS, retries=1), submit(client, WAITS)
        for task_id in (again, lost):
            _until_printed(client, task_id, "begun\n")
        server.kill9()
        for task_id in (again, lost):
            kill_monitor(data_dir, task_id)
    (data_dir / "127_0_0_1" / "temp" / "go").touch()
    with start_server(place) as server, device(server) as client:
        assert ended(client, lost)["detail"].startswith(f"{DIED} It had not asked")
        assert ended(client, again)["attempt"] == 2
        log = client.get(f"/api/task/{again}/log").text
        assert log == f"begun\n[{DIED} Attempt 2 begins here.]\nbegun\nover\n"


@pytest.mark.parametrize("what", ["its first process", "all of its processes"])
def test_a_box_that_is_killed_from_outside_ends_as_killed_and_is_not_tried_again(server: Server, what: str) -> None:
    with device(server, "127.0.1.3") as client:
        task_id = submit(client, "echo begun; sleep 60 & sleep 60", retries=1)
        _until_printed(client, task_id, "begun\n")
        box = psutil.Process(lease(server.data_dir, task_id)["box_pid"])
        for process in [box] if what == "its first process" else [*box.children(recursive=True), box]:
            kill(process.pid)
        task = ended(client, task_id)
        assert (task["status"], task["reason"], task["exit_code"]) == ("failed", "signal", 137)
        assert task["detail"] == "SIGKILL, or exit code 137 of its own: these look alike."
        assert ended(client, submit(client, "true"))["status"] == "completed"


def test_a_runtime_that_dies_or_is_gone_at_any_step_of_a_start(tmp_path: Path) -> None:
    runtime, mode = mortal_runtime(tmp_path)
    with start_server(tmp_path, env={"LSM_OCI_RUNTIME": str(runtime)}) as server, device(server) as client:
        for dies in ("create before", "start before", "it is gone"):
            mode.write_text(f"{dies}\n")
            if dies == "it is gone":
                runtime.rename(tmp_path / "elsewhere")
            task_id = submit(client, "echo ran >> outputs/ran", retries=1)
            task = ended(client, task_id)
            assert (task["status"], task["reason"]) == ("failed", "start_failed"), dies
            assert task["detail"].startswith("The task could not be started: "), dies
            assert not box_directory(server.data_dir, task_id).exists(), dies
        (tmp_path / "elsewhere").rename(runtime)
        # What has begun has begun, whatever becomes of the program that began it.
        mode.write_text("start after\n")
        assert ended(client, submit(client, "echo ran >> outputs/ran"))["status"] == "completed"
        mode.write_text("never\n")
        assert ended(client, submit(client, "echo ran >> outputs/ran"))["status"] == "completed"
        assert (server.data_dir / "127_0_0_1" / "outputs" / "ran").read_text() == "ran\nran\n"
        until(lambda: not _monitors(server))


def _monitors(server: Server) -> list[int]:
    """The monitors of the server's boxes."""
    boxes = str(server.data_dir)
    found = psutil.process_iter(["name", "cmdline"])
    return [
        process.pid
        for process in found
        if process.info["name"] == "conmon" and any(boxes in word for word in process.info["cmdline"] or ())
    ]
