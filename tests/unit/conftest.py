"""A manager over a directory of its own, with a clock that a test sets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lan_session_manager import LANSessionManager
from lan_session_manager.settings import STATE_DIR, load_settings


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_manager(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., LANSessionManager]]:
    made: list[LANSessionManager] = []

    def make(**settings: object) -> LANSessionManager:
        data_dir = tmp_path / "user_sessions"
        (data_dir / STATE_DIR).mkdir(parents=True, exist_ok=True)
        made.append(LANSessionManager(data_dir, settings=load_settings(data_dir, **settings), clock=clock))
        return made[-1]

    yield make
    for manager in made:
        manager.close()


@pytest.fixture
def manager(make_manager: Callable[..., LANSessionManager]) -> LANSessionManager:
    return make_manager()
