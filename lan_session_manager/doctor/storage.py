"""The data directory: whose it is, what it is on, how full that is, and whether the database is whole."""

import contextlib
import gzip
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from lan_session_manager.doctor.findings import Finding, Verdict
from lan_session_manager.errors import HardQuotaError
from lan_session_manager.sandbox.host import Mount, read_mounts
from lan_session_manager.settings import MB, STATE_DIR, QuotaMode
from lan_session_manager.store import damage
from lan_session_manager.workspace.volumes.mode import WATCHED, line_of, what_works

_LEAST_MB, _LITTLE_MB, _LITTLE = 100, 1024, 0.05  # below the first nothing works for long; the others are a warning
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "glusterfs", "ocfs2", "gfs2", "fuse"}
_MEMORY = {"tmpfs", "ramfs"}
_QUOTA_OPTIONS = {"prjquota", "pquota"}
_QUOTA_CONFIG = {"ext4": "CONFIG_QFMT_V2", "xfs": "CONFIG_XFS_QUOTA"}


@dataclass(frozen=True)
class Place:
    """A data directory. `nearest` is itself, or, where it is not there yet, the first directory above that is."""

    data_dir: Path
    nearest: Path

    @property
    def is_made(self) -> bool:
        """Whether the data directory is there."""
        return self.data_dir == self.nearest


def place_of(data_dir: Path) -> Place:
    """Where that data directory is, links resolved."""
    real = Path(os.path.realpath(data_dir))
    return Place(real, next((path for path in (real, *real.parents) if path.is_dir()), Path("/")))


def find_data_directory(place: Place) -> list[Finding]:
    """Who may enter the data directory."""
    if not place.is_made:
        what = f"{place.data_dir} is not there: the first start of the server makes it"
        return [Finding("data directory", Verdict.SKIPPED, what)]
    paths = [place.data_dir, place.data_dir / STATE_DIR]
    return [private({path: os.stat(path) for path in paths if os.path.isdir(path)}, os.geteuid())]


def find_file_system(place: Place) -> list[Finding]:
    """What the data directory is on: its type and its project quotas."""
    mount = mount_of(place.nearest, read_mounts())
    if mount is None:
        return [Finding("file system", Verdict.SKIPPED, f"nothing is mounted over {place.nearest}")]
    return [file_system(mount), project_quotas(mount, _kernel_config())]


def find_quotas(place: Place, mode: QuotaMode) -> list[Finding]:
    """Whether disk quotas can be kept as the owner wants them to be, tried out where that is by the kernel."""
    name = "disk quotas"
    if mode is QuotaMode.WATCH:
        return [Finding(name, Verdict.PASS, WATCHED)]
    if not (place.data_dir / STATE_DIR).is_dir():
        return [Finding(name, Verdict.SKIPPED, "the kernel is asked at the first start of the server")]
    try:
        works = what_works(place.data_dir)
    except HardQuotaError as error:
        advice = 'The server does not start like this. Mend it, or set LSM_QUOTA_MODE to "watch".'
        return [Finding(name, Verdict.FAIL, str(error.facts["why"]), advice)]
    return [Finding(name, Verdict.PASS, line_of(works, mode))]


def find_space(place: Place) -> list[Finding]:
    """How much fits in."""
    seen = os.statvfs(place.nearest)
    free, total = seen.f_bavail * seen.f_frsize, seen.f_blocks * seen.f_frsize
    return [space(free // MB, total // MB), inodes(seen.f_favail, seen.f_files)]


def find_database(place: Place) -> list[Finding]:
    """Whether the database is whole."""
    path = place.data_dir / STATE_DIR / "state.db"
    if not path.exists():
        what = f"{path} is not there: the first start of the server makes it"
        return [Finding("database", Verdict.SKIPPED, what)]
    if not os.access(path, os.R_OK):
        return [Finding("database", Verdict.SKIPPED, "only its owner can read it")]
    return [database(path, damage(path))]


def private(seen: dict[Path, os.stat_result], user: int) -> Finding:
    """The finding on the data directory and the server's own in it, for a server of that user id."""
    name = "data directory"
    for path, found in seen.items():
        if found.st_uid != user:
            advice = f"Run the server, and this, as user {found.st_uid}, or choose another --data-dir."
            return Finding(name, Verdict.FAIL, f"{path} belongs to user {found.st_uid}, not to {user}", advice)
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o077:
            advice = f"chmod 700 {path} (the next start of the server does it too), and look who read it meanwhile."
            return Finding(name, Verdict.CAUTION, f"{path} is open to other users (mode {mode:o})", advice)
    return Finding(name, Verdict.PASS, f"{next(iter(seen))}, for its owner alone")


def mount_of(path: Path, mounts: list[Mount]) -> Mount | None:
    """The mount that a real path is on: the deepest one above it, of several in one place the last."""
    above = [mount for mount in mounts if path.is_relative_to(mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point.parts), default=None)


def file_system(mount: Mount) -> Finding:
    """The finding on the type of a file system."""
    name, what = "file system", f"{mount.kind} at {mount.point}"
    if mount.kind in _NETWORK or mount.kind.startswith("fuse."):
        advice = "Choose a --data-dir on a local disk: SQLite's WAL needs memory that all its readers share."
        return Finding(name, Verdict.CAUTION, f"{what}, which may be on another machine", advice)
    if mount.kind in _MEMORY:
        advice = "Choose a --data-dir on a disk: a restart of the host takes all of this away."
        return Finding(name, Verdict.CAUTION, f"{what}, which is memory", advice)
    return Finding(name, Verdict.PASS, what)


def project_quotas(mount: Mount, config: str) -> Finding:
    """The finding on quotas of directory trees; `config` is the kernel's configuration, empty where it is not told."""
    name, off = "project quotas", f"not switched on at {mount.point}"
    option = _QUOTA_CONFIG.get(mount.kind)
    if option is None:
        return Finding(name, Verdict.SKIPPED, f"not known of {mount.kind}")
    if _QUOTA_OPTIONS & mount.options:
        return Finding(name, Verdict.PASS, f"switched on at {mount.point}")
    if not config:
        return Finding(name, Verdict.SKIPPED, f"{off}; whether this kernel has them is not told")
    without = "Without them LSM_QUOTA_MODE=hard gives each session a disk image."
    if not re.search(rf"^{option}=[ym]$", config, re.MULTILINE):
        advice = f"Use a kernel with {option}. {without}"
        return Finding(name, Verdict.CAUTION, f"{off}: this kernel is built without them", advice)
    advice = f"Mount {mount.point} with prjquota (ext4: after tune2fs -O project,quota). {without}"
    return Finding(name, Verdict.CAUTION, off, advice)


def space(free_mb: int, total_mb: int) -> Finding:
    """The finding on a disk."""
    name, what = "disk space", f"{free_mb} of {total_mb} MB are free"
    if free_mb < _LEAST_MB:
        return Finding(name, Verdict.FAIL, what, "Make room: on a full disk no task is accepted and no end is kept.")
    if free_mb < max(_LITTLE_MB, total_mb * _LITTLE):
        return Finding(name, Verdict.CAUTION, what, "Make room, or lower WORKSPACE_QUOTA_MB.")
    return Finding(name, Verdict.PASS, what)


def inodes(free: int, total: int) -> Finding:
    """The finding on the number of files that fit on a disk."""
    name, what = "inodes", f"{free} of {total} are free"
    if total == 0:
        return Finding(name, Verdict.PASS, "this file system has no fixed number of them")
    if free == 0:
        return Finding(name, Verdict.FAIL, what, "Delete files: no other one can be made.")
    if free < total * _LITTLE:
        return Finding(name, Verdict.CAUTION, what, "Delete files that nobody needs: few others can be made.")
    return Finding(name, Verdict.PASS, what)


def database(path: Path, faults: list[str]) -> Finding:
    """The finding on a database with these faults."""
    if faults:
        advice = "Stop the server, keep a copy of the data directory, and restore the database from a backup."
        return Finding("database", Verdict.FAIL, f"{path} is damaged: {'; '.join(faults)}", advice)
    return Finding("database", Verdict.PASS, f"{path} is whole")


def _kernel_config() -> str:
    with contextlib.suppress(OSError), gzip.open("/proc/config.gz", "rt") as packed:
        return packed.read()
    with contextlib.suppress(OSError):
        return Path(f"/boot/config-{os.uname().release}").read_text()
    return ""
