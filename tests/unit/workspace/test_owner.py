import ast
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lan_session_manager.workspace.opener import beneath, closing
from lan_session_manager.workspace.owner import Owner, acting_as

from .conftest import UID, put

ROOM = Path(__file__).parents[3] / "lan_session_manager"
OWNER = Owner(UID, UID, range(UID, UID + 1))
SHADOW = "/etc/shadow"


def identity() -> dict[str, list[str]]:
    """Who this thread is to the kernel: the four ids of user and group, its groups and its capabilities."""
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    return {name: facts[name].split() for name in ("Uid", "Gid", "Groups", "CapEff", "CapPrm")}


@pytest.fixture(autouse=True)
def _the_thread_is_itself_again() -> Iterator[None]:
    os.setgroups([])
    before = identity()
    yield
    assert identity() == before


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A directory of root's that nobody else may look into, with a file."""
    directory = tmp_path / "locked"
    directory.mkdir(mode=0o700)
    (directory / "file").write_bytes(b"secret")
    return directory


def test_the_thread_has_the_sessions_ids_no_groups_and_no_capability() -> None:
    with acting_as(OWNER):
        now = identity()
    assert now["Uid"] == ["0", "0", "0", str(UID)]
    assert now["Gid"] == ["0", "0", "0", str(UID)]
    assert now["Groups"] == []
    assert int(now["CapEff"][0], 16) == 0


def test_groups_of_the_server_do_not_count(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    shared = put(tmp_path / "of-the-group", b"secret", 0)
    shared.chmod(0o640)
    os.chown(shared, 0, 7)
    with closing(os.open(tmp_path, os.O_PATH)) as directory:
        os.setgroups([0, 7])
        try:
            with acting_as(OWNER), pytest.raises(PermissionError):
                os.open("of-the-group", os.O_RDONLY, dir_fd=directory)
        finally:
            os.setgroups([])


def test_a_file_of_root_is_not_opened_by_whatever_way() -> None:
    with closing(os.open("/", os.O_PATH)) as root:
        ways: list[Callable[[], int]] = [
            lambda: os.open(SHADOW, os.O_RDONLY),
            lambda: os.open("etc/shadow", os.O_RDONLY, dir_fd=root),
            lambda: os.open(SHADOW, os.O_WRONLY | os.O_CREAT),
            lambda: beneath(root, b"etc/shadow", os.O_RDONLY),
            lambda: os.open("/proc/1/environ", os.O_RDONLY),
        ]
        for open_it in ways:
            with acting_as(OWNER), pytest.raises(PermissionError):
                open_it()


def test_nothing_of_root_is_changed(locked: Path) -> None:
    with closing(os.open(locked, os.O_RDONLY)) as fd:
        changes: list[Callable[[], None]] = [
            lambda: os.unlink("file", dir_fd=fd),
            lambda: os.rename("file", "other", src_dir_fd=fd, dst_dir_fd=fd),
            lambda: os.fchmod(fd, 0o777),
            lambda: os.fchown(fd, UID, UID),
            lambda: os.mkdir("new", dir_fd=fd),
            lambda: os.link("file", "hard", src_dir_fd=fd, dst_dir_fd=fd),
            lambda: os.mknod("device", 0o600 | 0o020000, os.makedev(1, 3), dir_fd=fd),
        ]
        for change in changes:
            with acting_as(OWNER), pytest.raises(PermissionError):
                change()
        assert os.listdir(fd) == ["file"]


def test_what_is_made_is_the_sessions(tmp_path: Path) -> None:
    os.chown(tmp_path, UID, UID)
    with closing(os.open(tmp_path, os.O_RDONLY)) as fd, acting_as(OWNER):
        os.mkdir("directory", dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    for name in ("directory", "file"):
        info = (tmp_path / name).stat()
        assert (info.st_uid, info.st_gid) == (UID, UID)


def test_searching_sees_what_is_locked_and_writes_nothing(locked: Path) -> None:
    with closing(os.open(locked, os.O_RDONLY)) as fd, acting_as(OWNER, searching=True):
        assert os.listdir(fd) == ["file"]
        assert os.stat("file", dir_fd=fd).st_size == 6
        with pytest.raises(PermissionError):
            os.open("file", os.O_WRONLY, dir_fd=fd)
        with pytest.raises(PermissionError):
            os.unlink("file", dir_fd=fd)
        with pytest.raises(PermissionError):
            os.fchmod(fd, 0o777)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_after_an_error_the_thread_is_itself_again(error: type[BaseException]) -> None:
    with pytest.raises(error), acting_as(OWNER):
        raise error
    with open(SHADOW, "rb"):
        pass


def test_root_is_nobody_to_act_as() -> None:
    for owner in (Owner(0, UID, range(1)), Owner(UID, 0, range(1))):
        with pytest.raises(PermissionError), acting_as(owner):
            pytest.fail("it acts as root")


def test_ids_that_the_kernel_does_not_give_are_not_acted_with() -> None:
    nobody = 2**32 - 1
    for owner in (Owner(nobody, UID, range(1)), Owner(UID, nobody, range(1))):
        with pytest.raises(PermissionError), acting_as(owner):
            pytest.fail("it acts as whom it is not")


def test_a_thread_that_acts_already_does_not_become_somebody_else() -> None:
    other = Owner(UID + 1, UID + 1, range(UID + 1, UID + 2))
    with acting_as(OWNER):
        for owner in (other, OWNER):
            with pytest.raises(RuntimeError, match="already"), acting_as(owner):
                pytest.fail("it is nested")
        assert identity()["Uid"][3] == str(UID)
        assert identity()["Gid"][3] == str(UID)


def test_a_server_that_is_not_root_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity()
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with acting_as(OWNER):
        assert identity() == before


def test_threads_never_have_each_others_identity(tmp_path: Path) -> None:
    """Eight owners, and one thread that stays root, all of which look at whom the kernel takes them for."""
    wrong: list[object] = []
    stop = threading.Event()
    rounds = [0] * 8
    tmp_path.chmod(0o711)
    files = [put(tmp_path / str(number), b"", UID + number) for number in range(8)]
    for file in files:
        file.chmod(0o600)
    directory = os.open(tmp_path, os.O_PATH)

    def work(number: int) -> None:
        owner = Owner(UID + number, UID + number, range(1))
        while not stop.is_set():
            rounds[number] += 1
            with suppress(ValueError), acting_as(owner, searching=rounds[number] % 3 == 0):
                if identity()["Uid"][3] != str(owner.uid):
                    wrong.append((number, identity()))
                os.close(os.open(str(number), os.O_RDWR, dir_fd=directory))
                try:
                    os.close(os.open(str((number + 1) % 8), os.O_RDWR, dir_fd=directory))
                    wrong.append((number, "opened another's file"))
                except PermissionError:
                    pass
                if rounds[number] % 2:
                    raise ValueError
            if identity()["Uid"] != ["0"] * 4:
                wrong.append((number, "is not root again"))

    def guard(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - reported below
            wrong.append(error)

    threads = [threading.Thread(target=guard, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    while not stop.is_set():
        if identity()["Uid"] != ["0"] * 4:
            wrong.append("the main thread is not root")
            stop.set()
    for thread in (*threads, timer):
        thread.join()
    os.close(directory)
    assert wrong == []
    assert min(rounds) > 5


# What hands the thread to somebody else, may start one, or acts by itself.
STOPS = (ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith)
NOT_ACTING = {
    "touch",
    "settle",
    "release",
    "reserve",
    "extend",
    "staged",
    "discard",
    "scan",
    "Thread",
    "submit",
    "Popen",
}


def _held_over(tree: ast.AST) -> list[int]:
    """The lines that must not be within a `with` that acts as somebody; a context manager may hand out its body."""
    found = []
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        stops = () if any("contextmanager" in ast.unparse(by) for by in function.decorator_list) else STOPS
        for block in ast.walk(function):
            if isinstance(block, ast.With | ast.AsyncWith) and any(
                name in ast.unparse(item.context_expr) for item in block.items for name in ("acting_as(", ".opened()")
            ):
                body = [node for line in block.body for node in ast.walk(line)]
                found += [node.lineno for node in body if isinstance(node, stops)]
                calls = [node for node in body if isinstance(node, ast.Call)]
                found += [call.lineno for call in calls if ast.unparse(call.func).split(".")[-1] in NOT_ACTING]
    return found


def test_nobody_acts_as_a_session_over_a_yield_or_an_await_or_starts_a_thread_meanwhile() -> None:
    held = {str(path): _held_over(ast.parse(path.read_text())) for path in ROOM.rglob("*.py")}
    assert {path: lines for path, lines in held.items() if lines} == {}


def test_what_is_not_done_while_acting_is_found() -> None:
    for line in ("yield 1", "for x in y:\n   yield from x", "await z()", "self.workspace.touch()", "Thread(x).start()"):
        for entering in ("a, w.opened() as root", "acting_as(o)"):
            assert _held_over(ast.parse(f"async def f():\n with {entering}:\n  {line}"))
            assert not _held_over(ast.parse(f"async def f():\n with {entering}:\n  pass\n {line}"))


def test_an_identity_that_was_carried_to_another_turn_is_noticed() -> None:
    @contextmanager
    def carried() -> Iterator[None]:
        with acting_as(OWNER):
            yield

    held = carried()
    held.__enter__()
    try:
        with pytest.raises(RuntimeError, match="already"), acting_as(OWNER):
            pytest.fail("nobody noticed")
    finally:
        held.__exit__(None, None, None)
