"""The server's own self-test, run as at its start, and what each of its checks means to the owner."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lan_session_manager.doctor.findings import Finding, Verdict
from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.exposure import is_accepted
from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.box import SandboxError
from lan_session_manager.sandbox.boxes import Boxes, instance_id
from lan_session_manager.sandbox.cgroups import find_cgroups
from lan_session_manager.sandbox.host import read_mounts
from lan_session_manager.sandbox.runtime import find_runtimes
from lan_session_manager.sandbox.selftest import SelfTest
from lan_session_manager.settings import STATE_DIR

_NAME = "isolation"
_PREFIX = "doctor-"
_BEGINS_S = 5.0  # a directory may be there for a moment before it is locked
_MONITORS_END_S = 5.0  # a monitor goes on for a moment after its box


def find_isolation(data_dir: Path, runtime: str, accepted: str) -> list[Finding]:
    """Run the self-test with the settings `runtime` and `accepted`, on the data directory's file system if it is there.

    It has a directory, and so an instance, of its own: a server that runs beside it does not see it.
    """
    if os.geteuid() != 0:
        return [Finding(_NAME, Verdict.SKIPPED, "no box can be made: see user of the server")]
    with _scratch(data_dir) as scratch:
        try:
            return isolation(asyncio.run(_tested(scratch, runtime)), accepted)
        except SandboxError as error:
            return [Finding(_NAME, Verdict.FAIL, f"no box can be made: {error}", "Mend what it names: no task runs.")]


def isolation(found: SelfTest, accepted: str) -> list[Finding]:
    """The findings on a self-test, for an owner who accepts the grade `accepted`."""
    accepts = is_accepted(found.grade, accepted)
    if found.grade == "full":
        findings = [Finding(_NAME, Verdict.PASS, f"full: {found.line}")]
    elif accepts:
        advice = "Mend what fails below, then take LSM_ACCEPT_REDUCED_ISOLATION away."
        findings = [Finding(_NAME, Verdict.CAUTION, f"{found.grade}, as accepted: {found.line}", advice)]
    elif found.usable:
        advice = (
            "Mend what fails below. Until then the server serves this machine only, unless "
            f'LSM_ACCEPT_REDUCED_ISOLATION is "{found.grade}".'
        )
        findings = [Finding(_NAME, Verdict.FAIL, f"{found.grade}: {found.line}", advice)]
    else:
        advice = "Mend what fails below, or try another LSM_OCI_RUNTIME. Until then no task runs."
        findings = [Finding(_NAME, Verdict.FAIL, f"{found.grade}: {found.line}", advice)]
    for check in found.checks:
        name = f"box: {check.name}"
        if check.holds:
            findings.append(Finding(name, Verdict.PASS, "enforced" if check.is_limit else "holds"))
        elif check.is_limit:
            advice = "See cgroups and swap accounting above: one task can take this from all others and from the host."
            verdict = Verdict.CAUTION if accepts else Verdict.FAIL
            findings.append(Finding(name, verdict, f"not enforced: {check.why}", advice))
        elif check.is_privacy:
            advice = (
                "Overlays have to be possible (Linux 5.11 with overlayfs, and shared/ of the data directory on a file "
                "system such as ext4, xfs or btrfs): a task can tell when others use files of the system."
            )
            verdict = Verdict.CAUTION if accepts else Verdict.FAIL
            findings.append(Finding(name, verdict, f"does not hold: {check.why}", advice))
        else:
            advice = "Use another runtime or kernel: a task could get at what is not its own."
            findings.append(Finding(name, Verdict.FAIL, f"does not hold: {check.why}", advice))
    return findings


async def _tested(directory: Path, runtime: str) -> SelfTest:
    engine = LocalEngine(LocalConfig(directory, runtime))
    try:
        return await engine.self_test()
    finally:
        await engine.close()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Nobody else has the directory meanwhile. Raises BlockingIOError where somebody has."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


def _clear_left(state_dir: Path) -> None:
    """Remove what self-tests have left that were killed, and the boxes that they made."""
    for left in state_dir.glob(f"{_PREFIX}*"):
        if left.lstat().st_mtime > time.time() - _BEGINS_S:
            continue
        with contextlib.suppress(OSError, SandboxError), _locked(left):
            for runtime in find_runtimes():
                with contextlib.suppress(SandboxError, OSError):
                    Boxes(instance_id(left), left / STATE_DIR, runtime).remove_all()
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _scratch(data_dir: Path) -> Iterator[Path]:
    """A data directory for the self-test alone; with it goes all that its boxes needed of the host."""
    state_dir = data_dir / STATE_DIR
    _clear_left(state_dir)
    where = state_dir if state_dir.is_dir() else None
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where) as name, _locked(Path(name)):
        directory = Path(os.path.realpath(name))
        instance = instance_id(directory)
        try:
            yield directory
        finally:
            with contextlib.suppress(SandboxError, OSError):
                cgroups, end = find_cgroups(instance, read_mounts()), time.monotonic() + _MONITORS_END_S
                while not cgroups.remove() and time.monotonic() < end:
                    time.sleep(0.02)
            shutil.rmtree(launcher.run_dir() / instance, ignore_errors=True)
            with contextlib.suppress(OSError):  # another instance uses it
                launcher.run_dir().rmdir()
