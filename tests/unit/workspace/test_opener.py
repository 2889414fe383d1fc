import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lan_session_manager.errors import BusyError, ConflictError, LSMError, NotFoundError, SecurityError, StorageError
from lan_session_manager.workspace import Workspace, opener
from lan_session_manager.workspace.opener import beneath, closing, open_directory, open_regular, refusals, unlock
from lan_session_manager.workspace.paths import parse_path

from .conftest import UID, put

pytestmark = pytest.mark.usefixtures("way")


@pytest.fixture
def root(disk: Path) -> Iterator[int]:
    with closing(os.open(disk, os.O_RDONLY | os.O_DIRECTORY)) as fd:
        yield fd


def read(root: int, text: str, workspace: Workspace) -> bytes:
    fd, info = open_regular(root, parse_path(text), workspace.owner)
    with closing(fd):
        return os.read(fd, info.st_size)


def test_a_file_of_the_session_opens(root: int, workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/deep/er/a b", b"hello")
    assert read(root, "inputs/deep/er/a b", workspace) == b"hello"


@pytest.mark.parametrize(
    ("link", "to"),
    [
        ("inputs/link", "/etc/shadow"),
        ("inputs/link", "../outputs/file"),
        ("inputs/link", "/proc/self/exe"),
        ("inputs/link", "missing"),
    ],
)
def test_a_link_is_not_followed_wherever_it_leads(
    root: int, workspace: Workspace, disk: Path, link: str, to: str
) -> None:
    put(disk / "outputs/file")
    (disk / link).symlink_to(to)
    with pytest.raises(SecurityError):
        open_regular(root, parse_path(link), workspace.owner)
    with pytest.raises(OSError, match="symbolic") as refused:
        beneath(root, link.encode(), os.O_PATH)
    assert refused.value.errno == errno.ELOOP


@pytest.mark.parametrize("to", ["/etc", "..", "../outputs", "/proc/self/root/etc", "/proc/self/cwd"])
def test_a_link_on_the_way_is_not_followed(root: int, workspace: Workspace, disk: Path, to: str) -> None:
    put(disk / "outputs/passwd")
    (disk / "inputs/link").symlink_to(to)
    with pytest.raises(SecurityError):
        open_regular(root, ("inputs", "link", "passwd"), workspace.owner)
    with pytest.raises(SecurityError):
        open_directory(root, ("inputs", "link"))


@pytest.mark.parametrize("path", [b"..", b"../outside", b"inputs/../../outside", b"/etc/passwd"])
def test_a_path_that_leaves_is_refused_by_the_opener_as_well(root: int, path: bytes) -> None:
    with pytest.raises(OSError, match="cross-device") as refused:
        beneath(root, path, os.O_PATH)
    assert refused.value.errno == errno.EXDEV


def test_a_pipe_a_socket_and_a_directory_are_no_files(
    root: int, workspace: Workspace, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(disk / "inputs/pipe")
    os.chown(disk / "inputs/pipe", UID, UID)
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(disk / "inputs")  # a socket's path may have 107 bytes
        listener.bind("socket")
        for name in ("pipe", "socket"):
            with pytest.raises(ConflictError, match="Only regular files"):
                open_regular(root, ("inputs", name), workspace.owner)
    with pytest.raises(ConflictError, match="directory"):
        open_regular(root, ("inputs",), workspace.owner)


def test_a_device_is_no_file(root: int, workspace: Workspace, disk: Path) -> None:
    os.mknod(disk / "inputs/null", 0o666 | 0o020000, os.makedev(1, 3))
    os.chown(disk / "inputs/null", UID, UID)
    with pytest.raises(ConflictError):
        open_regular(root, ("inputs", "null"), workspace.owner)


def test_a_hard_link_to_a_foreign_file_is_refused_and_one_to_an_own_file_opens(
    root: int, workspace: Workspace, disk: Path, canary: Path
) -> None:
    os.link(canary / "secret", disk / "inputs/secret")
    with pytest.raises(ConflictError):
        open_regular(root, ("inputs", "secret"), workspace.owner)
    put(disk / "inputs/own", b"own")
    os.link(disk / "inputs/own", disk / "outputs/own")
    assert read(root, "outputs/own", workspace) == b"own"


def test_every_id_of_the_sessions_range_may_own_a_file(workspace: Workspace, disk: Path, root: int) -> None:
    put(disk / "inputs/other", b"other", UID + 1)
    with pytest.raises(ConflictError):
        read(root, "inputs/other", workspace)
    ranged = opener.Owner(UID, UID, range(UID, UID + 10))
    os.close(open_regular(root, ("inputs", "other"), ranged)[0])


def test_another_file_system_is_not_entered(root: int, workspace: Workspace, disk: Path) -> None:
    mounted = disk / "inputs/mounted"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=True)
    try:
        put(mounted / "file")
        with pytest.raises(SecurityError):
            open_regular(root, ("inputs", "mounted", "file"), workspace.owner)
        with pytest.raises(SecurityError):
            open_directory(root, ("inputs", "mounted"))
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


def test_what_is_missing_is_not_found(root: int, workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/file")
    for path in ("inputs/no", "no/no", "inputs/file/no"):
        with pytest.raises(NotFoundError):
            open_regular(root, parse_path(path), workspace.owner)
    with pytest.raises(NotFoundError):
        open_directory(root, ("inputs", "file"))


def test_a_name_with_nul_never_reaches_the_kernel(root: int) -> None:
    with pytest.raises(OSError, match="NUL"):
        beneath(root, b"inputs\0/x", os.O_PATH)


def test_a_lease_that_a_task_holds_does_not_make_the_server_wait(root: int, workspace: Workspace, disk: Path) -> None:
    path = put(disk / "inputs/leased")
    with path.open("r+b") as leased:
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import fcntl, os, signal, sys, time\n"
                "signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
                f"os.setresuid({UID}, {UID}, {UID})\n"
                "fcntl.fcntl(0, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n"
                "print('held', flush=True)\n"
                "time.sleep(60)\n",
            ],
            stdin=leased,
            stdout=subprocess.PIPE,
        )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        signal.alarm(20)  # ends a hang: the kernel breaks a lease after 45 s only
        with pytest.raises(BusyError):
            open_regular(root, ("inputs", "leased"), workspace.owner)
    finally:
        signal.alarm(0)
        holder.kill()
        holder.communicate()


def test_what_is_opened_is_not_inherited(root: int, workspace: Workspace, disk: Path) -> None:
    put(disk / "inputs/file")
    fd, _ = open_regular(root, ("inputs", "file"), workspace.owner)
    with closing(fd):
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_a_file_of_root_is_not_unlocked_by_anybody(disk: Path) -> None:
    path = put(disk / "inputs/file", uid=0)
    path.chmod(0)
    with closing(os.open(path, os.O_PATH)) as fd:
        unlock(fd)
        assert path.stat().st_mode & 0o777 == 0
        os.chown(path, UID, UID)
        unlock(fd)
        assert path.stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, NotFoundError),
        (errno.ELOOP, SecurityError),
        (errno.ENOSPC, StorageError),
        (errno.EDQUOT, StorageError),
        (errno.EMFILE, BusyError),
    ],
)
def test_what_the_kernel_says_becomes_an_error_for_people(number: int, kind: type[LSMError]) -> None:
    with pytest.raises(kind), refusals():
        raise OSError(number, os.strerror(number))


def test_what_nobody_expects_stays_as_it_is() -> None:
    with pytest.raises(OSError, match="nobody knows"), refusals():
        raise OSError(errno.EPROTO, "nobody knows")
