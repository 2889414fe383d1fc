"""A task that wants more than its share is held at its limit, and meanwhile a neighbour's task starts and ends.

Every bomb stops by itself. The limits are small: what is proven is that they hold, not how much this machine can bear.
"""

import asyncio

import pytest

from lan_session_manager.engine.base import Ending
from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.states import Reason
from tests.attacks.tries import HELPERS, wait_for_words
from tests.integration.sandbox.room import MB, Ran, Room

pytestmark = pytest.mark.root

MEMORY, PIDS = 64 * MB, 40
LIMITS = {"memory_bytes": MEMORY, "pids": PIDS, "time_s": 20}
HELD = "\nprint('held', flush=True)\ntime.sleep(20)\n"


def _explode(room: Room, runtime: str, bomb: str, **limits: int) -> Ran:
    """Run a bomb until it is held or has ended, and a neighbour's task then; what the bomb printed before `held`."""
    job = room.job(
        "/usr/bin/python3", "-c", HELPERS + bomb + HELD, session="10_0_0_1", limits=LIMITS | limits, pids=2 * PIDS
    )
    neighbour = room.job("/bin/bash", "-c", "echo starts | cat", session="10_0_0_2")
    came: list[Ran] = []

    async def work(engine: LocalEngine) -> None:
        await engine.start(job)
        await wait_for_words(engine, job, "held\n")
        ran = await asyncio.wait_for(room.ran(engine, neighbour), 20)
        assert (ran.out, ran.code) == ("starts\n", 0), ran
        await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
        came.append(room.printed(engine, job, await asyncio.wait_for(engine.ended(job.task_id), 20)))

    room.with_engine(work, runtime)
    assert came[0].ending.usage.memory_peak_bytes <= MEMORY
    return came[0]


def _words(ran: Ran) -> list[str]:
    """What a bomb that was held had printed."""
    assert ran.ending.reason is Reason.CANCELLED_BY_USER, ran
    *words, held = ran.out.split()
    assert held == "held"
    return words


def _is_out_of_memory(ending: Ending) -> bool:
    return ending.reason is Reason.OUT_OF_MEMORY and ending.exit_code == 137


def test_a_fork_bomb_is_held(room: Room, runtime: str) -> None:
    bomb = """
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        count += 1
except OSError as error:
    print(count, name_of(error))
"""
    count, error = _words(_explode(room, runtime, bomb))
    assert (PIDS - 10 < int(count) < PIDS, error) == (True, "EAGAIN")


def test_a_bomb_of_threads_is_held(room: Room, runtime: str) -> None:
    bomb = """
threading.stack_size(65536)
count = 0
try:
    while count < 500:
        threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
        count += 1
except RuntimeError as error:
    print(count, str(error).replace(" ", "_"))
"""
    count, error = _words(_explode(room, runtime, bomb))
    assert (PIDS - 10 < int(count) < PIDS, error) == (True, "can't_start_new_thread")


def test_a_bomb_of_zombies_is_held(room: Room, runtime: str) -> None:
    bomb = """
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            os._exit(0)
        count += 1
except OSError as error:
    print(count, name_of(error))
"""
    count, error = _words(_explode(room, runtime, bomb))
    assert (PIDS - 10 < int(count) < PIDS, error) == (True, "EAGAIN")


def test_orphans_that_nobody_waits_for_are_buried(room: Room, runtime: str) -> None:
    bomb = """
for _ in range(4 * 40):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
end = time.monotonic() + 10
while time.monotonic() < end and len([name for name in os.listdir("/proc") if name.isdigit()]) > 2:
    time.sleep(0.02)
print(len([name for name in os.listdir("/proc") if name.isdigit()]))
"""
    assert _words(_explode(room, runtime, bomb)) == ["2"]


def test_a_bomb_of_memory_ends_its_own_task(room: Room, runtime: str) -> None:
    assert _is_out_of_memory(_explode(room, runtime, "kept = b'x' * (200 << 20)").ending)


def test_a_bomb_of_many_processes_memory_ends_in_its_own_box(room: Room, runtime: str) -> None:
    bomb = """
for _ in range(8):
    if os.fork() == 0:
        kept = b"x" * (20 << 20)
        time.sleep(20)
kept = b"x" * (20 << 20)
"""
    ending = _explode(room, runtime, bomb).ending
    assert _is_out_of_memory(ending) or ending.child_out_of_memory


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_a_bomb_of_files_in_memory_is_held(room: Room, runtime: str, place: str) -> None:
    bomb = f"""
file, count = open("{place}/bomb", "wb", buffering=0), 0
try:
    while count < 200:
        count += file.write(bytes(1 << 20)) >> 20
except OSError as error:
    print(os.stat("{place}/bomb").st_size, name_of(error))
"""
    assert _words(_explode(room, runtime, bomb)) == [str(MEMORY // 2), "ENOSPC"]


def test_a_bomb_of_files_in_all_the_memory_that_there_is_ends_its_own_task(room: Room, runtime: str) -> None:
    bomb = """
for place in ("/tmp", "/dev/shm"):
    with open(place + "/bomb", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            pass
kept = b"x" * (8 << 20)
"""
    assert _is_out_of_memory(_explode(room, runtime, bomb).ending)


def test_a_bomb_of_anonymous_files_ends_its_own_task(room: Room, runtime: str) -> None:
    bomb = """
file = os.memfd_create("bomb")
for _ in range(200):
    os.write(file, bytes(1 << 20))
"""
    assert _is_out_of_memory(_explode(room, runtime, bomb, file_bytes=1024 * MB).ending)


def test_a_bomb_of_empty_files_in_memory_is_held(room: Room, runtime: str) -> None:
    bomb = """
count = 0
try:
    while count < 300_000:
        os.close(os.open(f"/dev/shm/{count}", os.O_CREAT | os.O_WRONLY))
        count += 1
    print("all")
except OSError as error:
    print(name_of(error))
"""
    ran = _explode(room, runtime, bomb)
    assert _is_out_of_memory(ran.ending) or _words(ran) == ["ENOSPC"]


def test_a_bomb_of_shared_memory_ends_its_own_task(room: Room, runtime: str) -> None:
    bomb = """
libc.shmat.restype = ctypes.c_void_p
for key in range(1, 21):
    place = libc.shmat(call("shmget", key, 10 << 20, 0o1600), None, 0)
    ctypes.memset(ctypes.c_void_p(place), 1, 10 << 20)
"""
    assert _is_out_of_memory(_explode(room, runtime, bomb).ending)


def test_a_bomb_of_messages_is_held(room: Room, runtime: str) -> None:
    bomb = """
message = struct.pack("l", 1) + bytes(8192)
try:
    for key in range(1, 15_000):
        queue = call("msgget", key, 0o1600)
        call("msgsnd", queue, message, 8192, 0o4000)
    print("all")
except OSError as error:
    print(name_of(error))
"""
    ran = _explode(room, runtime, bomb)
    assert _is_out_of_memory(ran.ending) or _words(ran) in (["ENOMEM"], ["ENOSPC"])


def test_a_bomb_of_pipes_is_held(room: Room, runtime: str) -> None:
    bomb = """
pipes = []
try:
    for _ in range(400):
        ends = os.pipe2(os.O_NONBLOCK)
        pipes.append(ends)
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 1 << 20)
        os.write(ends[1], bytes(1 << 20))
    print("all")
except OSError as error:
    print(name_of(error))
"""
    ran = _explode(room, runtime, bomb)
    # At the bound of one user's pipes, or of the box's memory, whichever is reached first.
    assert _is_out_of_memory(ran.ending) or _words(ran) == ["EPERM"]


def test_a_bomb_of_messages_between_its_own_sockets_is_held(room: Room, runtime: str) -> None:
    bomb = """
pairs = []
for _ in range(450):
    pair = socket.socketpair()
    pairs.append(pair)
    for one in pair:
        one.setblocking(False)
        try:
            while True:
                one.send(bytes(65536))
        except BlockingIOError:
            pass
print("all")
"""
    assert _is_out_of_memory(_explode(room, runtime, bomb).ending)


def test_what_a_task_only_reads_is_no_bomb(room: Room, runtime: str) -> None:
    bomb = """
with open("sparse", "wb") as file:
    file.truncate(200 << 20)
with open("sparse", "rb", buffering=0) as file:
    count = 0
    while chunk := file.read(1 << 20):
        count += len(chunk)
os.unlink("sparse")
print(count >> 20)
"""
    assert _words(_explode(room, runtime, bomb, file_bytes=256 * MB)) == ["200"]


def test_a_file_cannot_be_larger_than_its_limit_and_neither_can_a_sparse_one(room: Room, runtime: str) -> None:
    bomb = """
for attack in (
    lambda file: file.truncate(10 << 20), lambda file: os.pwrite(file.fileno(), b"x", 10 << 20),
    lambda file: os.posix_fallocate(file.fileno(), 0, 10 << 20), lambda file: file.write(bytes(10 << 20)),
):
    with open("large", "wb", buffering=0) as file:
        try:
            print("wrote", attack(file))
        except OSError as error:
            print(name_of(error))
print(os.stat("large").st_size)
"""
    words = _words(_explode(room, runtime, bomb, file_bytes=MB))
    assert words == ["EFBIG", "EFBIG", "EFBIG", "wrote", str(MB), str(MB)]


def test_a_bomb_of_descriptors_is_held(room: Room, runtime: str) -> None:
    bomb = """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
count = 0
try:
    while count < 200_000:
        os.dup(0) if count % 2 else libc.eventfd(0, 0) >= 0 or checked(-1)
        count += 1
except OSError as error:
    print(hard <= 65536 and count <= hard, name_of(error))
"""
    ran = _explode(room, runtime, bomb)
    assert _is_out_of_memory(ran.ending) or _words(ran) == ["True", "EMFILE"]


def test_a_bomb_of_waits_for_events_is_held(room: Room, runtime: str) -> None:
    bomb = """
import select
events = [libc.eventfd(0, 0) for _ in range(500)]
polls = []
try:
    while len(polls) < 400:
        polls.append(select.epoll())
        for event in events:
            polls[-1].register(event, select.EPOLLIN)
    print("all")
except OSError as error:
    print(name_of(error))
"""
    ran = _explode(room, runtime, bomb)
    assert _is_out_of_memory(ran.ending) or _words(ran) in (["all"], ["ENOSPC"], ["ENOMEM"])


def test_a_flood_of_output_fills_no_disk_and_its_end_is_known(room: Room, runtime: str) -> None:
    bomb = """
for _ in range(4000):
    os.write(1, b"x" * 4000)
    os.write(2, b"y" * 10)
    os.write(1, b"")
os._exit(5)
"""
    ran = _explode(room, runtime, bomb, log_bytes=64 * 1024)
    assert (ran.ending.reason, ran.code) == (Reason.EXIT, 5)
    boxes = (room.data_dir / ".lan_session_manager" / "boxes").rglob("log*")
    # A file may have more than one name; the flood was two hundred times as much.
    sizes = {path.stat().st_ino: path.stat().st_size for path in boxes}
    assert 16 * 1024 < sum(sizes.values()) <= 64 * 1024
