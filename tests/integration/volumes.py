"""What tests of hard quotas look at on the host, and whether it can do what they need."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lan_session_manager.workspace.volumes.base import volumes_directory

_SYS_RESOURCE = 24  # linux/capability.h
CAN_RAISE_MOUNTED = bool(
    int(Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16) & 1 << _SYS_RESOURCE
)

needs_images = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or not os.path.exists("/dev/loop-control") or shutil.which("mkfs.ext4") is None,
        reason="needs root, loop devices and e2fsprogs",
    ),
]


def devices(data_dir: Path) -> list[str]:
    """The loop devices of the images of a data directory."""
    said = _run("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE").stdout
    return [line.split()[0] for line in said.splitlines() if str(volumes_directory(data_dir)) in line]


def image(data_dir: Path, name: str = "127_0_0_1") -> Path:
    """The image of a session, made or not."""
    return volumes_directory(data_dir) / f"{name}.img"


def is_whole(path: Path) -> bool:
    """Whether e2fsck finds nothing to mend in an image that nobody uses; a journal is replayed first."""
    _run("e2fsck", "-p", path)
    return _run("e2fsck", "-f", "-n", path).returncode == 0


def _run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False)
