"""The attacks of the other modules, made where no box is: there they come through, so what stops them is the box.

Only those that harm nothing are made, by a program of the host's root with mounts of its own.
"""

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.attacks import test_filesystem, test_neighbours, test_network, test_proc_and_sys, test_system_calls
from tests.attacks.tries import IS_ROOT_OF_THE_HOST, attack_argv, programs_in

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not IS_ROOT_OF_THE_HOST, reason="what root may do is what a box has to take away"),
]

MODULES = (test_filesystem, test_neighbours, test_network, test_proc_and_sys, test_system_calls)
# A part of the program, and what comes of it outside.
CONTROLS = {
    "open(canary)": "done",
    "open('/proc/self/root' + canary)": "done",
    "os.open('/dev/kmsg', os.O_RDONLY)": "done",
    "call('syslog', 3,": "done",
    "return hidden('/proc/interrupts')": "seen",
    "return hidden('/proc/cgroups')": "seen",
    "return hidden('/proc/diskstats')": "seen",
    "return hidden('/proc/locks')": "seen",
    "write('/proc/sys/kernel/core_pattern'": "done",
    "checked(libc.unshare(268435456))": "done",
    "checked(libc.unshare(131072))": "done",
    "checked(libc.unshare(1073741824))": "done",
    "call('clone', 536870912 |": "done",
    "call('clone3',": "done",
    "call('fsopen', b'tmpfs', 0)": "done",
    "call('ptrace', 0, 0, 0, 0)": "done",
    "call('process_vm_readv', os.getppid()": "done",
    "call('kcmp', os.getppid()": "done",
    "call('add_key', b'user'": "done",
    "checked(libc.personality(262144))": "done",
    "os.setgroups([0])": "done",
    "os.mknod('/dev/shm/fuse'": "done",
    "connect(socket.AF_INET, ('127.0.0.1', port))": "done",
    "connect(socket.AF_UNIX, chr(0) + abstract)": "done",
    "connect(socket.AF_UNIX, path)": "done",
    "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)": "done",
    "socket.socket(socket.AF_PACKET": "done",
    "socket.socket().setsockopt(socket.SOL_SOCKET, 36, 1)": "done",
    # The last ones, because they hide what others look for where the tests' own directory is in /tmp.
    "'proc', b'/tmp', b'proc'": "done",
    "'none', b'/tmp', b'cgroup2', 0, None": "done",
}


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, object]]:
    """What the attacks look for: a file and sockets of the host."""
    directory = tmp_path_factory.mktemp("outside")
    (directory / "canary").write_text("the canary's song")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0lan-session-manager-test-control")
        abstract.listen()
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(directory / "socket"))
            bound.listen()
            yield {
                "canary": str(directory / "canary"),
                "port": tcp.getsockname()[1],
                "path": str(directory / "socket"),
                "abstract": "lan-session-manager-test-control",
            }


def _program(part: str) -> str:
    found = {program for module in MODULES for program in programs_in(module) if part in program}
    assert found, f"no attack has {part} in it any more"
    return min(found, key=len)


@pytest.fixture(scope="module")
def answers(outside: Mapping[str, object], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What comes of each of them outside of a box."""
    programs = [_program(part) for part in CONTROLS]
    own = ["unshare", "--mount", "--propagation", "private", "--ipc", "--uts", "--pid", "--fork"]
    ran = subprocess.run(
        [*own, *attack_argv(programs, outside)],
        cwd=tmp_path_factory.mktemp("own"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    Path("/dev/shm/fuse").unlink(missing_ok=True)
    return dict(zip(CONTROLS, json.loads(ran.stdout), strict=True))


@pytest.mark.parametrize("part", CONTROLS)
def test_outside_of_a_box_the_attack_comes_through(part: str, answers: Mapping[str, str]) -> None:
    assert answers[part] == CONTROLS[part]
