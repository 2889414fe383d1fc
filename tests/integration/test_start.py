"""A server that cannot start says why in a sentence, and shows nothing of its insides."""

from pathlib import Path

import pytest

from tests.server import start_server


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("slots = 0\n", "The setting LSM_SLOTS does not fit"),
        ("slots = \n", "settings.toml is no valid TOML"),
        ('trusted_proxies = "nobody"\n', "This is not an IP address"),
    ],
)
def test_a_settings_file_that_does_not_fit(tmp_path: Path, settings: str, said: str) -> None:
    state_dir = tmp_path / "user_sessions" / ".lan_session_manager"
    state_dir.mkdir(parents=True, mode=0o700)
    (state_dir / "settings.toml").write_text(settings)
    with pytest.raises(AssertionError, match="did not start") as failed:
        start_server(tmp_path)
    assert said in str(failed.value)
    assert "Traceback" not in str(failed.value)


def test_a_port_that_another_program_uses(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with start_server(tmp_path / "one") as one:
        with pytest.raises(AssertionError, match="another program uses it") as failed:
            start_server(tmp_path / "two", args=("--port", str(one.port)))
        assert "Traceback" not in str(failed.value)


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "user_sessions").write_text("")
    with pytest.raises(AssertionError, match="cannot use the data directory") as failed:
        start_server(tmp_path)
    assert "Traceback" not in str(failed.value)
