"""A worker in the standard library alone: claims tasks of the swarm, does each with a program, says how it ended.

    LSM_URL=http://192.168.1.10:5000 LSM_WORKER_TOKEN=... python3 worker.py my-program

The program gets the task's command as its one argument. What it prints is the task's log; its exit code decides.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from typing import Any

URL = os.environ.get("LSM_URL", "http://127.0.0.1:5000")
TOKEN = os.environ["LSM_WORKER_TOKEN"]


def call(method: str, path: str, body: Any = None, lease: str = "") -> Any:
    """One request, tried again while the server cannot be reached; raises urllib.error.HTTPError when it refuses."""
    data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind, "LSM-Lease": lease}
    while True:
        request = urllib.request.Request(URL + path, data, headers, method=method)  # noqa: S310 - the owner's own URL
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                raise
        except OSError:
            pass
        threading.Event().wait(1)


def do(task: dict[str, Any], program: list[str]) -> None:
    """Do one task, as long as nobody wants it to stop."""
    path, lease = f"/api/worker/task/{task['task_id']}", task["lease"]
    process = subprocess.Popen(
        [*program, task["command"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    over = threading.Event()

    def end(how: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)  # with the programs that it has started

    def beat() -> None:
        while not over.wait(task["heartbeat_s"]):
            try:
                if call("POST", f"{path}/heartbeat", lease=lease)["cancel"]:
                    end(signal.SIGTERM)
            except urllib.error.HTTPError:  # the lease is another's now
                end(signal.SIGKILL)
                return

    threading.Thread(target=beat, daemon=True).start()
    offset = task["log_next"]
    try:
        while data := process.stdout.read1(65536):  # type: ignore[union-attr]
            offset = call("PUT", f"{path}/log?offset={offset}", data, lease)["next"]
        code = process.wait()
        status = "cancelled" if code == -15 else "completed" if code == 0 else "failed"
        call("POST", f"{path}/complete", {"status": status, "exit_code": code}, lease)
    except urllib.error.HTTPError as error:
        end(signal.SIGKILL)
        print(f"{task['task_id']}: {json.load(error)['error']}", file=sys.stderr)
    finally:
        over.set()
        process.wait()


def main(program: list[str]) -> None:
    """Claim one task after the other, for ever."""
    name = f"{os.uname().nodename}-{os.getpid()}"
    while True:
        for task in call("POST", "/api/worker/claim", {"worker": name, "capacity": 1, "wait_s": 30})["tasks"]:
            do(task, program)


if __name__ == "__main__":
    main(sys.argv[1:] or ["/bin/sh", "-c"])
