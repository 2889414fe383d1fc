"""What each running task of a session has added to the session's files, as far as that is certain: pure.

All tasks of a session write as one user, so the disk does not say whose a file is: what is known is how the files of
the session have grown. Of that growth a task is held for what nobody else can have written: not what was uploaded
meanwhile, not what the other tasks that ran beside it may add, and nothing from the time in which one ran beside it
that has no such limit. So no task is stopped for what another one wrote, and a limit is exact for a task that runs
alone; beside others it may come to add more than it may. All that a session adds is held by its quota in any case.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Amount = tuple[int, int]  # bytes and files
Most = tuple[int | None, int | None]  # the same; None: no limit

_BYTES, _FILES = 0, 1
_AFTER = 2  # scans: the one that goes on while a task ends may not have seen all that it wrote


@dataclass
class _Entry:
    """A running task; `base` is what the session's files take without what it is held for."""

    most: Most
    base: list[int] | None  # None: not known before the next scan


class Ledger:
    """The running tasks of one session, and what each of them is held for."""

    def __init__(self, usage: Amount | None, uploaded: Amount) -> None:
        """`usage` is the last scan, if there was one, and `uploaded` what had ever come by uploads before that."""
        self._entries: dict[str, _Entry] = {}
        self._unclear = [0, 0]  # scans that are still to come of a time in which a task without such a limit ran
        self._usage = usage
        self._uploaded = uploaded

    def begin(self, task_id: str, most: Most, base: Amount | None) -> None:
        """A task starts with the session's files at `base`; None: it runs already, and they are what the next scan
        finds.
        """
        self._entries[task_id] = _Entry(most, None if base is None else list(base))

    def end(self, task_id: str) -> None:
        """A task has ended. The others are never held for what it may have added."""
        ended = self._entries.pop(task_id, None)
        if ended is None:
            return
        for what in (_BYTES, _FILES):
            limit = ended.most[what]
            if limit is None:
                self._unclear[what] = _AFTER
                continue
            for entry in self._entries.values():
                if entry.base is not None:
                    entry.base[what] += limit

    def scanned(self, usage: Amount, uploaded: Amount) -> None:
        """A scan has found `usage`; `uploaded` is what has ever come by uploads, read after the scan."""
        for what in (_BYTES, _FILES):
            new = uploaded[what] - self._uploaded[what]
            unlimited = [key for key, entry in self._entries.items() if entry.most[what] is None]
            for task_id, entry in self._entries.items():
                if entry.base is None:
                    continue
                is_clear = not self._unclear[what] and unlimited in ([], [task_id])
                if self._usage is None:  # the first scan of a server: what was uploaded before is not known
                    entry.base[what] = entry.base[what] if is_clear else usage[what]
                else:
                    entry.base[what] += new if is_clear else usage[what] - self._usage[what]
            self._unclear[what] = _AFTER if unlimited else max(0, self._unclear[what] - 1)
        for entry in self._entries.values():
            if entry.base is None:
                entry.base = list(usage)
        self._usage, self._uploaded = usage, uploaded

    def base(self, task_id: str) -> Amount | None:
        """What a later `begin` has to be given for the task to be held for the same; None: not known yet."""
        entry = self._entries.get(task_id)
        return None if entry is None or entry.base is None else (entry.base[_BYTES], entry.base[_FILES])

    def added(self, hidden: Mapping[str, int], uploading: Amount) -> dict[str, Amount]:
        """What each task that has such a limit has surely added.

        `hidden` has the bytes of each task's own files without a name, which no scan finds; `uploading` is promised to
        uploads, which may be in the last scan.
        """
        found = {}
        for task_id, entry in self._entries.items():
            if entry.base is None or self._usage is None or entry.most == (None, None):
                continue
            grown = [self._usage[what] - entry.base[what] - uploading[what] for what in (_BYTES, _FILES)]
            grown[_BYTES] += hidden.get(task_id, 0)
            for what in (_BYTES, _FILES):
                others = (other.most[what] for key, other in self._entries.items() if key != task_id)
                grown[what] -= sum(limit for limit in others if limit is not None)
            found[task_id] = grown[_BYTES], grown[_FILES]
        return found

    def over(self, hidden: Mapping[str, int], uploading: Amount) -> dict[str, Amount]:
        """The tasks that have added more than they may, with what they have surely added."""
        found = {}
        for task_id, added in self.added(hidden, uploading).items():
            most = self._entries[task_id].most
            if any(limit is not None and amount > limit for amount, limit in zip(added, most, strict=True)):
                found[task_id] = added
        return found

    def room(self) -> Most:
        """How much the session's files may grow from the last scan on until a task may have added more than it may."""
        room: list[int | None] = [None, None]
        for task_id, added in self.added({}, (0, 0)).items():
            for what, limit in enumerate(self._entries[task_id].most):
                if limit is not None:
                    left = limit - added[what]
                    room[what] = left if room[what] is None else min(left, room[what] or 0)
        return room[_BYTES], room[_FILES]
