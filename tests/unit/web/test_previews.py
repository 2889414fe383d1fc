"""What a task wrote is shown in the page with nothing that it could do there."""

import pytest

from lan_session_manager.web.previews import defused, preview_headers


@pytest.mark.parametrize("name", ["a.html", "a.HTM", "a.mp4", "a.wav", "x/y.webm"])
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
    "name",
    ["a.js", "a.css", "a.xml", "a.xhtml", "a.mhtml", "a.txt", "a", "html", "a.html.txt", "a.svg", "a.html/"],
)
def test_every_other_kind_of_file_is_not_shown(name: str) -> None:
    assert preview_headers(name) is None


@pytest.mark.parametrize(
    "page", [b"<link rel=preconnect>", b"<LiNk/rel=x>", b"<iframe srcdoc='&lt;link>'>", b"<OBJECT data=x>", b"<embed>"]
)
def test_a_page_has_no_element_that_has_a_connection_opened(page: bytes) -> None:
    shown = defused(b"<p>before</p>" + page)
    assert b"<p>before</p>" in shown
    assert not any(f"<{name}".encode() in shown.lower() for name in ("link", "iframe", "object", "embed"))


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"])
def test_a_page_chooses_no_other_encoding_than_its_headers_say(mark: bytes) -> None:
    assert not defused(mark + "<link>".encode("utf-16-le")).startswith(mark)
