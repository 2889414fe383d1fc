"""A box as the server makes it, monitor included, without the server."""

import os
import shutil
import time
from itertools import count
from pathlib import Path

from lan_session_manager.logs import LogFile
from lan_session_manager.sandbox import host
from lan_session_manager.sandbox.box import TASK_UID, Box, BoxLimits, GroupLimits, user_range
from lan_session_manager.sandbox.boxes import Boxes, instance_id
from lan_session_manager.sandbox.runtime import find_runtimes
from tests.bench.bare import COMMAND

_MB = 1024 * 1024
_LOOK_S = 0.0005
_PATIENCE_S = 20.0


class Monitored:
    """Boxes in `directory`, one after the other, by a thread that has entered its private mounts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "monitored"
        self._boxes = Boxes(instance_id(self._directory), self._directory / "state", find_runtimes("")[0])
        self._numbers = count()

    def __enter__(self) -> "Monitored":
        for name in ("state", "workspace", "shared"):
            (self._directory / name).mkdir(parents=True)
        owner = user_range(65_001) + TASK_UID
        os.chown(self._directory / "workspace", owner, owner)
        self._boxes.prepare()
        return self

    def __exit__(self, *_: object) -> None:
        self._boxes.remove_all()

    def run(self) -> float:
        """Milliseconds from the making of a box to the first byte in its log."""
        box = Box(
            box_id=f"bench{next(self._numbers)}",
            group="bench",
            argv=COMMAND,
            env={"PATH": "/usr/bin:/bin"},
            workspace=self._directory / "workspace",
            shared=self._directory / "shared",
            uid_base=user_range(65_001),
            limits=BoxLimits(512 * _MB, 256, 1024 * _MB, 64 * _MB),
            group_limits=GroupLimits(1024 * _MB, 512, 2.0),
        )
        begun = time.perf_counter()
        made = self._boxes.create(box, at_most_s=60)
        self._boxes.start(box.box_id)
        log = LogFile(self._boxes.files(box.box_id).log)
        while not log.read(0):
            if time.perf_counter() - begun > _PATIENCE_S:
                raise RuntimeError("the box printed nothing")
            time.sleep(_LOOK_S)
        first = time.perf_counter()
        fd = host.open_process(made.monitor_pid, made.monitor_started)
        if fd is not None:
            host.wait_for(fd, _PATIENCE_S)
            os.close(fd)
        self._boxes.remove(box.box_id)
        shutil.rmtree(self._boxes.files(box.box_id).directory)
        return (first - begun) * 1000
