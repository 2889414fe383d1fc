"""A data directory with an engine over it, and real boxes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sandbox.room import Room


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """Real boxes; whatever a test leaves of them is removed."""
    if os.geteuid() != 0:
        pytest.skip("boxes need root")
    made = Room(tmp_path / "data")
    yield made
    made.remove()
