"""What an earlier server has made is kept up, and other processes go the way that the server has chosen."""

from pathlib import Path

import pytest

from lan_session_manager.settings import STATE_DIR, QuotaMode
from lan_session_manager.workspace.volumes.base import volumes_directory
from lan_session_manager.workspace.volumes.images import Images
from lan_session_manager.workspace.volumes.mode import choose_volumes, kept_volumes, line_of
from lan_session_manager.workspace.volumes.projects import Projects


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    volumes_directory(tmp_path).mkdir(parents=True)
    return tmp_path


def _keep(data_dir: Path, way: str) -> None:
    (volumes_directory(data_dir) / "mode").write_text(f"{way}\n")


def test_a_server_that_watches_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / STATE_DIR).mkdir()
    assert choose_volumes(tmp_path, QuotaMode.WATCH) is None
    assert list((tmp_path / STATE_DIR).iterdir()) == []
    assert kept_volumes(tmp_path) is None


def test_limits_of_projects_are_taken_away_once_the_owner_wants_to_watch(data_dir: Path) -> None:
    _keep(data_dir, "projects")
    for _ in range(2):
        assert isinstance(choose_volumes(data_dir, QuotaMode.WATCH), Projects)
        assert (volumes_directory(data_dir) / "mode").read_text() == "projects-off\n"
        assert isinstance(kept_volumes(data_dir), Projects)


def test_images_that_were_never_made_are_forgotten_once_the_owner_wants_to_watch(data_dir: Path) -> None:
    _keep(data_dir, "images")
    assert isinstance(kept_volumes(data_dir), Images)
    assert choose_volumes(data_dir, QuotaMode.WATCH) is None
    assert kept_volumes(data_dir) is None


@pytest.mark.parametrize("left", ["10_0_0_1.img", "10_0_0_1.old"])
def test_an_image_and_one_that_was_begun_are_never_forgotten(data_dir: Path, left: str) -> None:
    (volumes_directory(data_dir) / left).touch()
    _keep(data_dir, "off")
    assert isinstance(kept_volumes(data_dir), Images)


def test_a_probe_that_was_killed_is_no_image(data_dir: Path) -> None:
    (volumes_directory(data_dir) / ".probe-1.img").touch()
    assert kept_volumes(data_dir) is None


def test_people_are_told_what_is_left_in_images(data_dir: Path) -> None:
    (volumes_directory(data_dir) / "10_0_0_1.img").touch()
    images = Images(data_dir, makes=False)
    assert "1 sessions stay in disk images" in line_of(images, QuotaMode.WATCH)
    assert line_of(images, QuotaMode.HARD).startswith("kept by the kernel")
    assert line_of(None, QuotaMode.WATCH).startswith("kept by watching")
