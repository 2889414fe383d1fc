"""Loop devices and mounts of images, by the programs of util-linux and e2fsprogs. Everything here blocks.

A file that is attached to two loop devices at once is destroyed: each is looked for before another one is made. A
device goes away with its last mount (autoclear), so that nothing is left of a server that dies half-way. A program
outlives a server that is killed, and works on: it keeps the lock under which it was started (`locked_by`).
"""

import contextlib
import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

_OPTIONS = "nosuid,nodev,noatime,discard,noinit_itable,errors=remount-ro"
_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_PATIENCE_S = 120.0
_LONG_S = 3600.0  # a check or a copy of a whole image
_REPAIRED = 1  # e2fsck(8)


_thread = threading.local()


class ToolError(Exception):
    """A program could not do what it was told; the text is what it said."""


@contextlib.contextmanager
def locked_by(lock: int) -> Iterator[None]:
    """Have the programs that this thread starts meanwhile hold the descriptor of a lock too, to their end."""
    _thread.locks = (lock,)
    try:
        yield
    finally:
        _thread.locks = ()


def run(*command: str | Path, seconds: float = _PATIENCE_S, most: int = 0) -> str:
    """What the program prints. Raises ToolError for an exit status above `most`, one that is missing or too slow."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=_ENV,
            cwd="/",
            pass_fds=getattr(_thread, "locks", ()),
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{command[0]}: {error}") from error
    if not 0 <= done.returncode <= most:
        raise ToolError(f"{command[0]}: {(done.stderr or done.stdout).strip() or f'exit status {done.returncode}'}")
    return done.stdout


def make_file_system(image: Path, inodes: int, journal_mb: int) -> None:
    """An empty ext4 in the file, which is sparse and stays so. Raises ToolError."""
    # What a new sparse file holds is zero: neither the tables of inodes nor the journal have to be written.
    zeroed = "lazy_itable_init=0,lazy_journal_init=1,root_owner=0:0"
    layout = ("-b", "4096", "-I", "256", "-m", "0", "-N", str(inodes), "-J", f"size={journal_mb}")
    run("mkfs.ext4", "-q", "-F", *layout, "-E", zeroed, image)


def check_file_system(image: Path) -> None:
    """Bring an image that is not attached in order, as far as that is safe without asking. Raises ToolError."""
    run("e2fsck", "-p", image, seconds=_LONG_S, most=_REPAIRED)


def attached(image: Path) -> str | None:
    """The loop device that has the file, whoever mounts it and wherever; None where none has. Raises ToolError."""
    return next(iter(run("losetup", "--noheadings", "--output", "NAME", "--associated", image).split()), None)


def mount_image(image: Path, point: Path) -> None:
    """Mount the image at the directory, in the device that has it if one has. Raises ToolError."""
    device = attached(image)
    if device is None:
        run("mount", "-t", "ext4", "-o", f"loop,{_OPTIONS}", image, point)
    else:
        run("mount", "-t", "ext4", "-o", _OPTIONS, device, point)


def bind(source: Path, target: Path) -> None:
    """Have the directory `source`, with the flags of its mount, at `target` too. Raises ToolError."""
    run("mount", "--bind", source, target)


def unmount(point: Path) -> None:
    """Take away the mount at the directory. Raises ToolError, also where a file there is open."""
    run("umount", point)


def is_mounted(point: Path) -> bool:
    """Whether the directory is the root of another file system than the one that it is in."""
    with contextlib.suppress(FileNotFoundError):
        return os.lstat(point).st_dev != os.lstat(point.parent).st_dev
    return False


def takes_writes(point: Path) -> bool:
    """Whether the file system mounted there has met no error after which it only can be read."""
    try:
        os.close(os.open(point, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC))  # newer kernels tell it in no other way
    except OSError as error:
        return error.errno != errno.EROFS
    return True


def is_shared(point: Path) -> bool | None:
    """Whether mounts below the mount at `point` appear in namespaces made from this one; None: it is no mount."""
    found = None
    with open("/proc/thread-self/mountinfo", "rb") as file:
        for line in file:
            fields = line.split(b" ")
            if fields[4].decode("unicode_escape").encode("latin-1") == os.fsencode(point):
                found = any(field.startswith(b"shared:") for field in fields[6 : fields.index(b"-")])
    return found


def share(directory: Path) -> None:
    """Have mounts below the directory appear in the mount namespaces that are made from this one from now on.

    Where the mount that the directory is on does that, as systemd sets it up, nothing is changed; else the directory
    becomes a mount of its own. Raises ToolError.
    """
    directory = directory.resolve()
    above = next(path for path in (directory, *directory.parents) if is_shared(path) is not None)
    if is_shared(above):
        return
    if above != directory:
        run("mount", "--rbind", directory, directory)
    run("mount", "--make-rshared", directory)


def grow(image: Path, size: int, device: str | None) -> None:
    """Make the image and its file system larger, while it is attached to `device` or to none. Raises ToolError."""
    if os.stat(image).st_size < size:
        os.truncate(image, size)
    if device is None:
        run("e2fsck", "-f", "-p", image, seconds=_LONG_S, most=_REPAIRED)
        run("resize2fs", image, seconds=_LONG_S)
    else:
        run("losetup", "--set-capacity", device)
        run("resize2fs", device, seconds=_LONG_S)


def hold_back(point: Path, blocks: int) -> None:
    """Have nobody, root neither, use that many of the free blocks of the ext4 mounted at `point`. Raises OSError."""
    number = os.stat(point).st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve().name
    Path("/sys/fs/ext4", device, "reserved_clusters").write_text(f"{blocks}\n")


def copy_tree(source: Path, target: Path) -> None:
    """Copy what is in the directory `source` into the empty one `target`, as it is. Raises ToolError."""
    run("cp", "--archive", "--sparse=auto", "--no-target-directory", source, target, seconds=_LONG_S)


def sync(directory: Path) -> None:
    """Have everything on disk that was written to the file system of the directory. Raises ToolError."""
    run("sync", "--file-system", directory, seconds=_LONG_S)


def remove_tree(directory: Path) -> None:
    """Remove a directory with all that is in it, however deep, and nothing that is mounted there. Raises ToolError."""
    run("rm", "--recursive", "--force", "--one-file-system", directory, seconds=_LONG_S)
