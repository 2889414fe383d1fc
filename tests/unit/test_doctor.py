"""The doctor's verdicts on made-up facts."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.doctor import cgroups, isolation, kernel, programs, rights, storage, surroundings
from lan_session_manager.doctor.cgroups import Mode
from lan_session_manager.doctor.findings import Finding, Verdict, as_json, as_text, overall
from lan_session_manager.doctor.surroundings import Listener
from lan_session_manager.sandbox.holder import parse_ranges
from lan_session_manager.sandbox.host import Mount
from lan_session_manager.sandbox.launcher import Mode as UserMode
from lan_session_manager.sandbox.selftest import Check, SelfTest
from lan_session_manager.settings import STATE_DIR, QuotaMode

PASS, FAIL, CAUTION, SKIPPED = Verdict.PASS, Verdict.FAIL, Verdict.CAUTION, Verdict.SKIPPED

findings = st.lists(st.builds(Finding, st.text(), st.sampled_from(Verdict), st.text(), st.text()))


def is_told_what_to_do(finding: Finding) -> bool:
    """Advice stands with what failed or wants attention, and never with what passed."""
    return finding.verdict is SKIPPED or bool(finding.advice) == (finding.verdict is not PASS)


# telling


@given(findings)
def test_one_failure_is_enough_and_a_caution_is_less(found: list[Finding]) -> None:
    verdicts = {finding.verdict for finding in found}
    assert overall(found) == (FAIL if FAIL in verdicts else CAUTION if CAUTION in verdicts else PASS)


@given(findings)
def test_json_has_every_finding_in_order_and_the_verdict(found: list[Finding]) -> None:
    told = json.loads(as_json(found))
    assert [Finding(**{**one, "verdict": Verdict(one["verdict"])}) for one in told["findings"]] == found
    assert told["verdict"] == overall(found)


@given(findings)
def test_no_control_character_of_a_name_or_a_path_reaches_the_terminal(found: list[Finding]) -> None:
    named = [replace(finding, name="name") for finding in found]
    lines = as_text(named).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == len(named) + sum(bool(finding.advice) for finding in named) + 2


def test_text_is_aligned_with_advice_below_and_a_sum_at_the_end() -> None:
    found = [Finding("a", PASS, "fine"), Finding("longer", CAUTION, "hm", "do this"), Finding("b", SKIPPED, "no")]
    assert as_text(found).split("\n") == [
        "PASS     a       fine",
        "CAUTION  longer  hm",
        "           do this",
        "SKIPPED  b       no",
        "",
        "CAUTION: 1 PASS, 1 SKIPPED, 1 CAUTION",
    ]


# the kernel


@given(st.integers(0, 999), st.integers(0, 999), st.sampled_from(["", ".0", ".18-amd64", "-rc3", "+"]))
def test_a_kernel_release_is_read(major: int, minor: int, rest: str) -> None:
    assert kernel.parse_release(f"{major}.{minor}{rest}") == (major, minor)


@given(st.text())
def test_any_text_is_a_release_or_none(text: str) -> None:
    kernel.parse_release(text)
    assert is_told_what_to_do(kernel.kernel(text))


@pytest.mark.parametrize(
    ("release", "verdict"),
    [
        ("4.19.0", FAIL),
        ("5.2.9", FAIL),
        ("5.3.0", CAUTION),
        ("5.5.19", CAUTION),
        ("5.6.0", PASS),
        ("5.10.0-8", PASS),
        ("6.1.0-18-amd64", PASS),
        ("10.0", PASS),
        ("plan9", SKIPPED),
    ],
)
def test_a_kernel_needs_pidfd_open_and_should_have_openat2(release: str, verdict: Verdict) -> None:
    assert kernel.kernel(release).verdict is verdict


@pytest.mark.parametrize("is_root", [True, False])
def test_without_user_namespaces_nobody_makes_boxes(is_root: bool) -> None:
    found = kernel.user_namespaces(most=0, unprivileged=True, apparmor=False, is_root=is_root)
    assert (found.verdict, "max_user_namespaces" in found.advice) == (FAIL, True)


@pytest.mark.parametrize(("unprivileged", "apparmor"), [(False, False), (True, True), (False, True)])
def test_restrictions_of_user_namespaces_matter_to_others_than_root(unprivileged: bool, apparmor: bool) -> None:
    for is_root, verdict in ((True, PASS), (False, FAIL)):
        found = kernel.user_namespaces(most=9, unprivileged=unprivileged, apparmor=apparmor, is_root=is_root)
        assert found.verdict is verdict
        assert is_told_what_to_do(found)


def test_a_user_may_use_namespaces_that_nothing_restricts() -> None:
    assert kernel.user_namespaces(most=None, unprivileged=True, apparmor=False, is_root=False).verdict is PASS


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("ann:100000:65536", PASS),
        ("ann:934464:65536", PASS),  # the last id is 999999
        ("ann:934465:65536", CAUTION),
        ("ann:1000000:1", CAUTION),
        ("ann:999999:4000000000", CAUTION),
        ("ann:4294918719:1", CAUTION),
        ("ann:4294918720:1", PASS),
        ("ann:1000000:0", PASS),
        ("ann:many:1", PASS),
        ("", PASS),
    ],
)
def test_ids_of_boxes_that_somebody_has_as_well_are_found(line: str, verdict: Verdict) -> None:
    for files in ({"subuid": line, "subgid": ""}, {"subuid": "bob:100000:65536\n", "subgid": f"\n{line}\n"}):
        found = rights.host_ids(files)
        assert found.verdict is verdict
        assert ("ann" in found.what) is (verdict is CAUTION)


@given(st.text())
def test_any_text_is_ranges_or_none(text: str) -> None:
    assert all(first >= 0 and count >= 0 for _, first, count in parse_ranges(text))


@pytest.mark.parametrize(
    ("subuid", "subgid", "verdict", "what"),
    [
        ("lsm:1000000:65536000", "lsm:1000000:65536000", PASS, "for 1,000 sessions"),
        ("lsm:1000000:65536000", "997:1000000:65536000\nann:100000:65536", PASS, "for 1,000 sessions"),
        ("lsm:1000000:655360\nlsm:5000000:655360", "lsm:1000000:1310720", PASS, "for 20 sessions"),
        ("lsm:1000000:65536000", "lsm:1000000:131072", CAUTION, "for 2 sessions only"),
        ("lsm:1000000:65535", "lsm:1000000:65536", FAIL, "lsm has none"),
        ("lsm:1000000:65536000", "", FAIL, "lsm has none"),
        ("lsm:1000000:65536000", "lsm:1000000:65536000\nann:66535999:1", CAUTION, "ann in /etc/subgid"),
    ],
)
def test_a_user_needs_ids_of_its_own_for_every_session(subuid: str, subgid: str, verdict: Verdict, what: str) -> None:
    found = rights.own_ids({"subuid": subuid, "subgid": subgid}, 997, "lsm")
    assert (found.verdict, what in found.what) == (verdict, True), found
    assert is_told_what_to_do(found)


@pytest.mark.parametrize(
    ("mode", "verdict"), [(UserMode.ROOT, CAUTION), (UserMode.ROOTLESS, PASS), (UserMode.NONE, FAIL)]
)
def test_a_user_of_its_own_is_better_than_root_and_who_has_no_rights_is_told_why(
    mode: UserMode, verdict: Verdict
) -> None:
    found = rights.server_user(mode, "lsm", "newuidmap is not installed")
    assert (found.verdict, "newuidmap" in found.what) == (verdict, verdict is FAIL)
    assert is_told_what_to_do(found)


@pytest.mark.parametrize("lingers", [True, False])
def test_tasks_of_a_session_that_ends_are_announced(lingers: bool) -> None:
    found = rights.lingering("ann", lingers=lingers)
    assert (found.verdict, "enable-linger ann" in found.advice) == (PASS if lingers else CAUTION, not lingers)


@pytest.mark.parametrize(
    ("status", "actions", "verdict"),
    [
        ("Name:\tx\nSeccomp:\t0\n", "kill_process kill_thread trap errno allow", PASS),
        ("Name:\tx\n", "kill_process errno allow", FAIL),
        ("Name:\tx\nSeccomp:\t0\n", "", FAIL),
        ("Name:\tx\nSeccomp:\t0\n", "kill_thread errno allow", FAIL),
    ],
)
def test_system_calls_can_be_filtered_or_it_is_said(status: str, actions: str, verdict: Verdict) -> None:
    assert kernel.seccomp(status, actions).verdict is verdict


# cgroups


def _mount(point: str, kind: str, *options: str) -> Mount:
    return Mount(Path(point), kind, frozenset(options))


V1, V2 = _mount("/sys/fs/cgroup/memory", "cgroup", "rw", "memory"), _mount("/sys/fs/cgroup", "cgroup2", "rw")
NAMED = _mount("/sys/fs/cgroup/systemd", "cgroup", "rw", "name=systemd")


@pytest.mark.parametrize(
    ("mounts", "mode"),
    [
        ([], Mode.NONE),
        ([NAMED], Mode.NONE),
        ([V1], Mode.V1),
        ([V1, V2], Mode.HYBRID),
        ([V2], Mode.V2),
        ([NAMED, V2], Mode.V2),
    ],
)
def test_the_mode_of_cgroups_is_told_from_the_mounts(mounts: list[Mount], mode: Mode) -> None:
    assert cgroups.mode_of(mounts) is mode


@pytest.mark.parametrize(
    ("mode", "offered", "verdict"),
    [
        (Mode.NONE, "", FAIL),
        (Mode.V1, "memory cpu cpuacct pids freezer", PASS),
        (Mode.V1, "memory cpu pids", FAIL),
        (Mode.HYBRID, "memory cpu cpuacct", FAIL),
        (Mode.V2, "cpuset cpu io memory pids", PASS),
        (Mode.V2, "cpu pids", FAIL),
    ],
)
def test_memory_processor_and_processes_need_a_controller_each(mode: Mode, offered: str, verdict: Verdict) -> None:
    found = cgroups.cgroups(mode, offered.split())
    assert found.verdict is verdict
    assert is_told_what_to_do(found)


@pytest.mark.parametrize(
    ("mode", "offered", "verdict"),
    [
        (Mode.V2, "cpuset cpu io memory pids", PASS),
        (Mode.V2, "memory pids", FAIL),
        (Mode.NONE, "", FAIL),
        (Mode.HYBRID, "cpu cpuacct memory pids", FAIL),
    ],
)
def test_a_user_needs_three_controllers_delegated(mode: Mode, offered: str, verdict: Verdict) -> None:
    found = cgroups.cgroups(mode, offered.split(), is_rootless=True)
    assert found.verdict is verdict
    assert is_told_what_to_do(found)


@pytest.mark.parametrize(
    ("has_swap", "is_counted", "verdict"),
    [(False, False, PASS), (False, None, PASS), (True, True, PASS), (True, False, FAIL), (True, None, SKIPPED)],
)
def test_swap_must_count_where_there_is_some(has_swap: bool, is_counted: bool | None, verdict: Verdict) -> None:
    assert cgroups.swap(has_swap=has_swap, is_counted=is_counted).verdict is verdict


# programs

NUMBERS = st.integers(0, 99_999)


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["", "+ds1", "-dev", "-1+deb12u1"]))
def test_a_version_is_read(major: int, minor: int, patch: int, rest: str) -> None:
    assert programs.parse_version(f"runc {major}.{minor}.{patch}{rest}") == (major, minor, patch, float("inf"))


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_a_release_candidate_comes_before_its_release(major: int, minor: int, patch: int, candidate: int) -> None:
    release = programs.parse_version(f"{major}.{minor}.{patch}")
    for written in (f"{major}.{minor}.{patch}-rc.{candidate}", f"runc {major}.{minor}.{patch}~rc{candidate}+ds"):
        early = programs.parse_version(written)
        assert early
        assert release
        assert early[3] == candidate
        assert early < release


@given(st.text())
def test_any_text_is_a_version_or_none(text: str) -> None:
    programs.parse_version(text)


@pytest.mark.parametrize(
    ("version", "holes"),
    [
        ("1.0.3", 4),
        ("1.1.5+ds1", 4),
        ("1.1.11", 4),
        ("1.1.12", 3),
        ("1.2.7", 3),
        ("1.2.8", 0),
        ("1.2.10", 0),
        ("1.3.0", 3),
        ("1.3.0-rc.1", 3),
        ("1.3.2", 3),
        ("1.3.3", 0),
        ("1.4.0-rc.2", 3),
        ("1.4.0-rc.3", 0),
        ("1.4.0", 0),
        ("1.4.1", 0),
        ("1.5.0-rc.1", 0),
        ("2.0.0", 0),
    ],
)
def test_known_holes_of_runc_are_named_up_to_the_version_that_mended_them(version: str, holes: int) -> None:
    found = programs.runtime("runc", f"runc {version}")
    assert found.what.count("CVE-") == holes
    assert found.verdict is (CAUTION if holes else PASS)
    assert is_told_what_to_do(found)
    assert holes == 0 or "distribution" in found.advice


def test_the_holes_of_runc_are_those_of_runc_under_whatever_name_and_of_no_other() -> None:
    assert programs.runtime("oci", "runc 1.1.5").verdict is CAUTION
    assert programs.runtime("crun", "crun 1.1.5").verdict is PASS
    assert programs.runtime("runsc", "runsc release-20221219.0").verdict is CAUTION


@pytest.mark.parametrize(("version", "verdict"), [("3.36.0", FAIL), ("3.37.0", PASS), ("3.40.1", PASS), ("?", FAIL)])
def test_sqlite_must_know_strict_tables(version: str, verdict: Verdict) -> None:
    assert programs.sqlite(version).verdict is verdict


def test_a_program_that_is_missing_or_does_not_run_is_a_failure(tmp_path: Path) -> None:
    assert programs.helper("conmon", None, "watches").verdict is FAIL
    broken = tmp_path / "conmon"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    found = programs.helper("conmon", broken, "watches")
    assert (found.verdict, is_told_what_to_do(found)) == (FAIL, True)


# isolation

HELD = (Check("no network", holds=True), Check("memory", holds=True, is_limit=True))
LEAKS = Check("no network", holds=False, why="eth0")
UNBOUND = Check("memory", holds=False, is_limit=True, why="got it all")


def _verdicts(checks: tuple[Check, ...], accepted: str = "") -> list[Verdict]:
    found = isolation.isolation(SelfTest("line", checks), accepted)
    assert all(map(is_told_what_to_do, found))
    return [finding.verdict for finding in found]


def test_every_check_of_the_self_test_is_a_finding_below_the_grade() -> None:
    assert _verdicts(HELD) == [PASS, PASS, PASS]
    assert _verdicts((HELD[0], UNBOUND)) == [FAIL, PASS, FAIL]
    assert _verdicts((LEAKS, HELD[1])) == [FAIL, FAIL, PASS]


def test_a_reduced_grade_that_is_accepted_by_name_is_a_caution_and_a_hole_stays_a_failure() -> None:
    assert _verdicts((HELD[0], UNBOUND), "reduced: memory") == [CAUTION, PASS, CAUTION]
    assert _verdicts((HELD[0], UNBOUND), "reduced: CPU") == [FAIL, PASS, FAIL]
    assert _verdicts((LEAKS, UNBOUND), "none: no network") == [FAIL, FAIL, FAIL]
    watched = Check("privacy", holds=False, is_privacy=True, why="seen: /usr")
    assert _verdicts((HELD[0], watched)) == [FAIL, PASS, FAIL]
    assert _verdicts((HELD[0], UNBOUND, watched), "reduced: memory, privacy") == [CAUTION, PASS, CAUTION, CAUTION]


# storage


def _stat(uid: int, mode: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, uid, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("uid", "mode", "verdict"), [(7, 0o40700, PASS), (7, 0o40750, CAUTION), (7, 0o40701, CAUTION), (8, 0o40700, FAIL)]
)
def test_the_data_directory_is_for_its_owner_alone(uid: int, mode: int, verdict: Verdict) -> None:
    good = _stat(7, 0o40700)
    for seen in ({Path("/d"): _stat(uid, mode)}, {Path("/d"): good, Path("/d/state"): _stat(uid, mode)}):
        found = storage.private(seen, 7)
        assert found.verdict is verdict
        assert is_told_what_to_do(found)


def test_a_path_is_on_the_deepest_mount_above_it_and_there_on_the_last() -> None:
    root, srv, over, other = (_mount("/", "ext4"), _mount("/srv", "xfs"), _mount("/srv", "nfs"), _mount("/sr", "btrfs"))
    assert storage.mount_of(Path("/srv/data"), [root, srv, other]) is srv
    assert storage.mount_of(Path("/srv"), [root, srv, over, other]) is over
    assert storage.mount_of(Path("/srvx"), [srv, root, other]) is root
    assert storage.mount_of(Path("/a"), []) is None


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("ext4", PASS),
        ("btrfs", PASS),
        ("nfs4", CAUTION),
        ("cifs", CAUTION),
        ("fuse.sshfs", CAUTION),
        ("tmpfs", CAUTION),
    ],
)
def test_a_database_belongs_on_a_local_disk(kind: str, verdict: Verdict) -> None:
    assert storage.file_system(_mount("/d", kind)).verdict is verdict


@pytest.mark.parametrize(
    ("mount", "config", "verdict"),
    [
        (_mount("/", "ext4", "rw", "prjquota"), "", PASS),
        (_mount("/", "xfs", "rw", "prjquota"), "", PASS),
        (_mount("/", "ext4", "rw", "usrquota"), "CONFIG_QFMT_V2=m", CAUTION),
        (_mount("/", "ext4", "rw"), "CONFIG_QUOTA=y\n# CONFIG_QFMT_V2 is not set", CAUTION),
        (_mount("/", "ext4", "rw"), "", SKIPPED),
        (_mount("/", "xfs", "rw", "noquota"), "CONFIG_XFS_QUOTA=y", CAUTION),
        (_mount("/", "xfs", "rw", "noquota"), "", SKIPPED),
        (_mount("/", "btrfs", "rw"), "CONFIG_QFMT_V2=y", SKIPPED),
    ],
)
def test_project_quotas_are_told_from_the_mount_and_the_kernels_configuration(
    mount: Mount, config: str, verdict: Verdict
) -> None:
    found = storage.project_quotas(mount, config)
    assert found.verdict is verdict
    assert is_told_what_to_do(found)
    assert ("Use a kernel" in found.advice) is ("not set" in config)


def test_quotas_that_are_watched_are_as_the_owner_wants_them(tmp_path: Path) -> None:
    (found,) = storage.find_quotas(storage.place_of(tmp_path), QuotaMode.WATCH)
    assert (found.verdict, found.what.startswith("kept by watching")) == (PASS, True)


def test_hard_quotas_are_tried_out_and_nothing_of_that_stays(tmp_path: Path) -> None:
    place = storage.place_of(tmp_path)
    (found,) = storage.find_quotas(place, QuotaMode.HARD)
    assert found.verdict is SKIPPED
    (tmp_path / STATE_DIR).mkdir()
    (found,) = storage.find_quotas(place, QuotaMode.HARD)
    assert found.verdict in (PASS, FAIL)
    assert found.what.startswith("kept by the kernel: ") is (found.verdict is PASS)
    assert (found.verdict is FAIL) is ("LSM_QUOTA_MODE" in found.advice)
    assert list((tmp_path / STATE_DIR).iterdir()) == []


@pytest.mark.parametrize(
    ("free", "total", "verdict"),
    [
        (99, 1000, FAIL),
        (100, 1000, CAUTION),
        (1023, 4000, CAUTION),
        (1024, 4000, PASS),
        (4999, 100_000, CAUTION),
        (5000, 100_000, PASS),
    ],
)
def test_a_disk_that_is_full_fails_and_one_that_is_nearly_full_is_a_caution(
    free: int, total: int, verdict: Verdict
) -> None:
    assert storage.space(free, total).verdict is verdict


@pytest.mark.parametrize(
    ("free", "total", "verdict"), [(0, 0, PASS), (0, 100, FAIL), (4, 100, CAUTION), (5, 100, PASS)]
)
def test_files_must_fit_too(free: int, total: int, verdict: Verdict) -> None:
    assert storage.inodes(free, total).verdict is verdict


# surroundings


@pytest.mark.parametrize(
    ("year", "is_synchronised", "verdict"),
    [
        (1970, True, FAIL),
        (2024, True, FAIL),
        (2026, True, PASS),
        (2026, False, CAUTION),
        (2026, None, SKIPPED),
        (2150, True, FAIL),
    ],
)
def test_the_clock_is_sane_and_should_be_synchronised(
    year: int, is_synchronised: bool | None, verdict: Verdict
) -> None:
    found = surroundings.clock(year, is_synchronised=is_synchronised)
    assert found.verdict is verdict
    assert is_told_what_to_do(found)


@pytest.mark.parametrize(
    ("listeners", "server", "verdict"),
    [
        ([], None, PASS),
        ([], 7, PASS),
        ([Listener(22, 1, "sshd")], None, PASS),
        ([Listener(5000, 7, "python3"), Listener(5000, 7, "python3")], 7, PASS),
        ([Listener(5000, 7, "python3"), Listener(5000, 8, "other")], 7, FAIL),
        ([Listener(5000, 8, "other")], None, FAIL),
        ([Listener(5000, None, "")], None, FAIL),
        ([Listener(5000, None, "")], 7, FAIL),
    ],
)
def test_a_port_is_free_or_the_servers_own(listeners: list[Listener], server: int | None, verdict: Verdict) -> None:
    found = surroundings.port_use(5000, listeners, server)
    assert found.verdict is verdict
    assert is_told_what_to_do(found)


@pytest.mark.parametrize(("most", "verdict"), [(1024, CAUTION), (4095, CAUTION), (4096, PASS), (None, PASS)])
def test_4096_files_should_be_open_at_once(most: int | None, verdict: Verdict) -> None:
    assert surroundings.open_files(most).verdict is verdict


def test_a_kernel_that_tells_no_hardware_addresses_is_a_caution_with_the_reason() -> None:
    found = surroundings.neighbours("Operation not permitted")
    assert found.verdict is Verdict.CAUTION
    assert "Operation not permitted" in found.what
    assert "LSM_IDENTITY=device" in found.advice
    assert surroundings.neighbours("").verdict is Verdict.PASS


def test_the_neighbour_table_of_this_machine_can_be_read() -> None:
    assert [found.verdict for found in surroundings.find_neighbours()] == [Verdict.PASS]


def test_held_locks_are_read_and_waiting_ones_and_other_kinds_are_not() -> None:
    text = (
        "1: POSIX  ADVISORY  READ 11 fe:00:41 128 128\n"
        "2: FLOCK  ADVISORY  WRITE 12 fe:00:42 0 EOF\n"
        "2: -> FLOCK  ADVISORY  WRITE 13 fe:00:42 0 EOF\n"
        "3: FLOCK  ADVISORY  READ 14 00:1f:43 0 EOF\n"
    )
    assert surroundings.parse_locks(text) == [(12, 42), (14, 43)]


@given(st.text() | st.lists(st.sampled_from(["1:", "FLOCK", "x", "7", "a:b:9", "\n"])).map(" ".join))
def test_any_text_is_locks_or_none(text: str) -> None:
    assert all(pid >= 0 for pid, _ in surroundings.parse_locks(text))
