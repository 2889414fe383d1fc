import threading
import time
from collections.abc import Callable

import pytest

from lan_session_manager.errors import NotFoundError, QuotaError, TooManyFilesError
from lan_session_manager.workspace import Quota, Usage, Workspace, Workspaces
from lan_session_manager.workspace import meter as meter_module
from lan_session_manager.workspace.meter import Meter, Scanner
from lan_session_manager.workspace.remove import make_directory, remove
from lan_session_manager.workspace.upload import Upload

from .conftest import NAME, UID, put

MB = 1024 * 1024
QUOTA = Quota(10 * MB, 5)


class Disk:
    """A workspace of which a test says what it holds, and when a scan of it ends."""

    def __init__(self) -> None:
        self.bytes = 0
        self.files = 0
        self.complete = True
        self.scans = 0
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.began = threading.Event()

    def measure(self) -> Usage:
        found = Usage(self.bytes, self.files, complete=self.complete)
        self.scans += 1
        self.began.set()
        assert self.goes_on.wait(10)
        return found


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def held() -> Disk:
    return Disk()


@pytest.fixture
def meter(held: Disk) -> Meter:
    return Meter(held.measure, Scanner())


def test_reading_the_usage_never_waits_and_finds_what_the_last_scan_found(held: Disk, meter: Meter) -> None:
    held.bytes = 5
    held.goes_on.clear()
    assert meter.usage == Usage()
    assert held.began.wait(10)
    assert meter.usage == Usage()
    held.goes_on.set()
    until(lambda: meter.usage == Usage(5))
    for _ in range(100):
        assert meter.usage == Usage(5)
    assert held.scans == 1


def test_a_touched_workspace_is_scanned_again_but_not_all_the_time(
    held: Disk, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter_module, "_SHORTEST_S", 0.3)
    meter.scan()
    held.bytes = 7
    began = time.monotonic()
    while meter.usage != Usage(7):
        meter.touch()
        assert time.monotonic() < began + 10
    assert time.monotonic() - began > 0.29
    assert held.scans == 2


def test_a_touch_during_a_scan_leads_to_another_one_after_the_interval(
    held: Disk, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter_module, "_SHORTEST_S", 0.3)
    held.goes_on.clear()
    meter.touch()
    assert held.began.wait(10)
    held.bytes = 9
    meter.touch()
    held.goes_on.set()
    until(lambda: meter.usage == Usage(0) and held.scans == 1)
    ended = time.monotonic()
    until(lambda: held.scans == 2)
    assert time.monotonic() - ended > 0.25
    until(lambda: meter.usage == Usage(9))


def test_a_scan_that_takes_long_is_made_seldom(held: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_module, "_SHORTEST_S", 0.0)

    def slow() -> Usage:
        time.sleep(0.05)
        return held.measure()

    meter = Meter(slow, Scanner())
    meter.scan()
    ended = time.monotonic()
    meter.touch()
    until(lambda: held.scans == 2)
    assert time.monotonic() - ended > 1.0


def test_many_workspaces_are_scanned_by_one_thread_that_ends() -> None:
    scanner = Scanner()
    others = set(threading.enumerate())

    def own() -> int:
        return sum(thread.name == "workspace-usage" for thread in set(threading.enumerate()) - others)

    disks = [Disk() for _ in range(20)]
    meters = [Meter(disk.measure, scanner) for disk in disks]
    for meter in meters:
        meter.touch()
        assert own() <= 1
    until(lambda: all(disk.scans == 1 for disk in disks))
    until(lambda: own() == 0)
    disks[0].goes_on.clear()
    fresh = Meter(disks[0].measure, scanner)
    fresh.touch()
    assert own() == 1
    disks[0].goes_on.set()
    until(lambda: disks[0].scans == 2)


def test_a_workspace_that_cannot_be_looked_at_keeps_its_usage(
    held: Disk, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.bytes = 5
    meter.scan()

    def gone() -> Usage:
        raise NotFoundError

    monkeypatch.setattr(meter, "_measure", gone)
    assert meter.scan() == Usage(5)


def test_what_is_promised_is_not_promised_again(held: Disk, meter: Meter) -> None:
    held.bytes = 4 * MB
    first = meter.reserve(3 * MB, QUOTA)
    second = meter.reserve(3 * MB, QUOTA)
    with pytest.raises(QuotaError, match="10 MB may be used"):
        meter.reserve(1, QUOTA)
    with pytest.raises(QuotaError):
        first.extend(1)
    second.release()
    first.extend(3 * MB)
    first.release()
    meter.reserve(6 * MB, QUOTA).release()


def test_what_has_arrived_counts_until_a_scan_has_surely_seen_it(held: Disk, meter: Meter) -> None:
    meter.scan()
    arrived = meter.reserve(6 * MB, QUOTA)
    held.goes_on.clear()
    held.began.clear()
    scan = threading.Thread(target=meter.scan)  # it looks before the file is there, and ends after
    scan.start()
    assert held.began.wait(10)
    arrived.settle(6 * MB)
    held.bytes = 6 * MB
    held.goes_on.set()
    scan.join()
    assert meter.usage == Usage(0)
    promised = meter.reserve(4 * MB, QUOTA)
    with pytest.raises(QuotaError):
        meter.reserve(1, QUOTA)
    promised.release()
    meter.scan()
    assert meter.usage == Usage(6 * MB)
    meter.reserve(4 * MB, QUOTA).release()


def test_files_that_are_promised_or_have_arrived_count(held: Disk, meter: Meter) -> None:
    held.files = 3
    first, second = meter.reserve(0, QUOTA), meter.reserve(0, QUOTA)
    with pytest.raises(TooManyFilesError, match="5 files"):
        meter.reserve(0, QUOTA)
    first.release()
    second.settle(0)
    meter.reserve(0, QUOTA).release()
    held.files = 5
    meter.scan()
    with pytest.raises(TooManyFilesError):
        meter.reserve(0, QUOTA)


def test_a_hurried_scan_does_not_wait_for_the_interval(held: Disk, meter: Meter) -> None:
    meter.scan()
    held.bytes = 7
    meter.touch()
    began = time.monotonic()
    meter.hurry()
    meter.hurry()
    until(lambda: meter.usage == Usage(7))
    assert time.monotonic() - began < meter_module._SHORTEST_S
    assert held.scans == 2


def test_a_scan_that_takes_long_is_not_made_all_the_time_however_it_is_hurried(held: Disk) -> None:
    def slow() -> Usage:
        time.sleep(0.05)
        return held.measure()

    meter = Meter(slow, Scanner())
    meter.scan()
    began = time.monotonic()
    while held.scans < 3:
        meter.hurry()
        time.sleep(0.005)
    assert time.monotonic() - began > 2 * 5 * 0.05


def test_a_recent_usage_has_what_had_changed(held: Disk, meter: Meter) -> None:
    assert meter.recent() == Usage()
    held.bytes = 7
    assert meter.recent() == Usage()  # nobody said that anything changed
    meter.touch()
    assert meter.recent() == Usage(7)
    assert held.scans == 2


def test_space_that_was_just_freed_is_found_before_an_upload_is_refused(held: Disk, meter: Meter) -> None:
    held.bytes = 10 * MB
    meter.scan()
    held.bytes = 0
    with pytest.raises(QuotaError):
        meter.reserve(1, QUOTA)  # nobody said that anything changed
    meter.touch()
    meter.reserve(10 * MB, QUOTA).release()


def test_a_workspace_with_more_in_it_than_a_scan_looks_at_is_full(held: Disk, meter: Meter) -> None:
    held.complete = False
    with pytest.raises(QuotaError):
        meter.reserve(0, QUOTA)


def test_all_who_speak_of_one_workspace_share_its_usage(workspaces: Workspaces, workspace: Workspace) -> None:
    put(workspace.data_dir / NAME / "inputs/a", b"x" * 8192)
    workspace.meter.scan()
    assert workspaces.workspace(NAME, UID).usage().inputs_bytes == 8192
    assert workspaces.workspace("192_168_1_7", UID).meter is not workspace.meter


def test_a_change_through_this_room_is_noticed_without_being_told(
    workspaces: Workspaces, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []
    monkeypatch.setattr(Meter, "touch", lambda _: touched.append("touched"))
    with Upload(workspace, ("inputs", "a"), limit_bytes=MB, quota=QUOTA, reserve_bytes=0) as arriving:
        arriving.write(b"x")
        arriving.commit()
    make_directory(workspace, ("inputs", "d"), QUOTA)
    remove(workspace, ("inputs", "a"))
    assert len(touched) == 3
