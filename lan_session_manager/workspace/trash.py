"""Deleting so that it can be brought back: the thing is renamed into the bin of its workspace, and from there again."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from lan_session_manager.errors import (
    ConflictError,
    LSMError,
    NotFoundError,
    QuotaError,
    StorageError,
    TooManyFilesError,
)
from lan_session_manager.workspace import bin as bins
from lan_session_manager.workspace.bin import DATA, Kept
from lan_session_manager.workspace.directories import make_directories, missing
from lan_session_manager.workspace.listing import Entry, EntryType, entry_of
from lan_session_manager.workspace.move import TAKEN, unlock_moved
from lan_session_manager.workspace.opener import closing, open_directory, refusals, unlock
from lan_session_manager.workspace.paths import Parts, stored
from lan_session_manager.workspace.renaming import rename_new
from lan_session_manager.workspace.staging import opened_staging
from lan_session_manager.workspace.usage import DIRECTORY_BYTES, Quota
from lan_session_manager.workspace.validate import TOP
from lan_session_manager.workspace.volumes.base import NO_ROOM
from lan_session_manager.workspace.workspace import Workspace

T = TypeVar("T")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HALF = "Not everything could be deleted. What could be is in the trash, from where it can be brought back."


@dataclass(frozen=True)
class Deleted:
    """A thing in the trash, what it is and what it takes on the disk."""

    kept: Kept
    type: EntryType
    size: int  # bytes


def throw_away(workspace: Workspace, path: Parts) -> Kept:
    """Move what is at `path` to the trash, a link itself; of inputs, outputs and temp all that is in them.

    Where there is no room even for a note of it, what is in the trash already goes for good. Raises NotFoundError,
    ReadOnlyError, SecurityError, ConflictError, QuotaError and StorageError.
    """
    is_content = len(path) == 1 and path[0] in TOP and not workspace.read_only
    if not is_content:
        workspace.check_writable(path)
    try:
        return _throw_away(workspace, path, is_content)
    except (QuotaError, TooManyFilesError, StorageError) as error:
        if not _is_for_room(error) or not workspace.empty_trash():
            raise
        return _throw_away(workspace, path, is_content)


def _is_for_room(error: LSMError) -> bool:
    cause = error.__cause__
    return not isinstance(error, StorageError) or (isinstance(cause, OSError) and cause.errno in NO_ROOM)


def _throw_away(workspace: Workspace, path: Parts, is_content: bool) -> Kept:
    def work(root: int, directory: int) -> Kept:
        source = path if is_content else path[:-1]
        with closing(open_directory(root, source)) as parent:
            unlock(parent)
            names = [os.fsencode(name) for name in os.listdir(parent)] if is_content else [stored(path[-1])]
            if not is_content:
                os.stat(names[0], dir_fd=parent, follow_symlinks=False)
            kept, place = bins.add(directory, path, is_content=is_content)
            try:
                _take(parent, names, place, is_content=is_content)
            except BaseException as error:
                if is_content and not _taken_back(parent, place):
                    raise ConflictError(what=_HALF) from error
                bins.forget(directory, kept.id)
                raise
            finally:
                os.close(place)
        return kept

    return _in_bin(workspace, work, make=True)


def _take(parent: int, names: list[bytes], place: int, *, is_content: bool) -> None:
    if not is_content:
        unlock_moved(parent, names[0], os.stat(names[0], dir_fd=parent, follow_symlinks=False))
        rename_new(parent, names[0], place, DATA)
        return
    os.mkdir(DATA, 0o700, dir_fd=place)
    with closing(os.open(DATA, _DIRECTORY, dir_fd=place)) as data:
        _move_all(parent, names, data)


def _taken_back(parent: int, place: int) -> bool:
    """Put back what has been moved of a directory's content; gives whether all of it could be."""
    try:
        with closing(os.open(DATA, _DIRECTORY, dir_fd=place)) as data:
            _move_all(data, [os.fsencode(name) for name in os.listdir(data)], parent)
        os.rmdir(DATA, dir_fd=place)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _move_all(source: int, names: list[bytes], target: int) -> None:
    for name in names:
        with suppress(FileNotFoundError):
            unlock_moved(source, name, os.stat(name, dir_fd=source, follow_symlinks=False))
            rename_new(source, name, target, name)


def contents(workspace: Workspace) -> tuple[list[Deleted], float]:
    """What is in the trash, the newest first, and after how many seconds each goes for good."""
    if not workspace.is_made:
        return [], bins.KEPT_S

    def work(root: int, directory: int) -> list[Deleted]:
        del root
        sizes = bins.amounts(directory)
        found = []
        for kept in bins.everything(directory):
            if (known := bins.find(directory, kept.id)) is None:
                continue
            with closing(known[1]) as place, suppress(FileNotFoundError):
                entry = entry_of(DATA, os.stat(DATA, dir_fd=place, follow_symlinks=False))
                amount = sizes.get(kept.id)
                size = entry.size if entry.type is not EntryType.DIRECTORY else amount.bytes if amount else 0
                found.append(Deleted(kept, entry.type, size))
        return found

    try:
        return _in_bin(workspace, work), bins.KEPT_S
    except NotFoundError:
        return [], bins.KEPT_S


def restore(workspace: Workspace, kept_id: str, quota: Quota, to: Parts | None = None) -> tuple[Parts, Entry | None]:
    """Bring a thing back to where it was, or to `to`, and say where and what it is; never over anything.

    What came from inputs, outputs or temp as a whole goes back into it, or becomes the directory `to`. The directories
    on the way are made again. Raises NotFoundError, ReadOnlyError, SecurityError, ConflictError, QuotaError,
    TooManyFilesError and StorageError.
    """
    if to is not None:
        workspace.check_writable(to)

    def sized(root: int, directory: int) -> tuple[Parts, int, int]:
        known = bins.find(directory, kept_id)
        if known is None:
            raise NotFoundError
        os.close(known[1])
        target = to or known[0].path
        directories = missing(root, target[:-1])
        amount = bins.amounts(directory).get(kept_id, bins.Amount())
        return target, amount.bytes + directories * DIRECTORY_BYTES, amount.files + directories

    def work(root: int, directory: int) -> Entry | None:
        known = bins.find(directory, kept_id)
        if known is None:
            raise NotFoundError
        kept, place = known
        with closing(place):
            if kept.is_content and to is None:
                _put_back(root, kept.path, place)
                entry = None
            else:
                entry = _put(root, target, place)
        bins.forget(directory, kept_id)
        return entry

    try:
        target, size, files = _in_bin(workspace, sized)
        # Promised like an upload, so that no task that runs is held for it.
        reservation = workspace.meter.reserve(size, quota, files)
        try:
            entry = _in_bin(workspace, work)
        except BaseException:
            reservation.release()
            raise
        reservation.settle(size)
    finally:
        workspace.touch()
    return target, entry


def _put(root: int, target: Parts, place: int) -> Entry:
    name = stored(target[-1])
    try:
        info = os.stat(DATA, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        raise NotFoundError from None
    with closing(make_directories(root, target[:-1])) as parent:
        unlock_moved(place, DATA, info)
        try:
            rename_new(place, DATA, parent, name)
        except FileExistsError:
            raise ConflictError(what=TAKEN) from None
    return entry_of(name, info)


def _put_back(root: int, path: Parts, place: int) -> None:
    with closing(make_directories(root, path)) as target:
        with closing(os.open(DATA, _DIRECTORY, dir_fd=place)) as data:
            unlock(data)
            names = [os.fsencode(name) for name in os.listdir(data)]
            taken = {os.fsencode(name) for name in os.listdir(target)}
            if any(name in taken for name in names):
                raise ConflictError(what=TAKEN)
            try:
                _move_all(data, names, target)
            except FileExistsError:
                raise ConflictError(what=TAKEN) from None
        os.rmdir(DATA, dir_fd=place)


def purge(workspace: Workspace, kept_id: str) -> None:
    """Remove one thing for good. Raises NotFoundError."""
    with refusals():
        gone = bins.purge(workspace.staging, workspace.owner, kept_id) if workspace.is_made else 0
    workspace.touch()
    if not gone:
        raise NotFoundError


def _in_bin(workspace: Workspace, work: Callable[[int, int], T], *, make: bool = False) -> T:
    """What `work` gives, acting as the owner, for the workspace's directory and its bin. Raises NotFoundError."""
    with (
        refusals(),
        workspace.room(),
        closing(opened_staging(workspace.staging, workspace.owner)) as staging,
        workspace.opened() as root,
        closing(bins.opened(staging, make=make)) as directory,
    ):
        return work(root, directory)
