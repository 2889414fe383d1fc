"""The page is light, and loads nothing but from its server."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Response, expect

from lan_session_manager.web.assets import STATIC, Assets
from lan_session_manager.web.modules import fetched_later
from tests.browser.browser import Browsers
from tests.server import start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

MOST_KB = 150


def test_all_that_the_dashboard_can_ever_load_is_light(tmp_path: Path, browsers: Browsers) -> None:
    with start_server(tmp_path) as server:
        chromium = browsers.launch()
        loaded: list[Response] = []
        chromium.context.on("response", lambda response: loaded.append(response))
        page = chromium.open(server.url)
        expect(page.locator("[data-connection=live]")).to_be_attached()
        static = [response for response in loaded if "/static/" in response.url]
        assert static
        for response in static:
            assert response.headers["content-encoding"] == "gzip"
            assert "immutable" in response.headers["cache-control"]
        at_first = {response.url: int(response.headers["content-length"]) for response in static}
        # And what is fetched when it is wanted.
        version = re.findall(r"/static/(\w+)/", static[0].url)[0]
        modules = {path.relative_to(STATIC).as_posix(): path.read_text() for path in (STATIC / "js").rglob("*.js")}
        later = {
            f"/static/{version}/{path}"
            for module, source in modules.items()
            for path in fetched_later(module, source)
            if "*" not in path
        }
        assert later
        for address in later:
            answer = page.request.get(f"{server.url}{address}")
            at_first.setdefault(f"{server.url}{address}", int(answer.headers["content-length"]))
        kb = sum(at_first.values()) / 1024
        print(f"{kb:.1f} KB in {len(at_first)} files")
        assert kb < MOST_KB


def test_a_second_visit_loads_the_page_alone(tmp_path: Path, browsers: Browsers) -> None:
    with start_server(tmp_path) as server:
        chromium = browsers.launch()
        chromium.open(server.url).wait_for_load_state("networkidle")
        page = chromium.context.new_page()
        page.goto(server.url)
        expect(page.locator("[data-connection=live]")).to_be_attached()
        loaded = page.evaluate(
            """() => performance.getEntriesByType("resource")
                .filter(one => one.name.includes("/static/") && one.transferSize > 0).map(one => one.name)"""
        )
        assert loaded == []


def test_nothing_in_the_page_names_another_server() -> None:
    assets = Assets()
    for name in ("index", "admin"):
        assert not re.search(rb"(src|href)=\"(https?:)?//", assets.page(name, "en"))
