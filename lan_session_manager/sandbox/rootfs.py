"""The read-only system that every box sees: an empty skeleton, the host's /usr, and an /etc of our own.

Nothing of the host's /etc, /var, /home, /root, /run or /tmp is in it, except a few files that hold no secret and that
programs need: which libraries there are, certificates, time zone.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lan_session_manager.sandbox.box import TASK_UID, SandboxError

HOSTNAME = "sandbox"

# Where the mounts go, and what a program may expect to find, if empty.
_DIRECTORIES = (
    *("dev", "proc", "sys", "tmp", "usr", "workspace", "shared", "run", "home", "root", "opt", "mnt", "srv", "var"),
    *("etc", "etc/alternatives", "etc/ssl", "etc/ssl/certs"),
)
_LINKS = {"var/tmp": "/tmp", "var/run": "/run"}  # noqa: S108 (the box's own)
_USR_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

_COPIED = (
    *("ld.so.cache", "ld.so.conf", "localtime", "os-release", "debian_version"),
    *("mime.types", "services", "protocols"),
)
_WRITTEN = {
    "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\nuser:x:{TASK_UID}:{TASK_UID}::/workspace:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "group": f"root:x:0:\nuser:x:{TASK_UID}:\nnogroup:x:65534:\n",
    "hosts": f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost\n",
    "hostname": f"{HOSTNAME}\n",
    "resolv.conf": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}

_BOUND = ("etc/alternatives", "etc/ssl/certs")
# Owners keep credentials of their own programs here; the rest of /usr comes from packages, the same for everybody.
_HIDDEN = ("usr/local/etc",)

_INITS = ("/usr/bin/catatonit", "/usr/libexec/catatonit/catatonit", "/usr/libexec/podman/catatonit")


@dataclass(frozen=True)
class System:
    """What a bundle needs to know of the read-only system. The paths of `bound` and `hidden` are below the root.

    `sources` says where a path of the host is to be taken from, if not from there (`sandbox.layers`).
    """

    root: Path
    init: Path
    bound: tuple[str, ...] = _BOUND
    hidden: tuple[str, ...] = _HIDDEN
    sources: Mapping[Path, Path] = field(default_factory=dict)

    def source(self, path: Path) -> str:
        """Where a path of the host is to be taken from."""
        return str(self.sources.get(path, path))


def find_init() -> Path | None:
    """Where the init program of a box is installed."""
    return next((path for path in map(Path, _INITS) if os.access(path, os.X_OK)), None)


def make_system(root: Path) -> System:
    """Make the skeleton at `root`, or bring it up to date, and find the init program.

    Every directory above `root` must let others pass: in a user namespace the runtime is somebody else.
    Raises SandboxError if the host has no init program.
    """
    init = find_init()
    if init is None:
        raise SandboxError("catatonit, the init program of a box, is not installed")
    for name in ("", *_DIRECTORIES):
        directory = root / name
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)  # whatever the server's umask
    # A runtime gives a tmpfs the mode of the directory below it, whatever the mount's own options say.
    (root / "tmp").chmod(0o1777)
    for name in _USR_LINKS:
        if Path("/", name).is_symlink():
            _link(root / name, f"usr/{name}")
    for name, target in _LINKS.items():
        _link(root / name, target)
    for name in _COPIED:
        with contextlib.suppress(FileNotFoundError):
            _put(root / "etc" / name, Path("/etc", name).read_bytes())
    for name, text in _WRITTEN.items():
        _put(root / "etc" / name, text.encode())
    return System(
        root=root,
        init=init,
        bound=tuple(name for name in _BOUND if Path("/", name).is_dir()),
        hidden=tuple(name for name in _HIDDEN if Path("/", name).is_dir()),
    )


def _link(path: Path, target: str) -> None:
    if not path.is_symlink():
        path.symlink_to(target)


def _put(path: Path, data: bytes) -> None:
    # In one step, because boxes of an earlier server may read it at this moment.
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    new.chmod(0o644)
    new.replace(path)
