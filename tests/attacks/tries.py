"""What the tests of attacks share: short programs that a hostile task would run, and what came of each of them.

    @tries("os.open('/dev/kmsg', os.O_RDONLY)")
    def test_a_task_cannot_read_the_kernel_log(answers: list[str]) -> None:
        assert answers == ["ENOENT"]

All programs of a module run in one real box, each in a process of its own, so that one that is killed harms no other.
An answer is what the program returns as text; "done" if it returns nothing, the errno's name if the system refuses, the
signal's name if it is killed. A fault of the program itself is an answer that no test expects.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from lan_session_manager.engine.base import Job
from lan_session_manager.engine.local import LocalEngine
from tests.integration.sandbox.room import Ran, Room

# A server in a user namespace of its own cannot make devices, nor set what a process cannot take back.
IS_ROOT_OF_THE_HOST = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]

_Test = TypeVar("_Test", bound=Callable[..., None])

# The helpers are there for the programs. Numbers of calls: those of x86-64, and those of the table that other
# architectures share (include/uapi/asm-generic/unistd.h).
HELPERS = """
import ctypes, errno, fcntl, json, mmap, os, signal, socket, stat, struct, sys, threading, time

NUMBERS = {
    "add_key": (248, 217), "bpf": (321, 280), "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435),
    "fsopen": (430, 430), "init_module": (175, 105), "io_setup": (206, 0), "io_uring_setup": (425, 425),
    "kcmp": (312, 272), "kexec_load": (246, 104), "keyctl": (250, 219), "mbind": (237, 235), "move_mount": (429, 429),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434), "pivot_root": (155, 41),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "reboot": (169, 142),
    "request_key": (249, 218), "setns": (308, 268), "shmget": (29, 194), "socket": (41, 198), "syslog": (103, 116),
    "unshare": (272, 97), "userfaultfd": (323, 282), "swapon": (167, 224), "quotactl": (179, 60),
    "semget": (64, 190), "msgget": (68, 186), "shmat": (30, 196), "mq_open": (240, 180), "msgsnd": (69, 189),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30), "capset": (126, 91), "settimeofday": (164, 170),
    "timer_create": (222, 107), "rt_sigqueueinfo": (129, 138), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
}
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def call(name, *given):
    number = NUMBERS[name][os.uname().machine != "x86_64"] if isinstance(name, str) else name
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in given]
    return checked(libc.syscall(ctypes.c_long(number), *given))


def write(path, data):
    # Opened as it is: nothing is made, nothing is cut.
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, data)


def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as made:
        made.settimeout(3)
        made.connect(address)


def hidden(path):
    # A masked file is the null device, a masked directory an empty one.
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return "hidden"
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3):
        return "hidden"
    if stat.S_ISDIR(found.st_mode) and not os.listdir(path):
        return "hidden"
    return "seen"


def name_of(error):
    return errno.errorcode.get(error.errno, str(error))
"""

_TRY_ALL = """
given = json.loads(sys.argv[2])
globals().update(given)


def attempt(program):
    body = "def attack():\\n" + "\\n".join("    " + line for line in program.split("\\n"))
    try:
        exec(body, globals())
        value = attack()
        return "done" if value is None else str(value)
    except OSError as error:
        return name_of(error)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


answers = []
for program in json.loads(sys.argv[1]):
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        os.close(ours)
        os.write(its, attempt(program).encode()[:4000])
        os._exit(0)
    os.close(its)
    with open(ours) as file:
        said = file.read()
    status = os.waitpid(pid, 0)[1]
    answers.append(signal.Signals(status & 127).name if os.WIFSIGNALED(status) else said)
print(json.dumps(answers))
"""


def tries(*programs: str) -> Callable[[_Test], _Test]:
    """The test gets, as `answers`, what came of these programs, in their order."""

    def mark(test: _Test) -> _Test:
        test.__dict__["programs"] = [program.strip("\n") for program in programs]
        return test

    return mark


def programs_of(test: object) -> list[str]:
    """What `tries` has given to a test."""
    found = getattr(test, "programs", [])
    return list(found) if isinstance(found, list) else []


def programs_in(module: ModuleType) -> list[str]:
    """The programs of all tests of a module, each once."""
    return list(dict.fromkeys(program for test in vars(module).values() for program in programs_of(test)))


def attack_argv(programs: Sequence[str], given: Mapping[str, object]) -> tuple[str, ...]:
    """The command of a task that runs all of them. `given` are variables for them."""
    return ("/usr/bin/python3", "-c", HELPERS + _TRY_ALL, json.dumps(programs), json.dumps(given))


def answers_of(programs: Sequence[str], ran: Ran) -> dict[str, str]:
    """The answer of each program, from what that task printed."""
    assert ran.code == 0, ran
    return dict(zip(programs, json.loads(ran.out), strict=True))


def run_python(room: Room, program: str, *arguments: str, runtime: str = "", session: str = "10_0_0_1") -> Ran:
    """Run one program, which may use the helpers, in a box of its own to its end."""
    return room.run("/usr/bin/python3", "-c", HELPERS + program, *arguments, runtime=runtime, session=session)


async def wait_for_words(engine: LocalEngine, job: Job, words: str) -> str:
    """Follow a task until it has printed `words`, or has ended; all that it had printed then."""
    said, follower = b"", engine.follow(job.task_id, 0)
    async for piece in follower:
        said += piece.data
        if words.encode() in said:
            break
    await follower.aclose()
    return said.decode(errors="replace")
