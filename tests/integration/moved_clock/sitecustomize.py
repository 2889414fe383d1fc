"""For a server of a test: its clock shows what the file MOVED_CLOCK says more than the host's, in seconds."""

import os
import time
from pathlib import Path

_real_s, _real_ns = time.time, time.time_ns
_file = Path(os.environ["MOVED_CLOCK"])


def _moved_s() -> float:
    return _real_s() + int(_file.read_text())


def _moved_ns() -> int:
    return _real_ns() + int(_file.read_text()) * 1_000_000_000


time.time, time.time_ns = _moved_s, _moved_ns
