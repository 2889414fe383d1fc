"""Two sessions run tasks at the same time: nothing of the one can be seen, taken or disturbed by the other."""

import asyncio
from collections.abc import Mapping

import pytest

from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.states import Reason
from tests.attacks.tries import HELPERS, answers_of, attack_argv, programs_in, tries, wait_for_words
from tests.integration.sandbox.room import Room

pytestmark = pytest.mark.root

KEY, NAME, PORT = 0x15A7, "victim", 45671
# All of it as open to others as can be, and used by the victim itself before it says so.
VICTIM = f"""
os.umask(0)
os.chmod("/workspace", 0o777)
for path in ("/workspace/secret", "/tmp/secret", "/dev/shm/secret"):
    with open(path, "w") as file:
        file.write("whale")
    os.chmod(path, 0o777)
call("shmget", {KEY}, 4096, 0o1666)
call("semget", {KEY}, 1, 0o1666)
call("msgget", {KEY}, 0o1666)
queue = call("mq_open", b"{NAME}", 0o102, 0o666, None)
abstract = socket.socket(socket.AF_UNIX)
abstract.bind(chr(0) + "{NAME}")
abstract.listen()
connect(socket.AF_UNIX, chr(0) + "{NAME}")
bound = socket.socket(socket.AF_UNIX)
bound.bind("/workspace/socket")
bound.listen()
tcp = socket.create_server(("127.0.0.1", {PORT}))
connect(socket.AF_INET, ("127.0.0.1", {PORT}))
libc.prctl(15, b"victims-name", 0, 0, 0)
print("ready", flush=True)
signal.signal(signal.SIGTERM, lambda *_: os._exit(8))
time.sleep(40)
"""


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, room: Room, runtime: str) -> Mapping[str, str]:
    """What came of the programs in one session's box while the other session's victim lives."""
    room.workspace("10_0_0_1")
    victim = room.job("/usr/bin/python3", "-c", HELPERS + VICTIM, session="10_0_0_2")
    given = {"neighbour": str(room.workspace("10_0_0_2")), "key": KEY, "name": NAME, "port": PORT}
    programs = programs_in(request.module)
    attacker = room.job(*attack_argv(programs, given), session="10_0_0_1")
    found: dict[str, str] = {}

    async def work(engine: LocalEngine) -> None:
        await engine.start(victim)
        said = await wait_for_words(engine, victim, "ready\n")
        assert said == "ready\n"
        found.update(answers_of(programs, await room.ran(engine, attacker)))
        await engine.cancel(victim.task_id, Reason.CANCELLED_BY_USER)
        ending = await asyncio.wait_for(engine.ended(victim.task_id), 20)
        found["victim"] = f"{ending.reason} {ending.exit_code}"

    room.with_engine(work, runtime)
    return found


@tries(
    "open(neighbour + '/secret')",
    "os.listdir(neighbour)",
    "open('/workspace/../' + os.path.basename(neighbour) + '/secret')",
    "return os.path.exists('/workspace/secret')",
)
def test_a_neighbours_open_files_are_out_of_sight(answers: list[str]) -> None:
    assert answers == ["ENOENT", "ENOENT", "ENOENT", "False"]


@tries("return os.listdir('/tmp')", "return os.listdir('/dev/shm')")
def test_a_neighbours_private_memory_is_out_of_sight(answers: list[str]) -> None:
    assert answers == ["[]", "[]"]


@tries("call('shmget', key, 4096, 0o666)", "call('semget', key, 1, 0o666)", "call('msgget', key, 0o666)")
def test_a_neighbours_shared_memory_semaphores_and_queues_are_others(answers: list[str]) -> None:
    assert answers == ["ENOENT"] * 3


@tries(*(f"return open('/proc/sysvipc/{kind}').read().splitlines()[1:]" for kind in ("shm", "sem", "msg")))
def test_the_list_of_shared_objects_has_none_of_a_neighbour(answers: list[str]) -> None:
    assert set(answers) <= {"[]", "ENOENT"}


@tries("call('mq_open', name.encode(), 0, 0, None)")
def test_a_neighbours_message_queue_is_another(answers: list[str]) -> None:
    assert answers == ["ENOENT"]


@tries("connect(socket.AF_UNIX, chr(0) + name)", "return name in open('/proc/net/unix').read()")
def test_a_neighbours_abstract_socket_cannot_be_reached_or_seen(answers: list[str]) -> None:
    assert answers == ["ECONNREFUSED", "False"]


@tries("connect(socket.AF_UNIX, neighbour + '/socket')")
def test_a_neighbours_socket_in_its_workspace_cannot_be_reached(answers: list[str]) -> None:
    assert answers == ["ENOENT"]


@tries(
    "connect(socket.AF_INET, ('127.0.0.1', port))",
    "socket.create_server(('127.0.0.1', port)).close()",
    "return open('/proc/net/tcp').read().count(f':{port:04X}')",
)
def test_a_neighbours_server_cannot_be_reached_and_its_port_is_free(answers: list[str]) -> None:
    assert answers == ["ECONNREFUSED", "done", "0"]


@tries(
    "return any('victim' in open(f'/proc/{pid}/comm').read() for pid in os.listdir('/proc') if pid.isdigit())",
    "return sorted({open(f'/proc/{pid}/comm').read().strip() for pid in os.listdir('/proc') if pid.isdigit()})",
)
def test_a_neighbours_processes_are_not_in_the_list(answers: list[str]) -> None:
    assert answers == ["False", "['init', 'python3']"]


@tries(
    """
reached = set()
for pid in range(2, 70_000):
    try:
        os.kill(pid, 0)
        reached.add(pid)
    except ProcessLookupError:
        pass
    except OSError as error:
        return name_of(error)
own = {int(number) for pid in os.listdir("/proc") if pid.isdigit() for number in os.listdir(f"/proc/{pid}/task")}
return sorted(reached - own)
"""
)
def test_no_number_of_a_process_leads_to_a_neighbour(answers: list[str]) -> None:
    assert answers == ["[]"]


# Locks of open file descriptions have no owner, so the kernel lists those of the whole machine to everybody.
HIDDEN = ("cgroups", "pressure", "diskstats", "schedstat", "softirqs", "locks")


@tries(*(f"return hidden('/proc/{name}')" for name in HIDDEN))
def test_a_task_cannot_count_the_boxes_or_watch_when_they_work(answers: list[str]) -> None:
    # Without a box each of these tells: the number of cgroups alone goes up with every task of anybody.
    assert set(answers) == {"hidden"}


@tries(
    "return sorted(open('/proc/loadavg').read().split()[-1:])",
    "return max(int(name) for name in os.listdir('/proc') if name.isdigit())",
    "return open('/proc/sys/kernel/ns_last_pid').read()",
)
def test_the_numbers_of_a_tasks_processes_do_not_tell_of_others(answers: list[str]) -> None:
    # A box counts its own processes from 1; there are fewer than 200 programs in this module.
    last, highest, told = (int("".join(filter(str.isdigit, answer)) or 0) for answer in answers)
    assert 0 < highest < 200
    assert 0 < last < 200
    assert told < 200


@tries(
    "return any('victim' in line for line in open('/proc/self/mountinfo'))",
    "return sum(line.split()[4].startswith('/workspace') for line in open('/proc/self/mountinfo'))",
)
def test_no_list_of_the_kernel_has_an_entry_of_a_neighbour(answers: list[str]) -> None:
    assert answers == ["False", "1"]


@tries("call('keyctl', 8, -4)", "call('keyctl', 10, -4, b'user', b'victim', 0)", "call('keyctl', 11, 1, 0, 0)")
def test_a_neighbours_keyrings_cannot_be_asked(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 3


def test_a_neighbour_lives_through_it_and_ends_in_its_own_way(outcomes: Mapping[str, str]) -> None:
    assert outcomes["victim"] == "cancelled_by_user 8"
