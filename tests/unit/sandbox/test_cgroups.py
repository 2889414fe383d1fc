"""Limits are written as the kernel's documents say, in both versions, here to a directory that plays the kernel."""

from pathlib import Path

import pytest

from lan_session_manager.samples import Counts
from lan_session_manager.sandbox.box import BoxLimits, GroupLimits, SandboxError
from lan_session_manager.sandbox.cgroups import CgroupsV1, CgroupsV2, NoCgroups, Reading, find_cgroups
from lan_session_manager.sandbox.host import Mount

LIMITS = GroupLimits(memory_bytes=1 << 28, pids=100, cpu_cores=1.5)
BOX = BoxLimits(memory_bytes=1 << 26, pids=50, file_bytes=1, log_bytes=1)
LEVELS = ("", "lan-session-manager", "lan-session-manager/i", "lan-session-manager/i/s1", "lan-session-manager/i/s1/b")


def _fill(directory: Path, files: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)


@pytest.fixture
def v1(tmp_path: Path) -> CgroupsV1:
    files = {
        "memory": {
            "memory.limit_in_bytes": "9223372036854771712\n",
            "memory.memsw.limit_in_bytes": "9223372036854771712\n",
            "memory.max_usage_in_bytes": "1234567\n",
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        },
        "cpu": {
            "cpu.cfs_quota_us": "-1\n",
            "cpu.cfs_period_us": "100000\n",
            "cpu.stat": "nr_periods 9\nnr_throttled 3\n",
        },
        "cpuacct": {"cpuacct.usage": "1500000000\n"},
        "pids": {"pids.max": "max\n"},
        "freezer": {},
    }
    for controller, content in files.items():
        for level in LEVELS:
            _fill(tmp_path / controller / level, content)
    return CgroupsV1("i", {name: tmp_path / name for name in files})


@pytest.fixture
def v2(tmp_path: Path) -> CgroupsV2:
    for level in LEVELS:
        _fill(
            tmp_path / level,
            {
                "cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
                "cgroup.subtree_control": "\n",
                "memory.max": "max\n",
                "memory.swap.max": "max\n",
                "memory.current": "1000\n",
                "memory.peak": "1234567\n",
                "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n",
                "pids.max": "max\n",
                "cpu.max": "max 100000\n",
                "cpu.stat": "usage_usec 1500000\nuser_usec 1\nsystem_usec 2\nnr_periods 9\nnr_throttled 3\n",
            },
        )
    return CgroupsV2("i", tmp_path)


def _read(*parts: Path | str) -> str:
    return Path(*parts).read_text().strip()


def test_v1_limits_memory_with_swap_processes_and_processor_of_a_group(v1: CgroupsV1, tmp_path: Path) -> None:
    v1.prepare()
    v1.ensure_group("s1", LIMITS)
    group = "lan-session-manager/i/s1"
    assert _read(tmp_path, "memory", group, "memory.limit_in_bytes") == str(1 << 28)
    assert _read(tmp_path, "memory", group, "memory.memsw.limit_in_bytes") == str(1 << 28)
    assert _read(tmp_path, "pids", group, "pids.max") == "100"
    assert _read(tmp_path, "cpu", group, "cpu.cfs_quota_us") == "150000"


def test_v2_limits_memory_with_swap_processes_and_processor_of_a_group(v2: CgroupsV2, tmp_path: Path) -> None:
    v2.prepare()
    v2.ensure_group("s1", LIMITS)
    group = tmp_path / "lan-session-manager/i/s1"
    assert _read(group, "memory.max") == str(1 << 28)
    assert _read(group, "memory.swap.max") == "0"
    assert _read(group, "pids.max") == "100"
    assert _read(group, "cpu.max") == "150000 100000"


def test_v2_switches_the_controllers_on_at_every_level_above_a_box(v2: CgroupsV2, tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").write_text("memory pids\n")
    v2.prepare()
    v2.ensure_group("s1", LIMITS)
    asked = [_read(tmp_path, level, "cgroup.subtree_control") for level in LEVELS]
    assert asked == ["+cpu", *["+cpu +memory +pids"] * 3, ""]


def test_v2_leaves_a_limit_that_would_end_what_runs(v2: CgroupsV2, tmp_path: Path) -> None:
    v2.prepare()
    group = tmp_path / "lan-session-manager/i/s1"
    (group / "memory.current").write_text(f"{3 << 28}\n")
    (group / "memory.stat").write_text(f"anon {1 << 29}\nactive_file {1 << 27}\ninactive_file {1 << 26}\n")
    v2.ensure_group("s1", LIMITS)
    assert _read(group, "memory.max") == "max"
    assert _read(group, "pids.max") == "100"
    (group / "memory.stat").write_text(f"anon 1\nactive_file {1 << 29}\ninactive_file 0\n")
    v2.ensure_group("s1", LIMITS)
    assert _read(group, "memory.max") == str(1 << 28)


def test_v2_keeps_the_monitors_of_a_group_outside_of_it_with_a_quota_like_its_own(
    v2: CgroupsV2, tmp_path: Path
) -> None:
    v2.prepare()
    v2.ensure_group("s1", LIMITS)
    monitors = tmp_path / "lan-session-manager/i/monitors"
    _fill(monitors, {"cgroup.procs": "", "cgroup.subtree_control": ""})
    _fill(monitors / "s1", {"cgroup.procs": "", "cpu.max": "max 100000\n"})
    v2.place_monitor("s1", 4321)
    assert _read(monitors, "cgroup.subtree_control") == "+cpu"
    assert _read(monitors, "cgroup.procs") == ""
    assert _read(monitors / "s1", "cgroup.procs") == "4321"
    assert _read(monitors / "s1", "cpu.max") == "150000 100000"
    assert v2.groups() == {"s1"}


def test_v1_counts_the_processor_of_monitors_to_their_group_and_not_their_memory(v1: CgroupsV1, tmp_path: Path) -> None:
    for controller in ("cpu", "cpuacct", "memory"):
        _fill(tmp_path / controller / "lan-session-manager/i/s1/monitors", {"cgroup.procs": ""})
    v1.place_monitor("s1", 4321)
    placed = [
        _read(tmp_path, controller, "lan-session-manager/i/s1/monitors/cgroup.procs")
        for controller in ("cpu", "cpuacct", "memory")
    ]
    assert placed == ["4321", "4321", ""]


def test_v2_refuses_a_host_that_does_not_hand_on_a_controller(v2: CgroupsV2, tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory pids\n")
    with pytest.raises(SandboxError, match="controller cpu"):
        v2.prepare()


def test_v1_refuses_a_host_without_a_controller(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="controller pids"):
        CgroupsV1("i", dict.fromkeys(("memory", "cpu", "cpuacct"), tmp_path))


def test_a_smaller_quota_than_the_kernel_takes_is_rounded_up(v1: CgroupsV1, tmp_path: Path) -> None:
    v1.ensure_group("s1", GroupLimits(1 << 28, 100, 0.0001))
    assert _read(tmp_path, "cpu/lan-session-manager/i/s1/cpu.cfs_quota_us") == "1000"


def test_what_a_box_used_is_read_alike_in_both_versions(v1: CgroupsV1, tmp_path: Path) -> None:
    expected = Reading(cpu_s=1.5, memory_peak_bytes=1234567, oom_kills=2)
    assert v1.read("s1", "b") == expected
    assert v1.throttled("s1") == 3
    assert v1.read("s1", "gone") == Reading()


def test_v2_reads_what_a_box_used_and_does_without_a_peak_on_older_kernels(v2: CgroupsV2, tmp_path: Path) -> None:
    assert v2.read("s1", "b") == Reading(cpu_s=1.5, memory_peak_bytes=1234567, oom_kills=2)
    (tmp_path / LEVELS[-1] / "memory.peak").unlink()
    assert v2.read("s1", "b").memory_peak_bytes == 1000
    assert v2.throttled("s1") == 3
    assert v2.read("s1", "gone") == Reading()


def test_a_box_that_met_its_own_limit_of_processes_is_told_from_one_that_met_its_groups(
    v1: CgroupsV1, v2: CgroupsV2, tmp_path: Path
) -> None:
    for cgroups, directory in ((v1, tmp_path / "pids" / LEVELS[-1]), (v2, tmp_path / LEVELS[-1])):
        _fill(directory, {"pids.max": "50\n", "pids.events": "max 0\n", "cgroup.procs": "41\n42\n"})
        for refused, peak, expected in ((0, 50, (0, 0)), (7, 50, (7, 50)), (7, 49, (7, 0)), (7, None, (7, 50))):
            (directory / "pids.events").write_text(f"max {refused}\n")
            (directory / "pids.peak").unlink(missing_ok=True)
            if peak is not None:
                (directory / "pids.peak").write_text(f"{peak}\n")
            reading = cgroups.read("s1", "b")
            assert (reading.forks_refused, reading.pids_limit) == expected
        assert cgroups.processes("s1", "b") == [41, 42]
        assert cgroups.processes("s1", "gone") == []


def test_swap_is_limited_only_where_the_kernel_counts_it(v1: CgroupsV1, v2: CgroupsV2, tmp_path: Path) -> None:
    for cgroups, name in (
        (v1, "memory/lan-session-manager/i/memory.memsw.limit_in_bytes"),
        (v2, "lan-session-manager/i/memory.swap.max"),
    ):
        assert cgroups.limits_swap
        assert cgroups.box_resources(BOX)["memory"] == {"limit": 1 << 26, "swap": 1 << 26}
        (tmp_path / name).unlink()
        assert not cgroups.limits_swap
        assert cgroups.box_resources(BOX)["memory"] == {"limit": 1 << 26}


def test_a_box_has_no_quota_of_its_own_because_v1_refuses_one_above_its_groups(v1: CgroupsV1) -> None:
    assert set(v1.box_resources(BOX)) == {"memory", "pids", "devices"}
    assert v1.box_path("s1", "b") == "/lan-session-manager/i/s1/b"


def test_a_file_that_the_kernel_does_not_have_is_never_made(v1: CgroupsV1, tmp_path: Path) -> None:
    missing = tmp_path / "pids/lan-session-manager/i/s1/pids.max"
    missing.unlink()
    with pytest.raises(FileNotFoundError):
        v1.ensure_group("s1", LIMITS)
    assert not missing.exists()


def test_version_1_is_taken_where_it_has_the_memory_controller(tmp_path: Path) -> None:
    v1 = [Mount(tmp_path / name, "cgroup", frozenset({"rw", name})) for name in CgroupsV1.controllers]
    v2 = Mount(tmp_path / "unified", "cgroup2", frozenset({"rw"}))
    assert isinstance(find_cgroups("i", [v2, *v1]), CgroupsV1)
    assert isinstance(find_cgroups("i", [v2]), CgroupsV2)
    assert isinstance(find_cgroups("i", [Mount(tmp_path, "cgroup", frozenset({"rw", "name=systemd"})), v2]), CgroupsV2)
    with pytest.raises(SandboxError, match="no cgroups"):
        find_cgroups("i", [Mount(tmp_path, "tmpfs", frozenset())])


def test_controllers_that_share_a_hierarchy_are_one_place(tmp_path: Path) -> None:
    both = Mount(tmp_path / "cpu,cpuacct", "cgroup", frozenset({"rw", "cpu", "cpuacct"}))
    others = [Mount(tmp_path / name, "cgroup", frozenset({"rw", name})) for name in ("memory", "pids")]
    found = find_cgroups("i", [both, *others])
    found.prepare()
    assert (tmp_path / "cpu,cpuacct/lan-session-manager/i").is_dir()
    assert found.remove()
    assert not (tmp_path / "cpu,cpuacct/lan-session-manager").exists()


def test_a_group_with_a_box_that_lives_stays_and_says_so(tmp_path: Path) -> None:
    cgroups = CgroupsV2("i", tmp_path)
    box = tmp_path / LEVELS[-1]
    box.mkdir(parents=True)
    (box / "process").touch()  # what makes rmdir fail here; in the kernel a process does
    assert not cgroups.remove_group("s1")
    assert cgroups.groups() == {"s1"}
    (box / "process").unlink()
    assert cgroups.remove_group("s1")
    assert cgroups.groups() == set()
    assert cgroups.remove_group("s1")


def test_limits_hold_as_far_as_controllers_are_handed_on(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory pids\n")
    made = CgroupsV2("i", tmp_path, takes_less=True)
    assert (made.controllers, made.limits_cpu) == (("memory", "pids"), False)
    limits = BoxLimits(memory_bytes=2**20, pids=5, file_bytes=0, log_bytes=0, cpu_cores=0.5)
    assert set(made.box_resources(limits)) == {"memory", "pids", "devices"}
    assert CgroupsV2("i", tmp_path).limits_cpu


def test_without_cgroups_a_box_asks_for_no_limit_and_has_used_nothing() -> None:
    made, limits = NoCgroups("i"), BoxLimits(memory_bytes=2**20, pids=5, file_bytes=0, log_bytes=0)
    made.prepare()
    made.ensure_group("s1", GroupLimits(memory_bytes=2**20, pids=5, cpu_cores=1.0))
    made.place_monitor("s1", 1)
    assert (made.box_resources(limits), made.box_path("s1", "b"), made.read("s1", "b")) == ({}, "", Reading())
    assert (made.processes("s1", "b"), made.groups(), made.remove_group("s1"), made.remove()) == ([], set(), True, True)


def test_what_a_box_holds_is_counted_alike_in_both_versions_and_without_cached_files(
    v1: CgroupsV1, v2: CgroupsV2, tmp_path: Path
) -> None:
    box = "lan-session-manager/i/s1/b"
    _fill(tmp_path / "memory" / box, {"memory.usage_in_bytes": "9000\n"})
    _fill(
        tmp_path / "memory" / box,
        {"memory.stat": "inactive_file 1\nhierarchical_memory_limit 5\ntotal_cache 7\ntotal_inactive_file 2000\n"},
    )
    assert v1.count("s1", "b") == Counts(1.5, 7000, 1234567)
    _fill(tmp_path / box, {"memory.current": "9000\n", "memory.stat": "anon 5\ninactive_file 2000\nactive_file 9\n"})
    assert v2.count("s1", "b") == Counts(1.5, 7000, 1234567)


def test_where_nobody_counts_memory_the_processor_is_counted_all_the_same(v2: CgroupsV2, tmp_path: Path) -> None:
    (tmp_path / "lan-session-manager/i/s1/b/memory.current").unlink()
    assert v2.count("s1", "b") == Counts(1.5, None, 0)


def test_a_box_that_is_gone_or_that_nobody_counts_has_no_counts(v1: CgroupsV1, v2: CgroupsV2) -> None:
    assert v1.count("s1", "gone") is None
    assert v2.count("s1", "gone") is None
    assert NoCgroups("i").count("s1", "b") is None
