"""A setting comes from the command line, else from the file, else from the environment, else it has its default."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from lan_session_manager.settings import STATE_DIR, Settings, Source, load_settings


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / STATE_DIR).mkdir()
    return tmp_path


def _write(data_dir: Path, text: str) -> None:
    (data_dir / STATE_DIR / "settings.toml").write_text(text)


def test_the_three_settings_of_old_have_their_names_and_defaults(data_dir: Path) -> None:
    settings = load_settings(data_dir)
    assert (settings.session_timeout_minutes, settings.workspace_quota_mb, settings.max_concurrent_tasks) == (
        60,
        1024,
        5,
    )


def test_the_environment_sets(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE_QUOTA_MB", "7")
    monkeypatch.setenv("LSM_TRUSTED_PROXIES", "10.0.0.1, ::1")
    settings = load_settings(data_dir)
    assert settings.workspace_quota_mb == 7
    assert settings.trusted_proxies == ("10.0.0.1", "::1")


def test_the_file_wins_over_the_environment_and_the_command_line_over_the_file(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSM_SLOTS", "2")
    _write(data_dir, "slots = 3\n")
    assert load_settings(data_dir).slots == 3
    assert load_settings(data_dir, slots=4).slots == 4


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_value_that_does_not_fit_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MAX_CONCURRENT_TASKS", value)
    with pytest.raises(ValidationError):
        load_settings(data_dir)


def test_a_setting_says_where_its_value_comes_from(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data_dir / STATE_DIR / "settings.toml").write_text("slots = 3\nLSM_LOG_MB = 7\n")
    for name in ("LSM_SLOTS", "LSM_QUEUE_BOUND", "LSM_UPLOAD_MB"):
        monkeypatch.setenv(name, "9")
    settings = load_settings(data_dir, upload_mb=4)
    assert [settings.source(name) for name in ("upload_mb", "slots", "log_mb", "queue_bound", "task_time_s")] == [
        Source.COMMAND_LINE,
        Source.FILE,
        Source.FILE,
        Source.ENVIRONMENT,
        Source.DEFAULT,
    ]
    assert (settings.upload_mb, settings.slots, settings.log_mb, settings.queue_bound) == (4, 3, 7, 9)


def test_every_setting_has_a_meaning() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_settings_of_our_own_carry_our_prefix() -> None:
    of_old = {"session_timeout_minutes", "workspace_quota_mb", "max_concurrent_tasks"}
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias.choices[0]  # type: ignore[union-attr]
        assert variable == (name.upper() if name in of_old else f"LSM_{name.upper()}")


def test_every_setting_is_in_the_readme_with_its_meaning() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias.choices[0]  # type: ignore[union-attr]
        assert re.search(
            rf"^\| `{variable}` \| [^|]+ \| {re.escape(field.description or '')} \|$", readme, re.MULTILINE
        ), name
