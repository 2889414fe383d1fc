"""What the scripts take for granted about the files around them."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _pins(name: str) -> set[str]:
    """The lines "name==version" of a compiled requirements file, markers included."""
    return set(re.findall(r"^[\w.-]+==[^\\\n]+", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


def test_what_the_tests_install_holds_what_the_server_needs_in_the_same_versions() -> None:
    assert _pins("base.txt")
    assert _pins("base.txt") <= _pins("dev.txt")


def test_every_package_has_its_hash() -> None:
    for name in ("base.txt", "dev.txt"):
        text = (ROOT / "requirements" / name).read_text()
        assert len(re.findall(r"^\S+==.*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(_pins(name))


def test_the_scripts_can_be_started() -> None:
    for name in (
        "scripts/serve",
        "scripts/test",
        "scripts/check",
        "scripts/requirements",
        "scripts/test-vm",
        ".ci/run",
    ):
        assert os.access(ROOT / name, os.X_OK), name
