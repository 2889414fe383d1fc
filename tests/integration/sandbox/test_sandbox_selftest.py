"""The self-test at the start says what the sandbox holds, and would see it if it did not."""

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.sandbox import bundle
from lan_session_manager.sandbox.box import SandboxError
from lan_session_manager.sandbox.selftest import SelfTest
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


def _writable_shared(made: dict[str, Any]) -> None:
    [shared] = [mount for mount in made["mounts"] if mount["destination"] == "/shared"]
    shared["options"] = ["bind", "rw"]


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
        (_writable_shared, "only the workspace can be written"),
        (_host_run, "files of the host are out of sight"),
        (_capability, "no capabilities"),
        (lambda made: made["process"].update(noNewPrivileges=False), "system calls are filtered"),
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
