"""The crash test, for a minute. LSM_CRASH_SECONDS and LSM_CRASH_SEED choose another length and another plan."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.crash.driver import crash

_SECONDS = float(os.environ.get("LSM_CRASH_SECONDS", "60"))
_SEED = int(os.environ.get("LSM_CRASH_SEED", "1"))


@pytest.mark.root
@pytest.mark.crash
@pytest.mark.timeout(_SECONDS + 600)
def test_nothing_is_lost_doubled_or_left_whenever_the_server_and_its_monitors_are_killed(tmp_path: Path) -> None:
    findings = asyncio.run(crash(tmp_path, _SECONDS, _SEED))
    print(json.dumps(findings, indent=2))
    assert findings["faults"] == []
    assert sum(findings["blows"].values()) > 0
    for what in ("tasks accepted", "starts", "logs that are whole", "resumed", "keys", "events heard"):
        assert findings["counts"][what] > 0, what
