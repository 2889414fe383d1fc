"""What a task wrote is shown in the page with nothing that it could do there."""

import pytest

from lan_session_manager.web.previews import preview_headers


@pytest.mark.parametrize("name", ["a.html", "a.HTM", "a.svg", "a.mp4", "a.wav", "x/y.webm"])
def test_what_is_shown_has_no_script_no_origin_and_loads_nothing(name: str) -> None:
    headers = preview_headers(name)
    assert headers is not None
    policy = dict.fromkeys(headers["Content-Security-Policy"].split("; "))
    assert {"sandbox", "default-src 'none'", "base-uri 'none'", "form-action 'none'"} <= set(policy)
    assert not any("allow-" in part or "script-src" in part or "http" in part for part in policy)
    assert "frame-ancestors 'self'" in policy


def test_the_viewer_for_pdf_runs_in_no_sandbox_and_loads_nothing_from_elsewhere() -> None:
    headers = preview_headers("a.pdf")
    assert headers is not None
    assert headers["Content-Type"] == "application/pdf"
    policy = headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert not any("script" in part or "http" in part or "*" in part for part in policy)


@pytest.mark.parametrize(
    "name", ["a.js", "a.css", "a.xml", "a.xhtml", "a.mhtml", "a.txt", "a", "html", "a.html.txt", "a.swf", "a.html/"]
)
def test_every_other_kind_of_file_is_not_shown(name: str) -> None:
    assert preview_headers(name) is None
