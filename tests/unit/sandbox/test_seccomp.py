"""The filter of system calls: an allow-list in which nothing stands that opens the kernel."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from lan_session_manager.sandbox import seccomp

RULED = {"clone", "socket", "socketpair", "personality"}


def _listed(answer: str) -> list[str]:
    return [call for calls in seccomp.groups(answer).values() for call in calls]


def _rules(call: str) -> list[dict[str, Any]]:
    return [rule for rule in seccomp.profile()["syscalls"] if call in rule["names"]]


def test_each_call_is_listed_once_and_each_group_says_why() -> None:
    calls = [call for answer in ("allowed", "refused", "absent") for call in _listed(answer)]
    assert len(calls) == len(set(calls))
    assert not RULED & set(calls)
    data = json.loads(Path(seccomp.__file__).with_name("syscalls.json").read_text())
    for groups in data.values():
        for group in groups:
            assert group["calls"] == sorted(group["calls"])
            assert group["why"].endswith(".")


def test_what_is_not_listed_does_not_exist_for_a_task() -> None:
    profile = seccomp.profile()
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", errno.ENOSYS)


@pytest.mark.parametrize(
    "call",
    [
        "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "keyctl", "add_key", "request_key", "bpf",
        "perf_event_open", "process_vm_readv", "process_vm_writev", "open_by_handle_at", "kexec_load", "init_module",
        "finit_module", "reboot", "io_uring_setup", "io_uring_enter", "userfaultfd", "clone3", "pidfd_getfd", "fsopen",
        "move_mount", "open_tree", "mount_setattr", "iopl", "ioperm", "modify_ldt", "quotactl", "syslog", "acct",
        "swapon", "ptrace",
    ],
)  # fmt: skip
def test_a_dangerous_call_is_never_allowed(call: str) -> None:
    assert all(rule["action"] != "SCMP_ACT_ALLOW" for rule in _rules(call))


def test_only_calls_without_an_argument_to_judge_are_allowed_whole() -> None:
    for call in RULED:
        assert _rules(call)
        assert all(rule["args"] for rule in _rules(call))


@pytest.mark.parametrize("bit", [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000])
def test_clone_makes_threads_and_processes_but_no_namespace(bit: int) -> None:
    [rule] = _rules("clone")
    [arg] = rule["args"]
    assert (arg["index"], arg["op"], arg["valueTwo"]) == (0, "SCMP_CMP_MASKED_EQ", 0)
    assert bit & arg["value"] == bit
    thread = 0x003D0F00  # CLONE_VM | FS | FILES | SIGHAND | THREAD | SYSVSEM | SETTLS | PARENT_SETTID | CHILD_CLEARTID
    assert thread & arg["value"] == 0


def test_sockets_are_of_four_families_and_netlink_is_for_routes() -> None:
    families = {tuple((arg["index"], arg["value"]) for arg in rule["args"]) for rule in _rules("socket")}
    assert families == {((0, 1),), ((0, 2),), ((0, 10),), ((0, 16), (2, 0))}


@pytest.mark.parametrize(
    ("machine", "architectures"),
    [("x86_64", ["SCMP_ARCH_X86_64"]), ("aarch64", ["SCMP_ARCH_AARCH64"]), ("unheard-of", [])],
)
def test_the_filter_is_for_the_machines_own_architecture_alone(machine: str, architectures: list[str]) -> None:
    assert seccomp.profile(machine)["architectures"] == architectures
