"""The page over TLS in a real browser, and how a device comes to trust the server."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import expect

from lan_session_manager.settings import STATE_DIR
from lan_session_manager.tls.certificates import read_pem
from lan_session_manager.tls.keeper import SERVER_FILE, TLS_DIR
from tests.browser.browser import Browsers
from tests.server import Server, start_server

pytestmark = pytest.mark.browser

_PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("tls"), args=["--tls"]) as running:
        yield running


def _key(server: Server) -> str:
    pair = read_pem((server.data_dir / STATE_DIR / TLS_DIR / SERVER_FILE).read_bytes())
    public = pair.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()


def test_the_page_works_over_tls_and_says_how_others_come_to_trust_it(server: Server, browsers: Browsers) -> None:
    chromium = browsers.launch(trusted_key=_key(server))
    page = chromium.open(server.url + "/")
    expect(page.get_by_role("banner").get_by_text("Live", exact=True)).to_be_visible(timeout=_PATIENCE_MS)
    assert page.evaluate("window.isSecureContext")
    answer = page.request.get(server.url + "/", ignore_https_errors=True)
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    page.get_by_role("button", name="Join").click()
    link = page.get_by_role("link", name="install the server's certificate")
    expect(link).to_have_attribute("href", server.url.replace("https", "http", 1) + "/ca")
    shown = page.locator(".join-fingerprint").inner_text()
    assert len(shown) == 95

    plain = chromium.open(server.url.replace("https", "http", 1) + "/ca")
    assert plain.locator("#fingerprint").inner_text() == shown
    assert plain.evaluate("getComputedStyle(document.querySelector('h1')).fontSize") == "20px"
    with plain.expect_download() as download:
        plain.get_by_role("link", name="Download the certificate").click()
    assert b"BEGIN CERTIFICATE" in Path(download.value.path()).read_bytes()


def test_a_browser_that_opens_the_plain_address_ends_at_the_page_over_tls(server: Server, browsers: Browsers) -> None:
    chromium = browsers.launch(trusted_key=_key(server))
    chromium.open(server.url + "/")
    page = chromium.context.new_page()
    chromium.expect("request to elsewhere: http://127")
    page.goto(server.url.replace("https", "http", 1) + "/")
    assert page.url.startswith(server.url)
    expect(page.get_by_role("banner").get_by_text("Live", exact=True)).to_be_visible(timeout=_PATIENCE_MS)
