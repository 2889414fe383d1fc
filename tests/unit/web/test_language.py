"""The page is in the language that was chosen, else in one that the browser prefers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from lan_session_manager.web.language import language_of, preferred

_LANGUAGES = ("en", "de")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en;q=0.7, de;q=0.9", "de"),
        ("fr-CH, fr;q=0.9, de;q=0.5, en;q=0.4", "de"),
        ("de;q=0, en;q=0.1", "en"),
        ("*", "en"),
        ("DE", "de"),
        ("de;q=2, en", "en"),
        ("de" + "x" * 600, "en"),
    ],
)
def test_what_a_browser_prefers_counts(accepted: str, language: str) -> None:
    assert preferred(accepted, _LANGUAGES) == language


@given(st.text())
def test_whatever_a_header_says_there_is_a_language(accepted: str) -> None:
    assert preferred(accepted, _LANGUAGES) in _LANGUAGES


@pytest.mark.parametrize(("cookie", "language"), [("de", "de"), ("en", "en"), ("../x", "de"), ("", "de")])
def test_a_choice_goes_before_what_the_browser_prefers(cookie: str, language: str) -> None:
    headers = [(b"accept-language", b"de"), (b"cookie", f"lsm-language={cookie}".encode())]
    assert language_of(Request({"type": "http", "headers": headers}), _LANGUAGES) == language
