"""Every box has the host's read-only files through overlays of its own, and nothing of them is left on the host."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lan_session_manager.sandbox import host
from lan_session_manager.sandbox.layers import Layers
from lan_session_manager.sandbox.rootfs import System, make_system
from tests.attacks.tries import IS_ROOT_OF_THE_HOST
from tests.integration.sandbox.room import Room

pytestmark = pytest.mark.root

BIND = 4096


@pytest.fixture
def inside() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Runs something in a thread that has mounts of its own."""
    with ThreadPoolExecutor(1, initializer=host.enter_private_mounts) as pool:
        yield lambda work: pool.submit(work).result()


class Place:
    """A skeleton, a workspace, shared resources, and room for the overlays."""

    def __init__(self, path: Path) -> None:
        self.layers, self.workspace, self.shared = path / "layers", path / "own", path / "shared"
        for directory in (self.layers, self.workspace, self.shared):
            directory.mkdir(parents=True)
        (self.shared / "file").write_text("owner's")
        self.system = make_system(path / "rootfs")

    def made(self) -> Layers:
        return Layers(self.layers, self.system, host.read_mounts())

    def sources(self, system: System) -> tuple[Path, Path]:
        return Path(system.source(Path("/usr"))), Path(system.source(self.shared))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_files_are_the_hosts_and_the_inodes_are_not(
    place: Place, inside: Callable[[Callable[[], None]], None]
) -> None:
    def work() -> None:
        with place.made().over(place.workspace, place.shared) as system:
            usr, shared = place.sources(system)
            for own, hosts in ((shared, place.shared), (usr, Path("/usr")), (system.root, place.system.root)):
                assert not os.path.samestat(os.stat(own), os.stat(hosts))
                assert sorted(os.listdir(own)) == sorted(os.listdir(hosts))
            assert (shared / "file").read_text() == "owner's"
            with pytest.raises(OSError, match="Read-only"):
                (shared / "new").write_text("")
            assert Path(system.source(system.init)).is_relative_to(usr)
            assert os.path.samestat(os.stat("/dev/null"), null) is not IS_ROOT_OF_THE_HOST  # who alone can make devices

    null = os.stat("/dev/null")
    inside(work)
    assert os.path.samestat(os.stat("/dev/null"), null)


def test_nothing_is_left_of_it_also_after_an_error(place: Place, inside: Callable[[Callable[[], None]], None]) -> None:
    def work() -> None:
        before = host.read_mounts()
        with pytest.raises(ZeroDivisionError), place.made().over(place.workspace, place.shared):
            raise ZeroDivisionError
        assert host.read_mounts() == before

    before = host.read_mounts()
    inside(work)
    assert host.read_mounts() == before
    assert os.listdir(place.layers) == []


def test_what_is_mounted_below_usr_is_there_whatever_its_name(
    place: Place, inside: Callable[[Callable[[], None]], None], tmp_path: Path
) -> None:
    def work() -> None:
        host.mount("tmpfs", Path("/usr/games"), "tmpfs")
        for name in ("plain", "odd:name,here\\"):
            (Path("/usr/games") / name).mkdir()
            host.mount("tmpfs", Path("/usr/games") / name, "tmpfs")
            (Path("/usr/games") / name / "file").write_text(name)
        (Path("/usr/games") / "library").touch()
        (tmp_path / "library").write_text("of a driver")
        host.mount(str(tmp_path / "library"), Path("/usr/games/library"), flags=BIND)
        with place.made().over(place.workspace, place.shared) as system:
            usr, _ = place.sources(system)
            for name in ("plain", "odd:name,here\\"):
                assert (usr / "games" / name / "file").read_text() == name
                with pytest.raises(OSError, match="Read-only"):
                    (usr / "games" / name / "new").write_text("")
            assert (usr / "games/library").read_text() == "of a driver"
            with pytest.raises(OSError, match="Read-only"):
                (usr / "games/library").write_text("")

    inside(work)


def test_a_workspace_is_mounted_as_its_owner_has_it_and_without_setuid_and_devices(
    place: Place, inside: Callable[[Callable[[], None]], None]
) -> None:
    def work() -> None:
        for flags in (0, os.ST_NOEXEC, os.ST_RDONLY):
            host.mount("tmpfs", place.workspace, "tmpfs", flags)
            with place.made().over(place.workspace, place.shared) as system:
                found = os.statvfs(system.source(place.workspace)).f_flag
            assert found & (os.ST_NOEXEC | os.ST_RDONLY) == flags
            assert found & os.ST_NOSUID
            assert found & os.ST_NODEV
            host.detach(place.workspace)

    inside(work)


def test_a_place_that_no_overlay_can_be_made_of_is_the_hosts_own(
    place: Place, inside: Callable[[Callable[[], None]], None], tmp_path: Path
) -> None:
    def work() -> None:
        # The kernel stacks two overlays, and no third one.
        below = place.shared
        for name in ("first", "second"):
            (tmp_path / name / "empty").mkdir(parents=True)
            (tmp_path / name / "made").mkdir()
            layers = f"lowerdir={below}:{tmp_path / name / 'empty'}"
            host.mount("overlay", tmp_path / name / "made", "overlay", options=layers)
            below = tmp_path / name / "made"
        with place.made().over(place.workspace, below) as system:
            assert system.source(below) == str(below)
            assert place.sources(system)[0] != Path("/usr")

    inside(work)


def test_a_data_directory_may_have_any_name(tmp_path: Path) -> None:
    room = Room(tmp_path / "a:b,c\\d e=f")
    try:
        (room.data_dir / "shared" / "file").write_text("owner's")
        ran = room.sh("cat /shared/file; echo own > made; cat made")
        assert (ran.out, ran.code) == ("owner's" + "own\n", 0)
    finally:
        room.remove()


def test_a_thread_without_mounts_of_its_own_makes_no_box(place: Place) -> None:
    with pytest.raises(OSError, match="private mounts"), place.made().over(place.workspace, place.shared):
        pass
