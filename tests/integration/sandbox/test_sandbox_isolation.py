"""A task reaches nothing but its own workspace: not the host, not another session, not the kernel's dangerous calls."""

import json
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from lan_session_manager.engine.base import BoxStartError
from lan_session_manager.sandbox.box import TASK_UID, user_range
from lan_session_manager.sandbox.runtime import find_runtimes
from tests.integration.sandbox.room import FIRST_SLOT, MB, Room

pytestmark = pytest.mark.root

EVERY_RUNTIME = pytest.mark.parametrize("runtime", ["crun", "runc"])

# Prints "done" or the name of the error for each of its arguments.
_TRY = """
import ctypes, errno, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
other = os.uname().machine != "x86_64"

def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")

for statement in sys.argv[1:]:
    try:
        exec(statement)
        print("done")
    except OSError as error:
        print(errno.errorcode.get(error.errno, error.errno))
"""


def _answers(room: Room, *statements: str) -> dict[str, str]:
    ran = room.python(_TRY, *statements)
    assert ran.code == 0, ran.err
    return dict(zip(statements, ran.out.split(), strict=True))


@EVERY_RUNTIME
def test_a_task_has_its_own_user_no_capability_and_a_filter(room: Room, runtime: str) -> None:
    ran = room.sh("id -u; id -g; umask; cat /proc/self/uid_map; cat /proc/self/status", runtime=runtime)
    uid, gid, umask, uid_map, *status = ran.out.splitlines()
    assert (uid, gid, umask) == (str(TASK_UID), str(TASK_UID), "0077")
    assert uid_map.split() == ["0", str(user_range(FIRST_SLOT)), "65536"]
    facts = dict(line.split(":\t", 1) for line in status)
    assert {name: facts[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == dict.fromkeys(
        ("Inh", "Prm", "Eff", "Bnd", "Amb"), "0" * 16
    )
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")


@EVERY_RUNTIME
def test_a_task_gets_three_pipes_and_no_other_descriptor(room: Room, runtime: str) -> None:
    program = """
import os
for number in range(1024):
    try:
        print(number, os.readlink(f"/proc/self/fd/{number}").split(":")[0])
    except FileNotFoundError:
        pass
"""
    assert room.python(program, runtime=runtime).out == "0 pipe\n1 pipe\n2 pipe\n"


@EVERY_RUNTIME
def test_standard_input_is_at_its_end(room: Room, runtime: str) -> None:
    ran = room.sh("cat; echo over", runtime=runtime)
    assert (ran.out, ran.code) == ("over\n", 0)


@EVERY_RUNTIME
def test_no_runtime_gives_the_hosts_null_device_to_a_task(room: Room, runtime: str) -> None:
    before = os.stat("/dev/null")
    ran = room.sh("chmod 0 /dev/null; chown 1000 /dev/null; stat -c %u /dev/null", runtime=runtime)
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert ran.out == "65534\n"  # nobody: not a user of the box
    assert ran.err.count("Operation not permitted") == 2


def test_the_environment_is_what_the_server_gives_and_nothing_of_its_own(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSM_ADMIN_TOKEN", "whale-secret")
    ran = room.python("import json, os; print(json.dumps(dict(os.environ)))")
    assert json.loads(ran.out) == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/workspace",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    assert "whale-secret" not in room.sh("cat /proc/1/environ").out


def test_a_file_that_everybody_on_the_host_may_read_is_out_of_sight(room: Room, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("whale-secret")
    canary.chmod(0o644)
    ran = room.sh(f"cat {canary} /etc/shadow /proc/1/root{canary} /proc/self/root{canary} /workspace/..{canary}")
    assert "whale-secret" not in ran.out
    assert ran.out == ""


def test_the_systems_directories_hold_nothing_of_the_host(room: Room) -> None:
    ran = room.sh("ls -A /home /root /run /opt /mnt /srv /sys /var/log /var/lib /usr/local/etc 2>/dev/null")
    assert [line for line in ran.out.splitlines() if line and not line.endswith(":")] == []
    assert room.sh("cat /proc/kcore /proc/keys /proc/timer_list | wc -c").out == "0\n"


def test_only_the_workspace_and_private_memory_can_be_written(room: Room) -> None:
    room.workspace()
    (room.data_dir / "shared").chmod(0o777)
    places = "/ /usr /usr/local/etc /etc /shared /dev /proc/sys/kernel /run /var /home /workspace /tmp /dev/shm"
    ran = room.sh(f"for place in {places}; do touch $place/x 2>/dev/null && echo $place; done")
    assert ran.out.split() == ["/workspace", "/tmp", "/dev/shm"]
    made = os.stat(room.workspace() / "x")
    assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (user_range(FIRST_SLOT) + TASK_UID, 0o600)


def test_private_memory_is_gone_with_its_task(room: Room) -> None:
    room.sh("echo secret > /tmp/x; echo secret > /dev/shm/x")
    assert room.sh("ls -A /tmp /dev/shm").out.split() == ["/dev/shm:", "/tmp:"]


def test_shared_resources_can_be_read_and_not_executed(room: Room) -> None:
    script = room.data_dir / "shared" / "tool.sh"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o777)
    ran = room.sh("/shared/tool.sh; sh /shared/tool.sh; echo x >> /shared/tool.sh")
    assert ran.out == "ran\n"
    assert [line.rpartition(": ")[2] for line in ran.err.splitlines()] == ["Permission denied", "Read-only file system"]


def test_another_sessions_workspace_is_out_of_sight_and_out_of_reach(room: Room) -> None:
    own, other = room.workspace("10_0_0_1"), room.workspace("10_0_0_2")
    secret = other / "secret"
    secret.write_text("whale-secret")
    # Even if one came into the box, as by a mount that was made by mistake, its owner is another one.
    leak = room.data_dir / "shared" / "leak"
    leak.mkdir(mode=0o700)
    os.chown(leak, other.stat().st_uid, other.stat().st_gid)
    assert own.stat().st_uid != other.stat().st_uid
    ran = room.sh(f"cat {secret}; cat /workspace/../10_0_0_2/secret; ls /shared/leak", session="10_0_0_1")
    assert ran.out == ""
    assert [line.rpartition(": ")[2] for line in ran.err.splitlines()] == [
        "No such file or directory", "No such file or directory", "Permission denied",
    ]  # fmt: skip


def test_the_hosts_loopback_and_abstract_sockets_are_unreachable(room: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0lsm-test-whale")
        abstract.listen()
        to_port = f"socket.create_connection(('127.0.0.1', {tcp.getsockname()[1]}), 2)"
        to_name = "socket.socket(socket.AF_UNIX).connect(chr(0) + 'lsm-test-whale')"
        assert _answers(room, to_port, to_name) == {to_port: "ECONNREFUSED", to_name: "ECONNREFUSED"}


def test_there_is_no_way_out_to_any_network(room: Room) -> None:
    assert room.sh("tail -n +3 /proc/net/dev | cut -d: -f1; tail -n +2 /proc/net/route").out.split() == ["lo"]
    outside = "socket.create_connection(('192.0.2.1', 80), 2)"
    assert _answers(room, outside) == {outside: "ENETUNREACH"}


def test_only_ordinary_sockets_can_be_made(room: Room) -> None:
    expected = {
        "socket.socket(socket.AF_VSOCK)": "ENOSYS",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)": "ENOSYS",
        "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)": "ENOSYS",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)": "ENOSYS",  # netfilter
        "call(libc.syscall(198 if other else 41, ctypes.c_long((1 << 32) | 40), 1, 0))": "ENOSYS",  # vsock in disguise
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)": "done",  # routes, as getaddrinfo asks
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)": "EPERM",
        "socket.socket(socket.AF_INET)": "done",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)": "done",
        "socket.socketpair()": "done",
    }
    assert _answers(room, *expected) == expected


def test_a_call_that_opens_the_kernel_is_refused(room: Room) -> None:
    # Numbers of calls: those of x86-64, and those of the table that other architectures share.
    expected = {
        "call(libc.unshare(0x10000000))": "EPERM",
        "call(libc.unshare(0x00020000))": "EPERM",
        "call(libc.setns(os.open('/proc/self/ns/user', os.O_RDONLY), 0))": "EPERM",
        "call(libc.mount(b'none', b'/workspace', b'tmpfs', 0, None))": "EPERM",
        "call(libc.umount2(b'/workspace', 2))": "EPERM",
        "call(libc.chroot(b'/workspace'))": "EPERM",
        "call(libc.ptrace(0, 0, 0, 0))": "EPERM",
        "call(libc.syscall(219 if other else 250, 0, -3, 1))": "EPERM",  # keyctl
        "call(libc.syscall(280 if other else 321, 0, 0, 0))": "EPERM",  # bpf
        "call(libc.syscall(241 if other else 298, 0, 0, -1, -1, 0))": "EPERM",  # perf_event_open
        "call(libc.syscall(282 if other else 323, 0))": "ENOSYS",  # userfaultfd
        "call(libc.syscall(425, 8, 0))": "ENOSYS",  # io_uring_setup
        "call(libc.syscall(428, -100, b'/', 0))": "EPERM",  # open_tree
        "call(libc.syscall(435, 0, 0))": "ENOSYS",  # clone3
        "call(libc.syscall(220 if other else 56, 0x10000011, 0, 0, 0, 0))": "ENOSYS",  # clone, a new user namespace
        "call(libc.syscall(220 if other else 56, 0x40000011, 0, 0, 0, 0))": "ENOSYS",  # clone, a new network
        "call(libc.syscall(999))": "ENOSYS",
        "call(libc.personality(0x0040000))": "ENOSYS",  # without address randomisation
        "call(libc.sethostname(b'x', 1))": "EPERM",
        "os.setuid(0)": "EPERM",
        "os.mknod('/workspace/null', 0o20666, os.makedev(1, 3))": "EPERM",
        "os.mkfifo('/workspace/pipe')": "done",
    }
    assert _answers(room, *expected) == expected


def test_a_call_in_another_mode_of_the_processor_ends_the_program(room: Room) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("32-bit calls beside 64-bit ones are of x86")
    source = 'int main(void) { long r; __asm__ volatile ("int $0x80" : "=a"(r) : "a"(20)); return r > 0 ? 0 : 1; }'
    ran = room.sh(f"echo '{source}' > a.c && gcc a.c -o a && ./a; echo $?")
    assert ran.out == "159\n"  # 128 + SIGSYS


def test_a_setuid_program_gives_nobody_more_rights(room: Room) -> None:
    copied = room.workspace() / "id"
    copied.write_bytes(Path("/usr/bin/id").read_bytes())
    copied.chmod(0o6755)  # root's own
    ran = room.sh("./id -u; /usr/bin/su -c id; /usr/bin/mount -t tmpfs none /workspace")
    assert ran.out == f"{TASK_UID}\n"


def test_names_in_the_box_and_on_the_host_say_nothing_of_the_task(room: Room) -> None:
    ran = room.sh("hostname; cat /proc/self/cgroup; ls /proc | grep -c '^[0-9]'")
    lines = ran.out.splitlines()
    assert lines[0] == "sandbox"
    assert {line.split(":", 2)[2] for line in lines[1:-1]} == {"/"}
    assert int(lines[-1]) <= 6  # the init, the shell and its pipe


def test_a_workspace_that_is_a_link_or_another_sessions_is_refused(room: Room) -> None:
    room.workspace("10_0_0_1")
    room.workspace("10_0_0_2")
    (room.data_dir / "10_0_0_3").symlink_to(room.data_dir / "10_0_0_2")
    job = room.job("true", session="10_0_0_1")
    for name in (
        "10_0_0_2", "10_0_0_3", "10_0_0_4", "shared", "..", ".", "", "10_0_0_1/..", ".lan_session_manager", "a\0b",
    ):  # fmt: skip
        with pytest.raises(BoxStartError):
            room.run_job(replace(job, workspace=name))


def test_every_runtime_of_this_machine_is_tested() -> None:
    assert {path.name for path in find_runtimes()} == {"crun", "runc"}


def test_a_large_file_is_refused_and_the_rest_goes_on(room: Room) -> None:
    ran = room.sh("head -c 2M /dev/zero > big; echo $?; stat -c %s big", limits={"file_bytes": MB})
    assert ran.out.split() == ["153", str(MB)]  # 128 + SIGXFSZ
