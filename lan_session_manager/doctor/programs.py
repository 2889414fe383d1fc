"""The programs that boxes need, with their versions and known holes, and what the server itself runs on."""

import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lan_session_manager.doctor.findings import Finding, Verdict
from lan_session_manager.sandbox.box import SandboxError
from lan_session_manager.sandbox.rootfs import find_init
from lan_session_manager.sandbox.runtime import ENVIRONMENT, Runtime, find_program, find_runtimes
from lan_session_manager.store import sqlite_version

Version = tuple[int, int, int, float]  # the last one is the number of a release candidate, or infinity for a release
_RELEASE = float("inf")
_OLDEST_SQLITE: Version = (3, 37, 0, _RELEASE)  # STRICT tables
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Hole:
    """Faults of a program, and the first version without them in each line of releases that got one, oldest first."""

    names: tuple[str, ...]
    fixed: tuple[Version, ...]

    def is_in(self, version: Version) -> bool:
        """Whether that version has it, unless a distribution has mended it."""
        same_line = [fixed for fixed in self.fixed if fixed[:2] == version[:2]]
        return version < (same_line or self.fixed)[-1]


# The runc project's own security advisories: how a box can reach the host.
HOLES = {
    "runc": (
        Hole(("CVE-2024-21626",), ((1, 1, 12, _RELEASE),)),
        Hole(
            ("CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"),
            ((1, 2, 8, _RELEASE), (1, 3, 3, _RELEASE), (1, 4, 0, 3)),
        ),
    )
}


def find_runtime_programs(wanted: str) -> list[Finding]:
    """The OCI runtimes; `wanted` is the setting's path, or empty."""
    try:
        paths = find_runtimes(wanted)
    except SandboxError as error:
        advice = "Install crun or runc (on Debian and Ubuntu: apt install crun runc)."
        if wanted:
            advice = "Set LSM_OCI_RUNTIME to the path of a runtime, or to nothing for crun or runc."
        return [Finding("runtime", Verdict.FAIL, str(error), advice)]
    return [_runtime_at(path) for path in paths]


def find_helpers() -> list[Finding]:
    """The monitor and the first process of a box."""
    return [
        helper("conmon", find_program("conmon"), "keeps the output and the exit code of a task"),
        helper("catatonit", find_init(), "is the first process of a box"),
    ]


def find_own() -> list[Finding]:
    """Python and SQLite."""
    return [
        Finding("Python", Verdict.PASS, f"{platform.python_implementation()} {platform.python_version()}"),
        sqlite(sqlite_version()),
    ]


def parse_version(text: str) -> Version | None:
    """The first version number in a text, such as (1, 4, 0, 2) for "runc 1.4.0-rc.2"; None if there is none."""
    found = re.search(r"(?<![0-9.])([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})(?:[-~]rc\.?([0-9]{1,9}))?", text)
    return (int(found[1]), int(found[2]), int(found[3]), int(found[4]) if found[4] else _RELEASE) if found else None


def runtime(program: str, said: str) -> Finding:
    """The finding on a runtime that says `said` as its name and version."""
    name, version = f"runtime {program}", parse_version(said)
    if version is None:
        advice = "Look yourself whether this version has known holes."
        return Finding(name, Verdict.CAUTION, f"{said}: this is no version number", advice)
    holes = [number for hole in HOLES.get(said.split()[0], ()) if hole.is_in(version) for number in hole.names]
    if holes:
        advice = (
            f"Install {program} 1.2.8, 1.3.3, 1.4.0 or later, or use crun. Your distribution may have mended an older "
            f"version: its changelog says so (zgrep CVE /usr/share/doc/{program}/changelog.Debian.gz)."
        )
        return Finding(name, Verdict.CAUTION, f"{said}, of a version with {', '.join(holes)}", advice)
    return Finding(name, Verdict.PASS, said)


def helper(name: str, path: Path | None, purpose: str) -> Finding:
    """The finding on a program that must be installed."""
    if path is None:
        advice = f"Install {name} (on Debian and Ubuntu: apt install {name}): it {purpose}."
        return Finding(name, Verdict.FAIL, "not installed", advice)
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=ENVIRONMENT,
            cwd="/",
            timeout=_PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(name, Verdict.FAIL, f"{path} does not run: {error}", f"Install {name} again.")
    return Finding(name, Verdict.PASS, (done.stdout or done.stderr).partition("\n")[0].strip() or str(path))


def sqlite(said: str) -> Finding:
    """The finding on the SQLite that Python has."""
    version = parse_version(said)
    if version is None or version < _OLDEST_SQLITE:
        advice = "Use a Python with SQLite 3.37 or later: the database has STRICT tables."
        return Finding("SQLite", Verdict.FAIL, said, advice)
    return Finding("SQLite", Verdict.PASS, said)


def _runtime_at(path: Path) -> Finding:
    try:
        return runtime(path.name, Runtime(path, Path()).version())
    except SandboxError as error:
        return Finding(f"runtime {path.name}", Verdict.FAIL, str(error), f"Install {path.name} again.")
