"""The OCI runtime (crun or runc): which one, and the few calls that are made to it beside those of the monitor."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lan_session_manager.sandbox.box import SandboxError

# Nothing of the server's own environment is of use to these programs, and some of it is secret.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_NAMES = ("crun", "runc")
_PATIENCE_S = 30.0  # a call takes some 10 ms; a host that is short of everything may need far longer


@dataclass(frozen=True)
class Runtime:
    """A runtime program; `state` is the directory where it keeps what it knows of the instance's boxes."""

    path: Path
    state: Path
    has_cgroups: bool = True

    @property
    def arguments(self) -> tuple[str, ...]:
        """What stands before every command."""
        # crun makes a cgroup for a box that asks for none, too. runc does not work where it finds none at all.
        none = ("--cgroup-manager=disabled",) if not self.has_cgroups and self.path.name == "crun" else ()
        return ("--root", str(self.state), *none)

    def version(self) -> str:
        """Its name and version, such as "crun 1.8.1". Raises SandboxError if it does not run."""
        words = self._call("--version").split("\n")[0].split()
        return f"{words[0]} {words[-1]}" if words else self.path.name

    def start(self, box_id: str) -> None:
        """Let the program of a created box begin. Raises SandboxError."""
        self._call(*self.arguments, "start", box_id)

    def status(self, box_id: str) -> str | None:
        """`created`, `running` or `stopped`; None if the runtime knows no such box."""
        try:
            return str(json.loads(self._call(*self.arguments, "state", box_id))["status"])
        except (SandboxError, ValueError, KeyError):
            return None

    def delete(self, box_id: str) -> None:
        """Kill what lives of a box and forget it; nothing happens if there is no such box."""
        try:
            self._call(*self.arguments, "delete", "--force", box_id)
        except SandboxError:
            if self.status(box_id) is not None:
                raise

    def known(self) -> list[str]:
        """The boxes that it knows, running or not."""
        return sorted(os.listdir(self.state)) if self.state.is_dir() else []

    def _call(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [self.path, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=ENVIRONMENT,
                cwd="/",
                timeout=_PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SandboxError(f"{self.path.name} did not answer") from None
        except OSError as error:
            raise SandboxError(f"{self.path} cannot be run: {error.strerror}") from None
        if done.returncode != 0:
            raise SandboxError(done.stderr.strip() or f"{self.path.name} ended with {done.returncode}")
        return done.stdout


def find_program(name: str) -> Path | None:
    """Where a program is installed, also in the directories that only root has in its PATH."""
    found = shutil.which(name, path=ENVIRONMENT["PATH"])
    return Path(found) if found else None


def find_runtimes(wanted: str = "") -> list[Path]:
    """The runtimes to try, the best first: the one at path `wanted`, or those that are installed.

    Raises SandboxError if there is none.
    """
    if wanted:
        found = [path for path in [find_program(wanted)] if path]
    else:
        found = [path for path in map(find_program, _NAMES) if path]
    if not found:
        raise SandboxError(f"the OCI runtime {wanted or ' or '.join(_NAMES)} is not installed")
    return found
