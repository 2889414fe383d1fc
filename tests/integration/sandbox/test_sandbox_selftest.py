"""The self-test at the start says what the sandbox holds, and would see it if it did not."""

import asyncio
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.sandbox import bundle, host, monitor, runtime
from lan_session_manager.sandbox.box import TASK_UID, Box, SandboxError
from lan_session_manager.sandbox.boxes import Boxes
from lan_session_manager.sandbox.monitor import Monitored
from lan_session_manager.sandbox.selftest import SelfTest
from tests.attacks.tries import IS_ROOT_OF_THE_HOST
from tests.integration.sandbox.room import Room

pytestmark = pytest.mark.root


def _self_test(room: Room, runtime: str = "") -> SelfTest:
    async def main() -> SelfTest:
        async with room.engine(runtime) as engine:
            return await engine.self_test()

    return asyncio.run(main())


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_this_machine_passes_in_full_and_says_so_in_one_line(room: Room, runtime: str) -> None:
    found = _self_test(room, runtime)
    assert [(check.name, check.why) for check in found.checks if not check.holds] == []
    assert (found.grade, found.usable) == ("full", True)
    assert re.fullmatch(
        rf"{runtime} \S+, user namespace, seccomp, no network; "
        r"memory, CPU and process limits enforced \(cgroup v[12]\)",
        found.line,
    )


def test_nothing_of_it_is_left(room: Room) -> None:
    _self_test(room)
    state_dir = room.data_dir / ".lan_session_manager"
    assert [path.name for path in state_dir.iterdir()] == ["boxes"]
    assert os.listdir(state_dir / "boxes") == []
    assert not room.groups()


def test_what_was_left_of_it_when_its_server_was_killed_goes_with_the_next_one(room: Room) -> None:
    state_dir = room.data_dir / ".lan_session_manager"
    for left in ("selftest-1/workspace", "boxes/selftest-2/exits"):
        (state_dir / left).mkdir(parents=True)
    _self_test(room)
    assert [path.name for path in state_dir.iterdir()] == ["boxes"]
    assert os.listdir(state_dir / "boxes") == []


def _without(change: Callable[[dict[str, Any]], None], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bundle.config

    def weaker(*given: Any) -> dict[str, Any]:
        made = whole(*given)
        change(made)
        return made

    monkeypatch.setattr(bundle, "config", weaker)


def _drop_namespace(kind: str) -> Callable[[dict[str, Any]], None]:
    def change(made: dict[str, Any]) -> None:
        made["linux"]["namespaces"] = [one for one in made["linux"]["namespaces"] if one["type"] != kind]

    return change


def _writable_run(made: dict[str, Any]) -> None:
    made["mounts"].append({"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": [f"uid={TASK_UID}"]})


def _host_run(made: dict[str, Any]) -> None:
    options = ["rbind", "ro", "nosuid", "nodev", "noexec"]
    made["mounts"].append({"destination": "/run", "type": "bind", "source": "/run", "options": options})


def _capability(made: dict[str, Any]) -> None:
    made["process"]["capabilities"] = {kind: ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}


@pytest.mark.parametrize(
    ("change", "hole"),
    [
        (_drop_namespace("network"), "ports of the host are out of reach"),
        (lambda made: made["linux"].pop("seccomp"), "the kernel's dangerous calls are refused"),
        (_writable_run, "only the workspace can be written"),
        (_host_run, "files of the host are out of sight"),
        (_capability, "no capabilities"),
        pytest.param(
            lambda made: made["process"].update(noNewPrivileges=False),
            "system calls are filtered",
            marks=pytest.mark.skipif(not IS_ROOT_OF_THE_HOST, reason="a holder has given them up for all its boxes"),
        ),
    ],
)
def test_a_hole_is_found_and_then_no_task_may_run(
    room: Room, monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None], hole: str
) -> None:
    _without(change, monkeypatch)
    found = _self_test(room, "runc")
    assert hole in [check.name for check in found.checks if not check.holds]
    assert not found.usable
    assert found.grade.startswith("none: ")
    assert hole in found.grade
    assert hole in found.line


@pytest.mark.parametrize("limit", ["memory", "pids"])
def test_a_limit_that_does_not_hold_reduces_the_grade(room: Room, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    _without(lambda made: made["linux"]["resources"].pop(limit), monkeypatch)
    found = _self_test(room)
    assert found.usable
    assert found.grade == {"memory": "reduced: memory", "pids": "reduced: process limits"}[limit]
    assert "NOT held" in found.line


def test_what_others_read_must_be_out_of_sight_for_the_full_grade(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "has_private_mounts", lambda: False)  # so that no overlay is made
    found = _self_test(room)
    assert (found.grade, found.usable) == ("reduced: privacy", True)
    [why] = [check.why for check in found.checks if not check.holds]
    for seen in ("/usr", "/usr/bin/python3", "/etc/passwd", "/shared", "a lock on /usr/bin/python3"):
        assert seen in why


@pytest.mark.parametrize(("state", "grade"), [("down", "full"), ("up", "none: no network")])
def test_an_interface_that_is_down_is_no_network(
    room: Room, monkeypatch: pytest.MonkeyPatch, state: str, grade: str
) -> None:
    # A kernel with modules for tunnels puts some that are down into every new network namespace.
    whole = Boxes.create

    def create(boxes: Boxes, box: Box, at_most_s: int) -> Monitored:
        made = whole(boxes, box, at_most_s)
        for words in ("add spare type veth peer name other", f"set spare {state}"):
            inside = ["nsenter", f"--net=/proc/{made.box_pid}/ns/net", "ip", "link", *words.split()]
            subprocess.run(inside, check=True)
        return made

    monkeypatch.setattr(Boxes, "create", create)
    assert _self_test(room).grade == grade


def test_a_runtime_that_is_not_there_is_a_reason_in_words(tmp_path: Path) -> None:
    engine = LocalEngine(LocalConfig(tmp_path, "/nonexistent/runtime"))

    async def main() -> None:
        with pytest.raises(SandboxError, match="runtime is not installed"):
            await engine.prepare()
        await engine.close()

    asyncio.run(main())


def test_a_runtime_that_makes_no_boxes_is_no_sandbox(room: Room) -> None:
    found = _self_test(room, "/bin/true")
    assert not found.usable
    assert found.grade == "none: boxes can be made"


def _runtime(directory: Path, does: str) -> str:
    program = directory / "runtime"
    program.write_text(f'#!/bin/sh\n[ "$1" = "--version" ] && {{ echo "odd version 1"; exit 0; }}\n{does}\n')
    program.chmod(0o755)
    return str(program)


def test_what_a_runtime_says_when_it_makes_no_box_is_told_to_the_owner(room: Room, tmp_path: Path) -> None:
    found = _self_test(room, _runtime(tmp_path, 'echo "unknown mount option \\"odd\\"" >&2; exit 1'))
    assert found.grade == "none: boxes can be made"
    assert found.line == 'no sandbox with runtime: unknown mount option "odd"'


def test_a_runtime_that_hangs_is_given_up_and_leaves_no_process(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(runtime, "_PATIENCE_S", 0.5)
    found = _self_test(room, _runtime(tmp_path, "exec sleep 7777"))
    assert found.grade == "none: boxes can be made"
    assert found.line.startswith("no sandbox with runtime: the monitor did not start")
    assert [
        one for one in psutil.process_iter(["cmdline"]) if (one.info["cmdline"] or [])[:2] == ["sleep", "7777"]
    ] == []
