"""When the machine is short of something for a moment: which tasks are to be tried again, and when."""

import errno
from dataclasses import dataclass

WAITS_S = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)  # before each further try of one task; after the last the task fails
# Descriptors, of the process and of the machine; memory; processes and threads.
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


def is_shortage(error: BaseException | None) -> bool:
    """Whether what failed, or what that came from, is that this process or the machine had no more of something."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SHORT):
            return True
        error = error.__cause__ or error.__context__
    return False


@dataclass(frozen=True)
class _Put:
    tries: int
    until: float


class Later:
    """Tasks that are put off. Times are of any one clock, in seconds."""

    def __init__(self) -> None:
        self._put: dict[str, _Put] = {}

    def put_off(self, task_id: str, now: float) -> float | None:
        """For how long that task is to wait this time; None: it has been tried as often as it may be."""
        tries = self._put[task_id].tries if task_id in self._put else 0
        if tries == len(WAITS_S):
            del self._put[task_id]
            return None
        self._put[task_id] = _Put(tries + 1, now + WAITS_S[tries])
        return WAITS_S[tries]

    def waiting(self, now: float) -> frozenset[str]:
        """The tasks that are not to be tried yet."""
        return frozenset(task_id for task_id, put in self._put.items() if now < put.until)

    def forget(self, task_id: str) -> None:
        """That task has been started, or is no more."""
        self._put.pop(task_id, None)
