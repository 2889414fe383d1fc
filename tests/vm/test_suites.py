"""The tests of boxes, attacks and restarts, once more: by a user with a systemd of its own, in its user namespace."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import ROOT
from tests.vm.service import needs_machine, shell_of
from tests.vm.test_user_session import forget_user, give_session, new_user

pytestmark = [*needs_machine, pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The home of a user whose ids suffice for the tests' sessions."""
    try:
        made = new_user("cyd", 300_000_000, sessions=200)
        give_session("cyd")
        yield made
    finally:
        forget_user("cyd")


@pytest.mark.parametrize("suite", ["integration/sandbox", "attacks", "integration/test_restart.py"])
def test_what_root_can_prove_a_user_can_prove(home: Path, suite: str) -> None:
    directory = home / "pytest"
    inside = [*shell_of("cyd"), "env", "-C", str(ROOT), f"HOME={home}"]
    inside.append(f"HYPOTHESIS_STORAGE_DIRECTORY={home}/.hypothesis")
    inside += [sys.executable, "-m", "lan_session_manager", "inside", sys.executable, "-B", "-m", "pytest"]
    options = ["-p", "no:cacheprovider", "--timeout", "900", f"--basetemp={directory}", f"tests/{suite}"]
    done = subprocess.run([*inside, *options], check=False)
    shutil.rmtree(directory, ignore_errors=True)
    assert done.returncode == 0
