"""The system of a box has what programs need and none of the host's own files."""

import os
import stat
from pathlib import Path

import pytest

from lan_session_manager.sandbox.rootfs import make_system


def test_the_skeleton_holds_empty_directories_links_and_an_etc_of_its_own(tmp_path: Path) -> None:
    system = make_system(tmp_path / "rootfs")
    root = system.root
    for name in ("proc", "dev", "usr", "home", "root", "run", "workspace", "shared", "opt"):
        assert list((root / name).iterdir()) == []
    assert {path.name for path in (root / "etc").iterdir()} <= {
        "passwd", "group", "hosts", "hostname", "resolv.conf", "nsswitch.conf", "alternatives", "ssl", "ld.so.cache",
        "ld.so.conf", "localtime", "os-release", "debian_version", "mime.types", "services", "protocols",
    }  # fmt: skip
    assert not (root / "etc/shadow").exists()
    users = [line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()]
    assert users == ["root", "user", "nobody"]
    assert (root / "etc/resolv.conf").read_text() == ""


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_everybody_may_pass_and_tmp_has_the_mode_that_its_mount_takes_over(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        root = make_system(tmp_path / "rootfs").root
    finally:
        os.umask(before)
    for path in (root, *root.rglob("*")):
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o1777 if path == root / "tmp" else 0o755 if path.is_dir() else 0o644), path


def test_making_it_again_brings_it_up_to_date(tmp_path: Path) -> None:
    root = make_system(tmp_path / "rootfs").root
    (root / "etc/passwd").write_text("old")
    (root / "tmp").chmod(0o700)
    make_system(root)
    assert "user:x:1000" in (root / "etc/passwd").read_text()
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
