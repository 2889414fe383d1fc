"""The configuration of a box has every wall, whatever is put into it."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.sandbox.box import RANGE_SIZE, Box, BoxLimits, GroupLimits, user_range
from lan_session_manager.sandbox.bundle import config
from lan_session_manager.sandbox.rootfs import System

SYSTEM = System(Path("/run/x/rootfs"), Path("/usr/bin/catatonit"))
BOX = Box(
    box_id="0" * 32,
    group="s0",
    argv=("echo", "a b"),
    env={"LANG": "C.UTF-8"},
    workspace=Path("/data/10_0_0_1"),
    shared=Path("/data/shared"),
    uid_base=user_range(3),
    limits=BoxLimits(memory_bytes=1 << 26, pids=50, file_bytes=1 << 20, log_bytes=1 << 16),
    group_limits=GroupLimits(memory_bytes=1 << 28, pids=200, cpu_cores=1.0),
)


def _config(box: Box = BOX, open_files: int = 20_000) -> dict[str, Any]:
    return config(box, SYSTEM, "/tree/s0/0", {"pids": {"limit": 50}}, open_files)


def _mounts() -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in _config()["mounts"]}


def test_every_namespace_is_new_and_none_is_joined() -> None:
    namespaces = _config()["linux"]["namespaces"]
    assert {one["type"] for one in namespaces} == {"pid", "network", "ipc", "uts", "mount", "user", "cgroup"}
    assert all(set(one) == {"type"} for one in namespaces)


def test_users_are_the_sessions_own_range_and_nothing_else() -> None:
    linux = _config()["linux"]
    assert (
        linux["uidMappings"]
        == linux["gidMappings"]
        == [{"containerID": 0, "hostID": user_range(3), "size": RANGE_SIZE}]
    )
    assert _config()["process"]["user"] == {"uid": 1000, "gid": 1000, "umask": 0o077}


def test_no_capability_and_no_new_privilege() -> None:
    process = _config()["process"]
    assert process["noNewPrivileges"] is True
    assert set(process["capabilities"]) == {"bounding", "effective", "inheritable", "permitted", "ambient"}
    assert not any(process["capabilities"].values())


def test_the_system_is_read_only_and_only_three_places_can_be_written() -> None:
    assert _config()["root"]["readonly"] is True
    mounts = _mounts()
    writable = {place for place, mount in mounts.items() if "ro" not in mount["options"]} - {"/proc", "/dev"}
    assert writable == {"/workspace", "/tmp", "/dev/shm"}
    for place in ("/workspace", "/tmp", "/dev/shm", "/shared", "/usr"):
        assert {"nosuid", "nodev"} <= set(mounts[place]["options"])
    assert "noexec" in mounts["/shared"]["options"]


def test_only_the_workspace_the_shared_resources_and_the_system_come_from_the_host() -> None:
    sources = {mount["source"] for mount in _mounts().values() if mount["type"] == "bind"}
    assert sources == {
        "/data/10_0_0_1", "/data/shared", "/usr", "/usr/bin/catatonit", "/etc/alternatives", "/etc/ssl/certs",
    }  # fmt: skip
    assert not any(mount["type"] in ("sysfs", "cgroup", "devpts", "mqueue") for mount in _mounts().values())


def test_private_memory_has_half_of_the_boxs_memory_each() -> None:
    for place in ("/tmp", "/dev/shm"):
        assert f"size={1 << 25}" in _mounts()[place]["options"]


def test_a_first_process_hands_on_signals_and_the_command_is_not_taken_for_its_options() -> None:
    assert _config()["process"]["args"] == ["/dev/init", "--", "echo", "a b"]
    assert _config()["process"]["terminal"] is False


def test_no_limit_is_above_the_servers_own() -> None:
    limits = {one["type"]: one for one in _config(open_files=512)["process"]["rlimits"]}
    assert limits["RLIMIT_NOFILE"] == {"type": "RLIMIT_NOFILE", "soft": 512, "hard": 512}
    assert limits["RLIMIT_FSIZE"]["hard"] == 1 << 20
    assert limits["RLIMIT_CORE"]["hard"] == 0


@given(st.lists(st.text(st.characters(exclude_characters="\0")), min_size=1))
def test_whatever_the_command_is_it_stands_in_one_place(argv: list[str]) -> None:
    plain, odd = _config(), _config(Box(**{**vars(BOX), "argv": tuple(argv)}))
    assert odd["process"].pop("args")[2:] == argv
    plain["process"].pop("args")
    assert odd == plain
    assert json.loads(json.dumps(odd)) == odd
