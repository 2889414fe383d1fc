"""The calls that open the kernel, other processes or the machine to a task are refused, each by its own error.

EPERM: the filter or a missing capability. ENOSYS: as if this kernel did not have the call. SIGSYS: another mode of the
processor. Each attack is one that would do no harm if it came through.
"""

import platform

import pytest

from tests.attacks.tries import tries

pytestmark = pytest.mark.root

ONLY_X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="a call, or a mode, of x86 alone")
# linux/sched.h
NAMESPACES = {
    "time": 0x80,
    "mount": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "network": 0x40000000,
}


@tries(*(f"checked(libc.unshare({flag}))" for flag in NAMESPACES.values()))
def test_a_task_cannot_make_itself_a_namespace_of_any_kind(answers: list[str]) -> None:
    assert answers == ["EPERM"] * len(NAMESPACES)


@tries("checked(libc.unshare(0x10000000 | 0x20000))", "call((1 << 32) | NUMBERS['unshare'][0], 0x10000000)")
def test_a_task_cannot_make_a_namespace_by_a_call_in_disguise(answers: list[str]) -> None:
    assert answers[0] == "EPERM"
    assert answers[1] in ("EPERM", "ENOSYS")


@tries(
    *(
        f"if call('clone', {flag} | signal.SIGCHLD, 0, 0, 0, 0) == 0:\n    os._exit(0)"
        for name, flag in NAMESPACES.items()
        if name != "time"  # there it is a part of the signal's number
    )
)
def test_a_task_cannot_clone_a_child_into_a_new_namespace(answers: list[str]) -> None:
    assert answers == ["ENOSYS"] * 7


@tries("if call('clone3', struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64) == 0:\n    os._exit(0)")
def test_a_task_has_no_call_whose_flags_no_filter_can_read(answers: list[str]) -> None:
    assert answers == ["ENOSYS"]


@tries(
    *(f"call('setns', os.open('/proc/1/ns/{kind}', os.O_RDONLY), 0)" for kind in ("user", "net", "mnt", "pid", "ipc")),
    "call('setns', call('pidfd_open', 1, 0), 0x10000000)",
)
def test_a_task_cannot_enter_a_namespace(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 6


@tries(
    "checked(libc.mount(b'none', b'/workspace', b'tmpfs', 0, None))",
    "checked(libc.mount(b'/workspace', b'/tmp', None, ctypes.c_ulong(4096), None))",
    "checked(libc.mount(None, b'/usr', None, ctypes.c_ulong(32 | 4096), None))",
    "checked(libc.mount(b'proc', b'/tmp', b'proc', 0, None))",
    "checked(libc.mount(b'none', b'/tmp', b'overlay', 0, b'lowerdir=/usr:/etc'))",
)
def test_a_task_can_mount_nothing(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 5


@tries(
    "checked(libc.mount(b'none', b'/tmp', b'cgroup', 0, b'memory'))",
    "checked(libc.mount(b'none', b'/tmp', b'cgroup2', 0, None))",
    "checked(libc.mount(b'none', b'/sys', b'sysfs', 0, None))",
)
def test_a_task_cannot_mount_the_cgroups_of_the_machine(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 3


@tries(
    "call('fsopen', b'tmpfs', 0)",
    "call('open_tree', -100, b'/workspace', 1)",
    "call('move_mount', -100, b'/workspace', -100, b'/tmp', 0)",
)
def test_a_task_can_mount_nothing_in_the_new_way(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 3


@tries("checked(libc.umount2(b'/proc/keys', 2))", "checked(libc.umount2(b'/usr/local/etc', 2))")
def test_a_task_cannot_take_away_what_hides_a_file(answers: list[str]) -> None:
    assert answers == ["EPERM", "EPERM"]


@tries("call('pivot_root', b'/workspace', b'/workspace')", "os.chroot('/workspace')")
def test_a_task_cannot_change_its_root(answers: list[str]) -> None:
    assert answers == ["EPERM", "EPERM"]


@tries("call('ptrace', 0, 0, 0, 0)", "call('ptrace', 16, os.getppid(), 0, 0)", "call('ptrace', 0x4206, 1, 0, 0)")
def test_a_task_cannot_trace_a_process(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 3


VECTOR = "one = struct.pack('QQ', ctypes.addressof(ctypes.create_string_buffer(8)), 8)\n"


@tries(
    VECTOR + "call('process_vm_readv', os.getppid(), one, 1, one, 1, 0)",
    VECTOR + "call('process_vm_writev', os.getppid(), one, 1, one, 1, 0)",
    "call('pidfd_getfd', call('pidfd_open', os.getppid(), 0), 0, 0)",
    "call('kcmp', os.getppid(), os.getpid(), 0, 0, 0)",
)
def test_a_task_cannot_reach_into_another_process_by_a_call(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 4


@tries(
    "call('add_key', b'user', b'name', b'secret', 6, -3)",
    "call('request_key', b'user', b'name', 0, -3)",
    "call('keyctl', 0, -3, 1)",
    "call('keyctl', 1, b'_ses', 0, 0)",
)
def test_a_task_cannot_use_the_keyrings_of_the_kernel(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 4


@tries("call('bpf', 0, ctypes.create_string_buffer(64), 64)", "call('bpf', 5, ctypes.create_string_buffer(64), 64)")
def test_a_task_cannot_load_a_program_into_the_kernel(answers: list[str]) -> None:
    assert answers == ["EPERM", "EPERM"]


@tries("call('perf_event_open', struct.pack('IIQ', 1, 64, 0) + bytes(48), 0, -1, -1, 0)")
def test_a_task_cannot_read_the_counters_of_the_processor(answers: list[str]) -> None:
    assert answers == ["EPERM"]


@tries("call('io_uring_setup', 1, ctypes.create_string_buffer(120))", "call('io_setup', 1, bytes(8))")
def test_a_task_has_no_way_to_make_calls_that_no_filter_sees(answers: list[str]) -> None:
    assert answers == ["ENOSYS", "ENOSYS"]


@tries("call('fanotify_init', 0x200, 0)", "call('fanotify_mark', 0, 1, 0x20, -100, b'/')")
def test_a_task_cannot_be_told_of_every_file_that_is_opened(answers: list[str]) -> None:
    assert answers == ["ENOSYS", "ENOSYS"]


@tries("call('userfaultfd', 1)", "call('mbind', 0, 4096, 0, 0, 0, 0)")
def test_a_task_cannot_hold_the_kernel_at_a_page_fault(answers: list[str]) -> None:
    assert answers == ["ENOSYS", "ENOSYS"]


@tries(
    "call('name_to_handle_at', -100, b'/workspace', ctypes.create_string_buffer(136), bytes(4), 0)",
    "call('open_by_handle_at', -100, ctypes.create_string_buffer(16), 0)",
)
def test_a_task_cannot_open_files_by_their_number(answers: list[str]) -> None:
    assert answers == ["EPERM", "EPERM"]


@tries(
    "call('kexec_load', 0, 0, 0, 0)", "call('init_module', b'x', 1, b'')", "call('reboot', 0xfee1dead, 672274793, 0, 0)"
)
def test_a_task_cannot_replace_extend_or_stop_the_kernel(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 3


@tries(
    "call('clock_settime', 0, struct.pack('qq', int(time.time()), 0))",
    "call('settimeofday', struct.pack('qq', int(time.time()), 0), 0)",
    "checked(libc.adjtimex(struct.pack('I', 1) + bytes(204)))",
)
def test_a_task_cannot_set_the_clock(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 3


@tries(
    "checked(libc.sethostname(b'sandbox', 7))",
    "checked(libc.setdomainname(b'(none)', 6))",
    "call('swapon', b'/nonexistent', 0)",
    "call('quotactl', 0x80000100, 0, 0, 0)",
    "checked(libc.acct(None))",
)
def test_a_task_cannot_configure_the_machine(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 5


@tries(*(f"checked(libc.personality({flag}))" for flag in (0x40000, 0x100000, 0x400000, 0x8, 0x200000)))
def test_a_task_cannot_switch_off_the_protection_of_memory(answers: list[str]) -> None:
    assert answers == ["ENOSYS"] * 5


@ONLY_X86
@tries(
    """
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))  # mov eax, getpid; int 0x80; ret
return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
""",
    """
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes([0xB8, 39, 0, 0, 0, 0x0F, 0x05, 0xC3]))  # mov eax, getpid; syscall; ret
return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))() == os.getpid()
""",
)
def test_a_call_in_the_32_bit_mode_ends_the_program(answers: list[str]) -> None:
    assert answers == ["SIGSYS", "True"]  # the second proves that such code runs


@ONLY_X86
@tries("call(0x40000000 | 39)", "call(0x40000000 | 520, b'/bin/true', 0, 0)")
def test_a_call_of_the_x32_kind_is_not_made(answers: list[str]) -> None:
    assert set(answers) <= {"SIGSYS", "ENOSYS"}


@ONLY_X86
@tries("checked(libc.iopl(3))", "checked(libc.ioperm(0x80, 1, 1))", "call(154, 1, bytes(16), 16)")
def test_a_task_cannot_reach_the_ports_of_the_machine(answers: list[str]) -> None:
    assert answers == ["EPERM", "EPERM", "ENOSYS"]


@tries("call(999)", "call(511)")
def test_a_call_that_nobody_knows_is_absent(answers: list[str]) -> None:
    assert answers == ["ENOSYS", "ENOSYS"]


@tries(*(f"fcntl.ioctl({fd}, {request}, b'x')" for fd in (0, 1, 2) for request in (0x5412, 0x541C)))
def test_a_task_cannot_type_into_a_terminal_of_the_host(answers: list[str]) -> None:
    assert answers == ["ENOTTY"] * 6  # TIOCSTI and TIOCLINUX: its three descriptors are pipes


@tries("os.setuid(0)", "os.setresuid(0, 0, 0)", "os.setgid(0)", "os.setgroups([0])", "os.setreuid(1001, 1001)")
def test_a_task_cannot_become_another_user(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 5


@tries(
    "call('capset', struct.pack('II', 0x20080522, 0), struct.pack('6I', 1 << 21, 1 << 21, 0, 0, 0, 0))",
    "checked(libc.prctl(47, 2, 21, 0, 0))",  # PR_CAP_AMBIENT_RAISE
    "checked(libc.prctl(28, 1, 0, 0, 0))",  # PR_SET_SECUREBITS
)
def test_a_task_cannot_give_itself_a_capability(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 3


@tries(
    "checked(libc.prctl(22, 0, 0, 0, 0))",  # PR_SET_SECCOMP
    "checked(libc.prctl(38, 0, 0, 0, 0))",  # PR_SET_NO_NEW_PRIVS
    """
import subprocess
told = subprocess.run(["/bin/cat", "/proc/self/status"], capture_output=True, text=True).stdout
return [line.split()[1] for line in told.splitlines() if line.startswith(("NoNewPrivs", "Seccomp:"))]
""",
)
def test_a_task_cannot_take_off_its_filter_and_its_children_have_it(answers: list[str]) -> None:
    assert answers == ["EINVAL", "EINVAL", "['1', '2']"]


@tries(
    "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "call('sched_setattr', 0, struct.pack('IIQiIQQQ', 48, 6, 0, 0, 0, 10**6, 10**7, 10**7), 0)",
    "os.setpriority(os.PRIO_PROCESS, 0, -1)",
    "call('ioprio_set', 1, 0, 1 << 13)",
)
def test_a_task_cannot_go_before_others_at_the_processor_and_the_disk(answers: list[str]) -> None:
    assert answers[:2] == ["EPERM", "EPERM"]
    assert answers[2] in ("EACCES", "EPERM")
    assert answers[3] == "EPERM"


@tries(
    *(
        f"import resource\nhard = resource.getrlimit({number})[1]\n"
        f"checked(libc.setrlimit({number}, struct.pack('QQ', hard + 1, hard + 1)))"
        for number in (1, 4, 7)  # RLIMIT_FSIZE, RLIMIT_CORE, RLIMIT_NOFILE
    )
)
def test_a_task_cannot_raise_its_limits(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 3


@tries("checked(libc.prctl(35, 1, 0, 0, 0))")
def test_a_task_cannot_pretend_to_be_another_program_in_the_kernels_books(answers: list[str]) -> None:
    assert answers == ["EPERM"]  # PR_SET_MM
