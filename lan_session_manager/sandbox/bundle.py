"""The OCI configuration of a box: what the runtime and the kernel make of it. Pure, no input or output.

Source of the names: the OCI runtime specification 1.0.2 (config.md, config-linux.md).
"""

from pathlib import Path
from typing import Any

from lan_session_manager.sandbox import seccomp
from lan_session_manager.sandbox.box import RANGE_SIZE, TASK_UID, Box
from lan_session_manager.sandbox.rootfs import HOSTNAME, System

WORKSPACE, SHARED = "/workspace", "/shared"
_INIT = "/dev/init"

_READ_ONLY = ("rbind", "ro", "nosuid", "nodev")
_NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "user", "cgroup")
# Facts of the whole machine, or switches of it, that no task needs.
_MASKED = (
    *("acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "sysrq-trigger"),
    # What the kernel was started with may hold secrets.
    *("timer_list", "timer_stats", "cmdline"),
    # By these a task could count the boxes of others, and watch when they compute, read, write and lock a file.
    *("cgroups", "pressure", "diskstats", "schedstat", "softirqs", "locks"),
)
_READ_ONLY_PROC = ("bus", "fs", "irq", "sys")
_OPEN_FILES = 1024  # as programs with select() need it
_PENDING_SIGNALS = 1024
_QUEUE_BYTES = 256 * 1024  # three queues of the usual size
# crun keeps the limit of a file's size while it writes its own files, which are smaller than this.
_LEAST_FILE = 64 * 1024
_WRITES_NONE = ("/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh")
OOM_SCORE = 500  # where the whole host is short of memory, a task goes before the server and its owner's programs


def config(box: Box, system: System, cgroup_path: str, resources: dict[str, Any], open_files: int) -> dict[str, Any]:
    """`config.json` of `box` on `system`; `cgroup_path` and `resources` as `Cgroups` gives them.

    `open_files` is the server's own hard limit of open files: a box cannot have a higher one.
    """
    ids = [{"containerID": 0, "hostID": box.uid_base, "size": RANGE_SIZE}]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(system.root), "readonly": True},
        "hostname": HOSTNAME,
        "process": _process(box, min(open_files, box.limits.open_files)),
        "mounts": _mounts(box, system),
        "linux": {
            "namespaces": [{"type": kind} for kind in _NAMESPACES],
            "uidMappings": ids,
            "gidMappings": ids,
            "cgroupsPath": cgroup_path,
            "resources": resources,
            "seccomp": seccomp.profile(),
            "rootfsPropagation": "private",
            "maskedPaths": [f"/proc/{name}" for name in _MASKED],
            "readonlyPaths": [f"/proc/{name}" for name in _READ_ONLY_PROC],
        },
    }


def _process(box: Box, open_files: int) -> dict[str, Any]:
    none: list[str] = []
    file_bytes = max(box.limits.file_bytes, _LEAST_FILE)
    argv = box.argv if box.limits.file_bytes else (*_WRITES_NONE, *box.argv)
    return {
        "terminal": False,
        "user": {"uid": TASK_UID, "gid": TASK_UID, "umask": 0o077},
        # The first process of a pid namespace ignores signals that it has no handler for; a program that is not made
        # for that place could not be stopped, and would leave zombies.
        "args": [_INIT, "--", *argv],
        "env": [f"{name}={value}" for name, value in box.env.items()],
        "cwd": WORKSPACE,
        "capabilities": dict.fromkeys(("bounding", "effective", "inheritable", "permitted", "ambient"), none),
        "noNewPrivileges": True,
        "oomScoreAdj": OOM_SCORE,
        "rlimits": [
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_FSIZE", "soft": file_bytes, "hard": file_bytes},
            {"type": "RLIMIT_NOFILE", "soft": min(_OPEN_FILES, open_files), "hard": open_files},
            # Counted for the owner of the user namespace, the host's root: without these one task takes them from all.
            {"type": "RLIMIT_SIGPENDING", "soft": _PENDING_SIGNALS, "hard": _PENDING_SIGNALS},
            {"type": "RLIMIT_MSGQUEUE", "soft": _QUEUE_BYTES, "hard": _QUEUE_BYTES},
        ],
    }


def _mounts(box: Box, system: System) -> list[dict[str, Any]]:
    return [
        _mount("/proc", "proc", "nosuid", "nodev", "noexec"),
        _mount("/dev", "tmpfs", "nosuid", "noexec", "mode=755", "size=64k"),
        _mount("/dev/shm", "tmpfs", "nosuid", "nodev", "noexec", "mode=1777", _half(box)),  # noqa: S108
        _bind(_INIT, system.source(system.init), "bind", "ro", "nosuid", "nodev"),
        _bind("/usr", system.source(Path("/usr")), *_READ_ONLY),
        *(_bind(f"/{name}", system.source(Path("/", name)), *_READ_ONLY, "noexec") for name in system.bound),
        *(_mount(f"/{name}", "tmpfs", "ro", "nosuid", "nodev", "noexec", "size=4k") for name in system.hidden),
        _mount("/tmp", "tmpfs", "nosuid", "nodev", "mode=1777", _half(box)),  # noqa: S108
        _bind(WORKSPACE, system.source(box.workspace), "bind", "rw", "nosuid", "nodev", *_recursive(box, system)),
        _bind(SHARED, system.source(box.shared), "bind", "ro", "nosuid", "nodev", "noexec"),
    ]


def _recursive(box: Box, system: System) -> tuple[str, ...]:
    # crun keeps the flags of a writable bind only where they are asked for recursively, in words that other runtimes do
    # not know, or where the source has them.
    return () if box.workspace in system.sources else ("rnosuid", "rnodev")


def _half(box: Box) -> str:
    # Both count to the box's memory: half of it each, so that a full /tmp is an error to a program and not its end.
    return f"size={box.limits.memory_bytes // 2}"


def _mount(destination: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def _bind(destination: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "bind", "source": source, "options": list(options)}
