"""Hard quotas by images: the workspace of each session is in a file system of its own, in a sparse file.

Of a session `name` there are, in `<state>/volumes/`: `name.img`; `name/`, where it is mounted for the server alone,
with `workspace/` and `staging/` in it; and `name.lock`. The data directory has the workspace a second time, bound to
`<data>/name`, for tasks and for people. `name.new` is an image that is not complete, mounted at `name.making/`, and
`name.old` the plain workspace while it is copied: whoever finds them begins again, or ends what another began.
"""

import contextlib
import errno
import fcntl
import glob
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lan_session_manager.errors import HardQuotaError, VolumeError
from lan_session_manager.settings import MB
from lan_session_manager.workspace.opener import closing
from lan_session_manager.workspace.owner import Owner
from lan_session_manager.workspace.usage import Quota, Usage
from lan_session_manager.workspace.volumes import loops, sizes
from lan_session_manager.workspace.volumes.base import Held, Place, has_files, volumes_directory
from lan_session_manager.workspace.volumes.loops import ToolError
from lan_session_manager.workspace.volumes.moving import can_be_copied, changed_since, with_room_for

_log = logging.getLogger(__name__)

_WORKSPACE, _STAGING = "workspace", "staging"
_PROBE = Quota(MB, 16)

_DAMAGED = "its disk image is damaged"
_FAILED = "the server could not make or mount its disk image"


class Images:
    """Images of the sessions below `data_dir`. `makes`: sessions that have none yet get one."""

    line = "a disk image for each session"

    def __init__(self, data_dir: Path, *, makes: bool) -> None:
        self._data_dir = data_dir
        self._directory = volumes_directory(data_dir)
        self._makes = makes

    def prepare(self) -> None:
        """Make what all images need. Before the first thread with mounts of its own. Raises HardQuotaError."""
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            loops.share(self._data_dir)
        except (OSError, ToolError) as error:
            raise HardQuotaError(why=f"nothing can be mounted in {self._data_dir} ({error})") from error

    def probe(self) -> None:
        """Make an image, mount it and take it away again. Raises HardQuotaError where that does not work."""
        name = f".probe-{os.getpid()}"
        image, point = self._directory / f"{name}.img", self._directory / name
        try:
            point.mkdir(mode=0o700, parents=True)
            self._make_empty(image, _PROBE)
            loops.mount_image(image, point)
            try:
                loops.hold_back(point, 1)
            finally:
                loops.unmount(point)
        except (OSError, ToolError) as error:
            raise HardQuotaError(why=f"no disk image can be mounted ({error})") from error
        finally:
            image.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                point.rmdir()
                self._directory.rmdir()  # where nothing else is in it

    def are_there(self) -> bool:
        """Whether there are images, or one was begun."""
        return any(True for suffix in ("img", "old") for _ in self._directory.glob(f"[!.]*.{suffix}"))

    def count(self) -> int:
        """How many images there are."""
        return sum(1 for _ in self._directory.glob("[!.]*.img"))

    def ready(self, name: str, owner: Owner, quota: Quota, *, may_move: Callable[[], bool]) -> None:
        """See `Volumes.ready`."""
        with self._locked(name) as lock, _told(name):
            if not self._of(name, "img").exists():
                self._put_back(name)
                wanted = self._makes and self._may_be_made(name, may_move)
                if not (wanted and self._is_made(name, owner, quota, lock)):
                    return
            self._mount(name, lock)
            self._keep(name, quota, lock)

    def place(self, name: str) -> Place | None:
        """See `Volumes.place`."""
        place = Place(self._point(name), _WORKSPACE, self._point(name) / _STAGING)
        if (place.parent / _WORKSPACE).is_dir():  # nothing is in that directory while nothing is mounted there
            return place
        if not self._of(name, "img").exists() and not self._of(name, "old").exists():
            return None
        with self._locked(name) as lock, _told(name):
            if not self._of(name, "img").exists():
                self._put_back(name)
                return None
            self._mount(name, lock)
        return place

    def held(self, name: str) -> Held | None:
        """See `Volumes.held`."""
        try:
            seen = os.statvfs(self._point(name) / _WORKSPACE)
        except OSError:  # not mounted, or damaged: those who ask do so for all sessions, and must go on
            return None
        used = sizes.usage_of(seen.f_blocks - seen.f_bfree, seen.f_files - seen.f_ffree, Usage())
        return Held(used.bytes, used.files, seen.f_bavail * seen.f_frsize, seen.f_favail)

    def release(self, name: str) -> None:
        """See `Volumes.release`. A task that still runs keeps the file system; what is open here keeps the mounts."""
        if not self._of(name, "img").exists():
            return
        with self._locked(name):
            self._unmount(name)

    def discard(self, name: str) -> None:
        """See `Volumes.discard`."""
        with self._locked(name), _told(name):
            self._unmount(name)
            if loops.is_mounted(self._point(name)) or loops.is_mounted(self._data_dir / name):
                raise OSError(errno.EBUSY, "the image is in use")
            self._clear(name)
            for image in (self._of(name, "img"), self._of(name, "lock")):
                image.unlink(missing_ok=True)
            for left in (self._of(name, "old"), *self._directory.glob(f"{glob.escape(name)}.kept-*")):
                if left.exists():
                    loops.remove_tree(left)
            with contextlib.suppress(FileNotFoundError):
                self._point(name).rmdir()

    def _unmount(self, name: str) -> None:
        for point in (self._point(name), self._data_dir / name):
            if loops.is_mounted(point):
                try:
                    loops.unmount(point)
                except ToolError as error:
                    _log.info("the image of %s stays mounted: %s", name, error)
                    return

    def _may_be_made(self, name: str, may_move: Callable[[], bool]) -> bool:
        plain = self._data_dir / name
        if not has_files(plain):
            return True
        if not may_move():
            return False
        if not can_be_copied(plain):
            _log.warning("the files of %s are too many, or the disk is too full, to move them into an image", name)
            return False
        return True

    def _is_made(self, name: str, owner: Owner, quota: Quota, lock: int) -> bool:
        """Make the image; False: the files that are there could not be moved into one, and are watched."""
        try:
            self._make(name, owner, quota, lock)
        except (OSError, ToolError) as error:
            if not has_files(self._data_dir / name):
                raise
            _log.warning("the files of %s stay outside of an image, and are watched: %s", name, error)
            return False
        return True

    def _make(self, name: str, owner: Owner, quota: Quota, lock: int) -> None:
        """A complete image, with everything of the plain workspace in it, which is away from its place then.

        Whatever fails, the plain workspace is in its place again, now or at its next use.
        """
        new, old, plain, point = (
            self._of(name, "new"),
            self._of(name, "old"),
            self._data_dir / name,
            self._of(name, "making"),
        )
        self._clear(name)
        point.mkdir(mode=0o700)
        if has_files(plain):
            plain.rename(old)
        os.pwrite(lock, b"%20d" % time.time(), 0)
        try:
            if old.exists():
                quota = with_room_for(old, quota)
            self._make_empty(new, quota)
            loops.mount_image(new, point)
            inside = point / _WORKSPACE
            for directory in (inside, point / _STAGING):
                directory.mkdir(mode=0o700)
                os.chown(directory, owner.uid, owner.gid)
            if old.exists():
                loops.copy_tree(old, inside)
            loops.sync(point)
            loops.unmount(point)
            point.rmdir()
        except BaseException:
            self._clear(name)
            self._put_back(name)
            raise
        new.rename(self._of(name, "img"))
        with closing(os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
            os.fsync(fd)

    def _leave_old(self, name: str, lock: int) -> None:
        """Remove the plain workspace, of which everything is in the image, unless something changed meanwhile."""
        old, began = self._of(name, "old"), int(os.pread(lock, 20, 0) or 0)
        if changed_since(old, began):
            self._set_aside(name, old)
        else:
            loops.remove_tree(old)

    def _put_back(self, name: str) -> None:
        """The plain workspace is in its place again, of which no copy came to its end."""
        old, plain = self._of(name, "old"), self._data_dir / name
        if old.exists() and not has_files(plain):
            old.rename(plain)

    def _clear(self, name: str) -> None:
        """Nothing is left of an image that is not complete."""
        point = self._of(name, "making")
        if loops.is_mounted(point):
            loops.unmount(point)
        if point.exists():
            point.rmdir()
        self._of(name, "new").unlink(missing_ok=True)

    @staticmethod
    def _make_empty(image: Path, quota: Quota) -> None:
        shape = sizes.geometry(quota)
        with closing(os.open(image, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)) as fd:
            os.ftruncate(fd, shape.size)
        loops.make_file_system(image, shape.inodes, shape.journal_mb)

    def _set_aside(self, name: str, directory: Path) -> None:
        """What is in the way, and is not in the image, is kept where nobody but the owner finds it."""
        kept = self._directory / f"{name}.kept-{time.time_ns()}"
        directory.rename(kept)
        _log.warning("files of the session %s that are not in its image, or are newer there, are in %s", name, kept)

    def _mount(self, name: str, lock: int) -> None:
        """Have the image at both of its places. What is mounted already, by an earlier server too, is left alone."""
        image, point, plain = self._of(name, "img"), self._point(name), self._data_dir / name
        if loops.is_mounted(point) and not loops.takes_writes(point):
            _log.warning("the image of %s met an error: it is mended as soon as nobody uses it", name)
            self._unmount(name)
        if not loops.is_mounted(point):
            point.mkdir(mode=0o700, exist_ok=True)
            if loops.attached(image) is None:
                try:
                    loops.check_file_system(image)
                except ToolError as error:
                    _log.error("the image of %s is damaged: %s", name, error)
                    raise VolumeError(why=_DAMAGED) from error
            loops.mount_image(image, point)
        if self._of(name, "old").exists():
            self._leave_old(name, lock)
        if not loops.is_mounted(plain):
            if has_files(plain):
                self._set_aside(name, plain)
            plain.mkdir(mode=0o700, exist_ok=True)
            loops.bind(point / _WORKSPACE, plain)

    def _keep(self, name: str, quota: Quota, lock: int) -> None:
        """Let the file system hold the quota, no more and no less."""
        point = self._point(name)
        seen = os.statvfs(point)
        if sizes.too_small(seen.f_blocks, seen.f_files, quota):
            self._grow(name, quota, lock)
            seen = os.statvfs(point)
        blocks = sizes.held_back(seen.f_blocks, quota)
        if seen.f_bfree - seen.f_bavail != blocks:
            loops.hold_back(point, blocks)

    def _grow(self, name: str, quota: Quota, lock: int) -> None:
        image, point = self._of(name, "img"), self._point(name)
        size = sizes.grown_size(os.stat(image).st_size, os.statvfs(point).f_files, quota)
        try:
            loops.grow(image, size, loops.attached(image))
        except ToolError as error:
            # Not every server may do that while it is mounted (CAP_SYS_RESOURCE): then as soon as nobody uses it.
            _log.info("the image of %s cannot grow while it is mounted: %s", name, error)
        else:
            return
        try:
            self._unmount(name)
            if loops.attached(image) is None:
                loops.grow(image, size, None)
            else:
                _log.info("the image of %s grows once nobody uses it", name)
        finally:
            self._mount(name, lock)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[int]:
        """Alone with the image, of all threads of all processes, also of programs that outlived their server.

        The file says when the files began to be copied.
        """
        fd = os.open(self._of(name, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with closing(fd):
            fcntl.flock(fd, fcntl.LOCK_EX)
            with loops.locked_by(fd):
                yield fd

    def _of(self, name: str, what: str) -> Path:
        return self._directory / f"{name}.{what}"

    def _point(self, name: str) -> Path:
        return self._directory / name


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """What programs and the disk refuse is logged, and becomes the error that the session can meet."""
    try:
        yield
    except (OSError, ToolError) as error:
        _log.error("the image of %s could not be made or mounted: %s", name, error)
        raise VolumeError(why=_FAILED) from error
