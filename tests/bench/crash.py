"""Five minutes of the crash test: see tests.crash."""

import asyncio
from pathlib import Path
from typing import Any

from tests.crash.driver import crash as run

_SECONDS, _SEED = 300.0, 1


def crash(directory: Path) -> dict[str, Any]:
    """The counts, and the faults, of which there are to be none."""
    return asyncio.run(run(directory, _SECONDS, _SEED))
