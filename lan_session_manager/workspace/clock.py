"""How far the clock was set forward while the server runs: times on the disk know nothing of that."""

import time

_NOTED_S = 60.0  # less is a correction


class SetClock:
    """Compares the clock that people set with the one that only goes on. For use from one thread at a time."""

    def __init__(self) -> None:
        self._apart = time.time() - time.monotonic()
        self._ahead = 0.0

    def ahead(self) -> float:
        """Seconds by which it was set forward so far, all times together."""
        apart = time.time() - time.monotonic()
        if apart - self._apart > _NOTED_S:
            self._ahead += apart - self._apart
        self._apart = apart
        return self._ahead
