"""Which way of keeping quotas is in force over a data directory: chosen by the server at its start, kept for others."""

import logging
import os
from enum import StrEnum
from pathlib import Path

from lan_session_manager.errors import HardQuotaError
from lan_session_manager.settings import QuotaMode
from lan_session_manager.workspace.volumes.base import Volumes, volumes_directory
from lan_session_manager.workspace.volumes.images import Images
from lan_session_manager.workspace.volumes.projects import Projects

_log = logging.getLogger(__name__)


class _Way(StrEnum):
    """What came of the owner's wish, as it stands in the file `mode` of the volumes' directory."""

    IMAGES = "images"
    PROJECTS = "projects"
    OFF = "off"  # images of before are kept up
    PROJECTS_OFF = "projects-off"  # project ids of before stay, without limits


WATCHED = "kept by watching: a fast writer is stopped a little beyond it"


def choose_volumes(data_dir: Path, mode: QuotaMode) -> Volumes | None:
    """The server's volumes, ready for use; None: quotas are kept by watching.

    For its start, before the first thread that has mounts of its own. Where the owner wants hard quotas, project quotas
    are tried, then images; once there are images, these stay. Raises HardQuotaError where neither works.
    """
    images = Images(data_dir, makes=mode is QuotaMode.HARD)
    if mode is QuotaMode.WATCH:
        return _left_by(data_dir, images)
    found = what_works(data_dir)
    if isinstance(found, Images):
        found.prepare()
    _keep(data_dir, _Way.IMAGES if isinstance(found, Images) else _Way.PROJECTS)
    return found


def what_works(data_dir: Path) -> Images | Projects:
    """What would keep hard quotas here, tried out and not yet prepared. Raises HardQuotaError where nothing does."""
    if os.geteuid():
        raise HardQuotaError(why="only a server that is root may set project quotas and mount disk images")
    images, why = Images(data_dir, makes=True), "there are disk images already"
    if not images.are_there():
        projects = Projects(data_dir, limits=True)
        try:
            projects.probe()
        except HardQuotaError as error:
            why = str(error.facts["why"])
        else:
            return projects
    _log.info("project quotas are not used: %s", why)
    try:
        images.probe()
    except HardQuotaError as error:
        raise HardQuotaError(why=f"{why}, and {error.facts['why']}") from error
    return images


def kept_volumes(data_dir: Path) -> Volumes | None:
    """The volumes of a process beside the server, as the last server has chosen them. Tries nothing out."""
    way = _kept(data_dir)
    if way in (_Way.PROJECTS, _Way.PROJECTS_OFF):
        return Projects(data_dir, limits=way is _Way.PROJECTS)
    images = Images(data_dir, makes=way is _Way.IMAGES)
    return images if way is _Way.IMAGES or images.are_there() else None


def line_of(volumes: Volumes | None, mode: QuotaMode) -> str:
    """How quotas are kept, for people."""
    if mode is QuotaMode.HARD and volumes is not None:
        return f"kept by the kernel: {volumes.line}"
    if isinstance(volumes, Images):
        return f"{WATCHED}; the files of {volumes.count()} sessions stay in disk images from before"
    return WATCHED


def _left_by(data_dir: Path, images: Images) -> Volumes | None:
    """What an earlier server has left whose owner wanted hard quotas."""
    way = _kept(data_dir)
    if way in (_Way.PROJECTS, _Way.PROJECTS_OFF):
        _keep(data_dir, _Way.PROJECTS_OFF)
        return Projects(data_dir, limits=False)
    if way is not None:
        _keep(data_dir, _Way.OFF)
    if not images.are_there():
        return None
    images.prepare()
    return images


def _kept(data_dir: Path) -> _Way | None:
    try:
        return _Way((volumes_directory(data_dir) / "mode").read_text().strip())
    except (OSError, ValueError):
        return None


def _keep(data_dir: Path, way: _Way) -> None:
    file = volumes_directory(data_dir) / "mode"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_name(f".mode-{os.getpid()}")
    new.write_text(f"{way}\n")
    new.replace(file)
