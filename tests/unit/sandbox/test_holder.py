"""The holder: which user ids it maps, where it may be, and what it does for whom."""

import os
import pwd
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lan_session_manager.sandbox import holder
from lan_session_manager.sandbox.holder import HolderError
from lan_session_manager.sandbox.launcher import ThroughHolder

_SUBUID = """
# a comment
lsm:2000000:65536
ann:100000:65536
4242:3000000:131072
lsm:many:1
lsm:5000000:0
4242:x
"""


@pytest.fixture
def subuid(tmp_path: Path) -> Path:
    file = tmp_path / "subuid"
    file.write_text(_SUBUID)
    return file


def test_ranges_are_given_by_name_or_by_id_and_empty_ones_are_none(
    subuid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert holder.ranges_of(4242, subuid) == [(3000000, 131072)]
    named = pwd.struct_passwd(("lsm", "x", 4242, 4242, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: named)
    assert holder.ranges_of(4242, subuid) == [(2000000, 65536), (3000000, 131072)]
    assert holder.ranges_of(4242, subuid.with_name("none")) == []


def test_ranges_follow_each_other_inside_and_the_user_itself_is_root() -> None:
    words = holder._map_words(997, [(2000000, 65536), (3000000, 131072)])
    assert words == ["0", "997", "1", "1000000", "2000000", "65536", "1065536", "3000000", "131072"]


def test_a_cgroup_is_delegated_if_all_of_it_can_be_written(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("0::/system.slice/a.service\n")
    directory = tmp_path / "sys/system.slice/a.service"
    directory.mkdir(parents=True)
    assert holder.delegated(tmp_path / "sys", own) is None  # no version 2
    (tmp_path / "sys/cgroup.controllers").touch()
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        assert holder.delegated(tmp_path / "sys", own) is None
        (directory / name).touch()
    assert holder.delegated(tmp_path / "sys", own) == directory
    own.write_text("0::/\n")
    assert holder.delegated(tmp_path / "sys", own) is None
    own.write_text("4:memory:/a\n")
    assert holder.delegated(tmp_path / "sys", own) is None


def test_a_place_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    holder.check_place(tmp_path)
    tmp_path.chmod(0o775)
    with pytest.raises(HolderError, match="somebody else"):
        holder.check_place(tmp_path)
    link = tmp_path / "link"
    link.symlink_to("/usr")
    with pytest.raises(HolderError, match="somebody else"):
        holder.check_place(link)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The socket of a holder's loop, in the namespaces of the test."""
    path = tmp_path / "holder"
    listener, (until, end) = holder._listen(path), os.pipe()
    thread = threading.Thread(target=holder._serve, args=([listener], until))
    thread.start()
    try:
        yield path
    finally:
        os.close(end)
        thread.join()
        os.close(until)
        listener.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter its own mounts")
def test_it_starts_a_program_with_the_pipes_of_the_caller_and_nothing_else(path: Path, tmp_path: Path) -> None:
    (waits, go), (readable, writable) = os.pipe(), os.pipe()
    script = "read -r _ <&$GO; ls -A /proc/self/fd >&$OUT; pwd >&$OUT; env >&$OUT"
    pipes = {"GO": waits, "OUT": writable}
    process = ThroughHolder(path).start(["/bin/bash", "-c", script], tmp_path, {"A": "b"}, pipes)
    for fd in (waits, writable):
        os.close(fd)
    os.write(go, b"\n")
    with open(readable) as out:
        told = out.read()
    process.wait(10)
    os.close(go)
    fds, _, rest = told.partition(f"{tmp_path}\n")
    assert len(fds.split()) == 6, told  # the three, the pipes, and the directory that ls reads
    assert {line.partition("=")[0] for line in rest.splitlines()} <= {"A", "GO", "OUT", "PWD", "OLDPWD", "_", "SHLVL"}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter its own mounts")
def test_a_program_that_does_not_exist_is_an_error(path: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        ThroughHolder(path).start(["/nowhere"], tmp_path, {}, {})


def test_it_goes_on_after_a_request_that_is_none(path: Path) -> None:
    for packet in (b"", b"{", b"[]", b'{"verb": "join', b'{"no": "verb"}', b'{"verb": "start"}', b"x" * 70000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(str(path))
            client.send(packet)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(10)
            assert client.recv(10) == b""
    assert ThroughHolder(path).open_files() > 0


def test_its_socket_is_for_its_own_user_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(path))
        pid, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        assert (pid, uid) == (os.getpid(), os.geteuid())
