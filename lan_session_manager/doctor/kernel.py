"""The kernel: its version, user namespaces, system call filters."""

import contextlib
import os
import re
from pathlib import Path

from lan_session_manager.doctor.findings import Finding, Verdict

_PIDFD_OPEN, _OPENAT2 = (5, 3), (5, 6)  # pidfd_open(2), openat2(2)
_ACTIONS = {"allow", "errno", "kill_process"}  # what the filter of a box answers with


def find_kernel() -> list[Finding]:
    """The kernel's version."""
    return [kernel(os.uname().release)]


def find_user_namespaces() -> list[Finding]:
    """Whether boxes can have users of their own."""
    sysctl = Path("/proc/sys")
    return [
        user_namespaces(
            most=_number(sysctl / "user/max_user_namespaces") if Path("/proc/self/ns/user").exists() else 0,
            unprivileged=_number(sysctl / "kernel/unprivileged_userns_clone") != 0,
            apparmor=_number(sysctl / "kernel/apparmor_restrict_unprivileged_userns") == 1,
            is_root=os.geteuid() == 0,
        )
    ]


def find_seccomp() -> list[Finding]:
    """Whether system calls can be filtered."""
    return [seccomp(Path("/proc/self/status").read_text(), _text(Path("/proc/sys/kernel/seccomp/actions_avail")))]


def parse_release(release: str) -> tuple[int, int] | None:
    """Major and minor number of a kernel release such as 6.1.0-18-amd64; None for what is none."""
    found = re.match(r"([0-9]{1,9})\.([0-9]{1,9})(?![0-9])", release)
    return (int(found[1]), int(found[2])) if found else None


def kernel(release: str) -> Finding:
    """The finding on a kernel of that release."""
    name, what, version = "kernel", f"Linux {release}", parse_release(release)
    if version is None:
        return Finding(name, Verdict.SKIPPED, f"{what}: its version cannot be read from that")
    if version < _PIDFD_OPEN:
        advice = "Install a kernel of version 5.6 or later: the server holds on to processes by pidfd_open (5.3)."
        return Finding(name, Verdict.FAIL, what, advice)
    if version < _OPENAT2:
        advice = "Install a kernel of version 5.6 or later: without openat2, files are opened step by step, slower."
        return Finding(name, Verdict.CAUTION, what, advice)
    return Finding(name, Verdict.PASS, what)


def user_namespaces(*, most: int | None, unprivileged: bool, apparmor: bool, is_root: bool) -> Finding:
    """The finding on user namespaces: how many there may be (None: no limit is told), and who may make them."""
    name = "user namespaces"
    if most == 0:
        advice = "Set the sysctl user.max_user_namespaces to 10000 or more: every task has a user namespace of its own."
        return Finding(name, Verdict.FAIL, "this kernel makes none", advice)
    if is_root:
        return Finding(name, Verdict.PASS, "available" if most is None else f"available, {most} at most")
    if not unprivileged:
        advice = "Set the sysctl kernel.unprivileged_userns_clone to 1, or start the server as root."
        return Finding(name, Verdict.FAIL, "only root can make them", advice)
    if apparmor:
        advice = (
            "Set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0, give the server an AppArmor profile "
            "with `userns`, or start it as root."
        )
        return Finding(name, Verdict.FAIL, "AppArmor lets only root use them", advice)
    return Finding(name, Verdict.PASS, "available, without root too")


def seccomp(status: str, actions: str) -> Finding:
    """The finding on /proc/self/status and on the filter actions that the kernel offers."""
    name = "seccomp"
    missing = _ACTIONS - set(actions.split())
    if "\nSeccomp:" not in status or missing:
        advice = "Use a kernel that is built with CONFIG_SECCOMP_FILTER: without it a task may make every system call."
        return Finding(name, Verdict.FAIL, "this kernel cannot filter system calls", advice)
    return Finding(name, Verdict.PASS, "available")


def _text(file: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return file.read_text(errors="replace")
    return ""


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isascii() and text.isdigit() else None
