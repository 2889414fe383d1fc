"""The real server as a process of its own, for tests.

    with start_server(tmp_path) as server:
        urllib.request.urlopen(server.url + "/api/system/health")

With `prefix=lan.server.prefix, host="0.0.0.0"` it runs on the server's machine of a tests.lan.lan.Lan.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.box import SandboxError
from lan_session_manager.sandbox.boxes import instance_id
from lan_session_manager.sandbox.cgroups import find_cgroups
from lan_session_manager.sandbox.host import read_mounts
from lan_session_manager.settings import STATE_DIR

ROOT = Path(__file__).parents[1]
_START_S = 120  # also in an emulated machine
_STOP_S = 20
# Runs behind the prefix as well: from elsewhere the server of a namespace cannot be reached.
_WAIT = """
import ssl, sys, time, urllib.error, urllib.request
anyone = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), anyone)
while True:
    try:
        with opener.open(sys.argv[1], timeout=5) as answer:
            sys.exit(answer.status != 200)
    except OSError:
        time.sleep(0.05)
"""


@dataclass
class Server:
    """A server that answers. `url` holds where it runs, on its own machine."""

    process: "subprocess.Popen[bytes]"
    port: int
    ws_port: int
    url: str
    data_dir: Path
    log: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def admin_token(self) -> str:
        """The owner's token, as the first start has kept it."""
        return (self.data_dir / STATE_DIR / "admin-token").read_text().strip()

    @property
    def output(self) -> str:
        """All that it has printed so far, errors too."""
        return self.log.read_text(errors="replace")

    def terminate(self) -> int:
        """End it as its owner does and give its exit status; its tasks go on, for a next server over the directory."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"the server did not end within {_STOP_S} s of SIGTERM:\n{self.output}") from None

    def kill9(self) -> None:
        """End it as a crash does; its tasks go on."""
        self.process.kill()
        self.process.wait(_STOP_S)

    def stop(self) -> None:
        """End it, if it still runs, and everything that it has left outside of its data directory."""
        try:
            if self.process.poll() is None:
                self.terminate()
        finally:
            remove_leftovers(self.data_dir)


def start_server(
    tmp_path: Path,
    *,
    prefix: Sequence[str] = (),
    host: str = "127.0.0.1",
    env: Mapping[str, str] | None = None,
    args: Sequence[str] = (),
) -> Server:
    """Start a server over `tmp_path`/user_sessions and wait until it answers; a second call there starts it again.

    `env` is added to the environment, from which the server's own settings are removed. Raises AssertionError with what
    the server printed if it ends, or does not answer in time.
    """
    data_dir, log = tmp_path / "user_sessions", tmp_path / "server.log"
    port, ws_port = free_ports()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LSM_")}
    command = [sys.executable, str(ROOT / "session_web_server.py"), "--host", host, "--port", str(port)]
    options = ["--ws-port", str(ws_port), "--data-dir", str(data_dir), *args]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*prefix, *command, *options],
            env=clean | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        )
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if {"--tls", "--cert"} & set(args) else "http"
    url = f"{scheme}://[{shown}]:{port}" if ":" in shown else f"{scheme}://{shown}:{port}"
    server = Server(process, port, ws_port, url, data_dir, log)
    if not _answers(server, prefix):
        server.stop()
        raise AssertionError(f"the server did not start (exit status {process.returncode}):\n{server.output}")
    return server


def remove_leftovers(data_dir: Path) -> None:
    """End every box of the server over `data_dir`, by process id, and remove its cgroups, run directory and mounts."""
    instance = instance_id(data_dir)
    run_dir = launcher.run_dir() / instance
    # Again, as the server may have been making a box at the moment when it ended.
    while monitors := [process for process in psutil.process_iter(["name"]) if _is_monitor(process, run_dir)]:
        # With the first process of a box all of it ends; its monitor then writes the end down and goes.
        for process in [child for monitor in monitors for child in _children(monitor)]:
            _kill(process)
        _, stuck = psutil.wait_procs(monitors, timeout=_STOP_S)
        for process in stuck:
            _kill(process)
    with contextlib.suppress(SandboxError):  # a machine without cgroups has no boxes either
        find_cgroups(instance, read_mounts()).remove()
    shutil.rmtree(run_dir, ignore_errors=True)
    # The deepest first, and again, as one may have been mounted over another. What just ended may still be in one.
    end = time.monotonic() + _STOP_S
    while points := [mount.point for mount in read_mounts() if mount.point.is_relative_to(data_dir.resolve())]:
        point = max(points, key=lambda point: len(point.parts))
        if subprocess.run(["umount", point], check=time.monotonic() > end).returncode:
            time.sleep(0.1)


def _is_monitor(process: psutil.Process, run_dir: Path) -> bool:
    try:
        return process.name() == "conmon" and any(word.startswith(f"{run_dir}/") for word in process.cmdline())
    except psutil.Error:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def _answers(server: Server, prefix: Sequence[str]) -> bool:
    health = f"{server.url}/api/system/health"
    with subprocess.Popen([*prefix, sys.executable, "-S", "-c", _WAIT, health], stderr=subprocess.DEVNULL) as waiter:
        try:
            for _ in range(_START_S * 10):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return waiter.wait(0.1) == 0
                if server.process.poll() is not None:
                    return False
            return False
        finally:
            waiter.kill()


def free_ports() -> tuple[int, int]:
    """Two ports that nobody uses at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]
