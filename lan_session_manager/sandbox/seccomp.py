"""The system calls that a task may make: an allow-list, made for the machine's own architecture only.

`syscalls.json` says which calls are allowed, which are refused (EPERM), which are answered as if this kernel did not
have them (ENOSYS, as is every call that the list does not name), and why. Calls that depend on an argument have their
rules here.
"""

import errno
import json
import platform
from functools import cache
from pathlib import Path
from typing import Any

_LIST = Path(__file__).with_name("syscalls.json")

# <linux/sched.h>: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
_CLONE_NEW_ANYTHING = 0x7E020000
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _NETLINK_ROUTE = 1, 2, 10, 16, 0
_PER_LINUX, _PER_QUERY = 0, 0xFFFFFFFF

_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64", "riscv64": "SCMP_ARCH_RISCV64"}


def _when(index: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def _allow(call: str, *args: dict[str, Any]) -> dict[str, Any]:
    return {"names": [call], "action": "SCMP_ACT_ALLOW", "args": list(args)}


# Other architectures than these have the flags of clone in the same place; s390 alone swaps them.
_RULES = (
    _allow("clone", {"index": 0, "value": _CLONE_NEW_ANYTHING, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}),
    # Other families are drivers that a network namespace does not hold in: AF_VSOCK speaks to the hypervisor.
    _allow("socket", _when(0, _AF_UNIX)),
    _allow("socket", _when(0, _AF_INET)),
    _allow("socket", _when(0, _AF_INET6)),
    _allow("socket", _when(0, _AF_NETLINK), _when(2, _NETLINK_ROUTE)),
    _allow("socketpair", _when(0, _AF_UNIX)),
    # Other personalities switch off address randomisation or change what calls mean.
    _allow("personality", _when(0, _PER_LINUX)),
    _allow("personality", _when(0, _PER_QUERY)),
)


@cache
def groups(answer: str) -> dict[str, tuple[str, ...]]:
    """The calls of syscalls.json that get `answer` ("allowed", "refused" or "absent"), by the name of their group."""
    listed = json.loads(_LIST.read_bytes())[answer]
    return {group["group"]: tuple(group["calls"]) for group in listed}


def _calls(answer: str) -> list[str]:
    return [call for calls in groups(answer).values() for call in calls]


def profile(machine: str | None = None) -> dict[str, Any]:
    """`linux.seccomp` of an OCI configuration for `machine`, by default this one (names as uname gives them).

    Other architectures that the kernel could run, such as 32-bit x86, are not in it: their calls end the program. For
    a machine that is not known by name the runtime takes its own, which is the native one as well.
    """
    architecture = _ARCHITECTURES.get(machine or platform.machine())
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "architectures": [architecture] if architecture else [],
        "syscalls": [
            {"names": _calls("allowed"), "action": "SCMP_ACT_ALLOW"},
            {"names": _calls("refused"), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM},
            *_RULES,
        ],
    }
