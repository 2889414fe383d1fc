"""A task learns nothing of the machine, and changes nothing of it, through /proc, /sys and the cgroup files."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.attacks.tries import IS_ROOT_OF_THE_HOST, tries

pytestmark = pytest.mark.root


def _has_capability(number: int) -> bool:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:")]
    return bool(int(line.split()[1], 16) >> number & 1)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, object]:
    """A file that everybody on the host may read, and a process of the host."""
    canary = tmp_path_factory.mktemp("host") / "canary"
    canary.write_text("the canary's song")
    canary.chmod(0o644)
    return {"canary": str(canary), "host_pid": os.getpid(), "host_name": Path("/proc/self/comm").read_text()}


@tries(
    "os.open('/dev/kmsg', os.O_RDONLY)",
    "os.open('/proc/kmsg', os.O_RDONLY)",
    "call('syslog', 3, ctypes.create_string_buffer(100), 100)",
)
def test_a_task_cannot_read_the_kernel_log(answers: list[str]) -> None:
    assert answers == ["ENOENT", "EACCES", "EPERM"]


@tries(
    "return hidden('/proc/kcore')",
    "os.open('/dev/mem', os.O_RDONLY)",
    "os.open('/dev/kmem', os.O_RDONLY)",
    "os.open('/dev/port', os.O_RDONLY)",
)
def test_a_task_cannot_read_the_memory_of_the_machine(answers: list[str]) -> None:
    assert answers == ["hidden", "ENOENT", "ENOENT", "ENOENT"]


@tries("return hidden('/proc/sysrq-trigger')", "return os.path.exists('/sys/kernel/sysrq')")
def test_a_task_cannot_press_the_emergency_keys(answers: list[str]) -> None:
    assert answers == ["hidden", "False"]


@tries(*(f"return hidden('/proc/{name}')" for name in ("timer_list", "timer_stats", "sched_debug", "latency_stats")))
def test_a_task_cannot_see_what_the_machines_processes_wait_for(answers: list[str]) -> None:
    assert set(answers) == {"hidden"}


@tries(*(f"return hidden('/proc/{name}')" for name in ("interrupts", "acpi", "scsi", "asound")))
def test_a_task_cannot_see_the_machines_devices_at_work(answers: list[str]) -> None:
    assert set(answers) == {"hidden"}


@tries("return hidden('/proc/keys')")
def test_a_task_cannot_list_the_keys_of_the_kernel(answers: list[str]) -> None:
    assert answers == ["hidden"]


@tries(
    "write('/proc/sys/kernel/core_pattern', open('/proc/sys/kernel/core_pattern', 'rb').read())",
    "os.chmod('/proc/sys/kernel/core_pattern', 0o666)",
)
def test_a_task_cannot_choose_the_program_that_gets_core_dumps(answers: list[str]) -> None:
    assert answers[0] == "EACCES"
    assert answers[1] in ("EPERM", "EROFS")


OPENED_BELOW = """
opened, looked = [], 0
for place, directories, files in os.walk({place!r}):
    # A file of pressure/ takes a request to be woken, which changes nothing.
    directories[:] = [name for name in directories if not name.isdigit() and name != "pressure"]
    for path in (os.path.join(place, name) for name in files):
        looked += 1
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            continue
        if hidden(path) != "hidden":
            opened.append(path)
return opened if looked > 10 else "nothing there"
"""


@tries(OPENED_BELOW.format(place="/proc/sys"))
def test_a_task_cannot_change_a_setting_of_the_kernel(answers: list[str]) -> None:
    assert answers == ["[]"]


@tries(OPENED_BELOW.format(place="/proc"))
def test_a_task_can_write_to_no_file_of_proc_but_those_of_its_processes(answers: list[str]) -> None:
    assert answers == ["[]"]


@tries(
    "return os.path.samestat(os.stat('/proc/1/root'), os.stat('/'))",
    "open('/proc/1/root' + canary)",
    "open('/proc/1/root/..' + canary)",
    "open('/proc/self/root' + canary)",
    "open('/proc/1/cwd/../..' + canary)",
)
def test_the_root_of_a_tasks_processes_is_never_the_hosts(answers: list[str]) -> None:
    assert answers == ["True", *["ENOENT"] * 4]


@tries(
    "os.open('/proc/1/exe', os.O_RDWR)",
    "os.open('/proc/self/exe', os.O_RDWR)",
    "os.open('/dev/init', os.O_WRONLY)",
    "os.truncate('/dev/init', 0)",
    "os.rename('/dev/init', '/dev/moved')",
)
def test_a_task_cannot_overwrite_the_programs_that_started_it(answers: list[str]) -> None:
    assert answers[:4] == ["EROFS"] * 4
    assert answers[4] in ("EACCES", "EBUSY")


@tries(
    """
fields = dict(line.split(":\\t", 1) for line in open("/proc/1/status").read().splitlines())
names = ("Uid", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
return " ".join(fields[name].split()[0] for name in names)
"""
)
def test_the_first_process_of_a_box_is_as_weak_as_the_task(answers: list[str]) -> None:
    nothing = "0" * 16
    assert answers == [f"1000 {nothing} {nothing} {nothing} 1 2"]


@tries(
    "return sorted((int(name), os.readlink(f'/proc/1/fd/{name}').split(':')[0]) for name in os.listdir('/proc/1/fd'))"
)
def test_the_first_process_of_a_box_holds_no_descriptor_of_the_host(answers: list[str]) -> None:
    assert answers == ["[(0, 'pipe'), (1, 'pipe'), (2, 'pipe'), (3, 'anon_inode')]"]


@tries(
    """
links = set()
for pid in filter(str.isdigit, os.listdir("/proc")):
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.add(os.readlink(f"/proc/{pid}/fd/{number}").split(":")[0])
        except FileNotFoundError:
            pass  # the one by which the list was read
return sorted(link for link in links if not link.startswith("/proc/"))
"""
)
def test_no_process_of_a_box_has_a_descriptor_that_leaked_from_the_host(answers: list[str]) -> None:
    assert answers == ["['anon_inode', 'pipe']"]  # the first is of the init itself, for signals


@tries("return sorted({open(f'/proc/{name}/comm').read().strip() for name in os.listdir('/proc') if name.isdigit()})")
def test_a_task_sees_no_process_but_its_own(answers: list[str]) -> None:
    assert answers == ["['init', 'python3']"]


@tries(
    """
page = mmap.mmap(-1, mmap.PAGESIZE)
page.write(b"touched")
place = ctypes.addressof(ctypes.c_char.from_buffer(page))
with open("/proc/self/pagemap", "rb") as file:
    file.seek(place // mmap.PAGESIZE * 8)
    entry = struct.unpack("Q", file.read(8))[0]
return f"present {entry >> 63}, frame {entry & (1 << 55) - 1}"
"""
)
def test_a_task_cannot_learn_where_its_memory_lies_in_the_machine(answers: list[str]) -> None:
    assert answers == ["present 1, frame 0"]


@tries(
    "return sorted({line.split()[0].strip('0') for line in open('/proc/kallsyms')})",
    "return sorted({line.split()[0].strip('0-') for line in open('/proc/iomem')})",
)
def test_a_task_cannot_learn_where_the_kernel_lies(answers: list[str]) -> None:
    assert set(answers) <= {"['']", "ENOENT", "EACCES", "[]"}


@tries(*(f"os.open('/proc/{name}', os.O_RDONLY)" for name in ("kpageflags", "slabinfo", "vmallocinfo", "pagetypeinfo")))
def test_a_task_cannot_look_into_the_kernels_allocators(answers: list[str]) -> None:
    assert set(answers) <= {"EACCES", "ENOENT"}


@tries(
    "write('/proc/self/uid_map', b'0 0 1')",
    "write('/proc/self/gid_map', b'0 0 1')",
    "write('/proc/1/uid_map', b'0 0 1')",
    "write('/proc/self/setgroups', b'allow')",
)
def test_a_task_cannot_map_itself_to_users_of_the_host(answers: list[str]) -> None:
    assert set(answers) <= {"EPERM", "EACCES"}


@tries(
    "return open('/proc/self/oom_score_adj').read()",
    "write('/proc/self/oom_score_adj', b'-1000')",
    "write('/proc/1/oom_score_adj', b'-1')",
    "write('/proc/self/oom_score_adj', b'499')",
    "write('/proc/1/oom_score_adj', b'0')",
)
def test_a_task_cannot_make_itself_safe_from_the_kernels_choice_of_a_victim(answers: list[str]) -> None:
    assert answers[:3] == ["500\n", "EACCES", "EACCES"]
    # Without that capability a server can give its tasks no lowest score but its own.
    assert set(answers[3:]) == {"EACCES" if IS_ROOT_OF_THE_HOST and _has_capability(24) else "done"}


@tries(
    "return os.listdir('/sys')",
    "return [line for line in open('/proc/self/mountinfo') if ' - cgroup' in line or ' - sysfs' in line]",
    "return {line.strip().split(':', 2)[2] for line in open('/proc/self/cgroup')}",
)
def test_a_task_finds_no_cgroup_and_so_no_release_agent(answers: list[str]) -> None:
    assert answers[:2] == ["[]", "[]"]
    # With its own namespace every path is the root; a hierarchy that no controller uses may be left out of it.
    assert answers[2] == "{'/'}"


@tries(
    "fcntl.ioctl(os.open('/proc/self/ns/user', os.O_RDONLY), 0xb702)",
    "fcntl.ioctl(os.open('/proc/self/ns/pid', os.O_RDONLY), 0xb702)",
    "fcntl.ioctl(os.open('/proc/self/ns/user', os.O_RDONLY), 0xb701)",
)
def test_a_task_cannot_reach_the_namespaces_above_its_own(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 3


@tries(
    """
libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p] + [ctypes.c_long] * 5
file = os.open("/usr/bin/python3", os.O_RDONLY)
before = os.pread(file, 8, 0)
place = libc.mmap(None, 4096, 1, 2, file, 0)
memory = os.open("/proc/self/mem", os.O_RDWR)
os.pwrite(memory, b"attacked", place)
return os.pread(memory, 8, place), os.pread(file, 8, 0) == before
""",
    """
libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p] + [ctypes.c_long] * 5
place = libc.mmap(None, 4096, 1, 1, os.open("/usr/bin/python3", os.O_RDONLY), 0)
os.pwrite(os.open("/proc/self/mem", os.O_RDWR), b"attacked", place)
""",
)
def test_a_task_cannot_write_through_its_memory_into_a_file_that_it_may_only_read(answers: list[str]) -> None:
    assert answers == ["(b'attacked', True)", "EIO"]
