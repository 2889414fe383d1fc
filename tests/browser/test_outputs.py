"""What a task left is looked at in the page, and whatever it holds does nothing there and loads nothing."""

import contextlib
import io
import socket
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Browsers, Chromium
from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsers]:
    with Browsers(tmp_path_factory.mktemp("browsers")) as all_of_them:
        yield all_of_them


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def chromium(server: Server, browsers: Browsers) -> Iterator[Chromium]:
    chromium = browsers.launch()
    yield chromium
    chromium.context.close()


class _Elsewhere:
    """A place outside: whoever connects to it is counted, whether or not anything is asked for."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.77", 0))
        self.url = f"http://127.0.0.77:{self._listener.getsockname()[1]}"
        self.visits: list[bytes] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(0.3)
                with connection:
                    said = b"(nothing)"
                    with contextlib.suppress(OSError):
                        said = connection.recv(200)
                    self.visits.append(said)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def elsewhere() -> Iterator[_Elsewhere]:
    place = _Elsewhere()
    yield place
    place.close()


def _left(server: Server, **files: str | bytes) -> str:
    """A task that leaves these files; `a__b` is the file a.b. Gives where its outputs are shown."""
    with device(server) as client:
        client.request("DELETE", "/api/workspace/127.0.0.1/files/outputs")
        for name, content in files.items():
            client.put(f"/api/workspace/127.0.0.1/files/inputs/{name.replace('__', '.')}", content=content)
        task_id = submit(client, "cp inputs/* outputs/ && rm -r inputs/*")
        task = ended(client, task_id)
        assert task["outputs_total"] == len(files), task
        return f"{server.url}/#task_{task['number']:03}/outputs"


def _hostile(elsewhere: str) -> str:
    return f"""<!doctype html><html><head><title>hostile</title>
      <base href="{elsewhere}/base/">
      <meta http-equiv="refresh" content="0;url={elsewhere}/refresh">
      <meta http-equiv="Content-Security-Policy" content="default-src *">
      <link rel="stylesheet" href="{elsewhere}/style.css">
      <link rel="preload" as="image" href="{elsewhere}/preload.png">
      <link rel="prefetch" href="{elsewhere}/prefetch">
      <link rel="preconnect" href="{elsewhere}">
      <link rel="dns-prefetch" href="{elsewhere}">
      <link rel="icon" href="{elsewhere}/icon.png">
      <link rel="manifest" href="{elsewhere}/manifest">
      <style>@import url({elsewhere}/import.css); body {{ background: url({elsewhere}/back.png) }}
        @font-face {{ font-family: x; src: url({elsewhere}/font) }} h1 {{ font-family: x }}</style></head>
      <body onload="top.document.title='ran'"><h1>The report</h1>
      <script>top.document.title = 'ran'; fetch('/api/task/submit', {{method: 'POST'}})</script>
      <script src="{elsewhere}/script.js"></script>
      <img src="{elsewhere}/picture.png" onerror="top.document.title='ran'"><img src="/api/dashboard/127.0.0.1">
      <video src="{elsewhere}/video" poster="{elsewhere}/poster" autoplay></video>
      <audio src="{elsewhere}/audio" autoplay></audio>
      <iframe src="{elsewhere}/frame"></iframe><iframe srcdoc="<script>top.document.title='ran'</script>"></iframe>
      <object data="{elsewhere}/object"></object><embed src="{elsewhere}/embed">
      <form id="f" action="{elsewhere}/form"><button>Send</button></form>
      <a id="out" href="{elsewhere}/link">Out</a> <a id="top" target="_top" href="{elsewhere}/top">Top</a>
      <a id="new" target="_blank" href="{elsewhere}/new" ping="{elsewhere}/ping">New</a>
      <a id="api" href="/api/dashboard/127.0.0.1">Ours</a>
      <a id="js" href="javascript:top.document.title='ran'">Script</a>
      </body></html>"""


def test_a_hostile_page_is_laid_out_and_can_do_nothing(
    server: Server, chromium: Chromium, elsewhere: _Elsewhere
) -> None:
    chromium.expect(".")  # it is meant to be full of problems
    page = chromium.open(_left(server, report__html=_hostile(elsewhere.url)))
    page.get_by_role("button", name="report.html").click()
    frame = page.frame_locator("iframe.pageview")
    expect(frame.get_by_role("heading", name="The report")).to_be_visible()
    for link in ("#top", "#new", "#js"):
        frame.locator(link).click(force=True, no_wait_after=True)
    page.wait_for_timeout(1_500)  # for what must not happen nothing can be waited for
    assert elsewhere.visits == []
    # Who follows a link leads the browser there, which connects before it finds that it may not go: it says nothing.
    frame.locator("#out").click(force=True, no_wait_after=True)
    page.wait_for_timeout(1_500)
    assert set(elsewhere.visits) <= {b"(nothing)"}
    assert page.title() == "Tasks · LAN Session Manager"
    assert page.url.startswith(server.url)
    assert len(chromium.context.pages) == 1
    assert "The report" not in page.locator("body").inner_text()
    with device(server) as client:
        assert len(client.get("/api/dashboard/127.0.0.1").json()["my_tasks"]) == page.locator(".task").count()


def test_opened_on_its_own_a_hostile_page_can_do_nothing_either(
    server: Server, chromium: Chromium, elsewhere: _Elsewhere
) -> None:
    chromium.expect(".")
    _left(server, report__html=_hostile(elsewhere.url))
    page = chromium.open(server.url + "/api/workspace/127.0.0.1/preview/outputs/report.html")
    expect(page.get_by_role("heading", name="The report")).to_be_visible()
    page.wait_for_timeout(1_000)
    assert page.title() == "hostile"
    assert elsewhere.visits == []


_DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40"
  onload="document.documentElement.dataset.ran = 1">
  <rect width="120" height="40" fill="teal"/><script>document.documentElement.dataset.ran = 1;
    top.document.title = 'ran'</script><image href="/api/system/health"/><foreignObject width="9" height="9">
  <body xmlns="http://www.w3.org/1999/xhtml"><script>top.document.title = 'ran'</script></body></foreignObject></svg>"""


def test_a_drawing_is_a_picture_without_its_scripts(server: Server, chromium: Chromium) -> None:
    page = chromium.open(_left(server, drawing__svg=_DRAWING))
    picture = page.get_by_role("img", name="Preview of drawing.svg")
    expect(picture).to_be_visible()
    assert picture.evaluate("async (img) => { await img.decode(); return img.naturalWidth }") == 120
    assert (picture.get_attribute("src") or "").startswith("data:image/svg+xml;base64,")
    assert "LAN Session Manager" in page.title()


def test_markdown_is_laid_out_and_never_read_as_html(server: Server, chromium: Chromium, elsewhere: _Elsewhere) -> None:
    source = f"""# Results

Some *words* and a [link](https://example.org/a), [bad](javascript:document.title='ran'), [worse](JaVaScRiPt:x),
[data](data:text/html,<script>1</script>), [relative](/api/dashboard/127.0.0.1), <javascript:x>.

<script>document.title = 'ran'</script>
<img src={elsewhere.url}/x onerror="document.title='ran'"> <iframe src="{elsewhere.url}"></iframe>
![picture]({elsewhere.url}/picture.png)

| a | b |
|---|--:|
| 1 | <b onclick=1>2</b> |

- [x] done
"""
    deep = ">" * 3000 + " deep\n" + "[" * 3000 + "\n" + "*a_" * 3000
    page = chromium.open(_left(server, results__md=source, zdeep__md=deep))
    shown = page.locator(".md").first
    expect(shown.get_by_role("heading", name="Results")).to_be_visible()
    expect(shown.get_by_role("table")).to_be_visible()
    assert shown.locator("a").evaluate_all("all => all.map((a) => a.href)") == ["https://example.org/a"]
    assert shown.locator("a").first.get_attribute("rel") == "noopener noreferrer nofollow"
    expect(page.locator(".out-body").nth(1)).to_contain_text("deep")
    assert page.locator(".md :is(script, img, iframe, b, svg, [onclick], [style])").count() == 0
    expect(shown.get_by_text("document.title = 'ran'")).to_be_visible()
    assert "LAN Session Manager" in page.title()
    assert elsewhere.visits == []


def test_bytes_that_are_something_else_as_well_stay_what_their_name_says(server: Server, chromium: Chromium) -> None:
    both = b"%PDF-1.4\n<html><script>document.title='ran'</script></html>"
    _left(server, a__pdf=both, b__mp4=both, c__wav=both, d__png=both, e__js=both, f__svg=both)
    with device(server) as client:
        preview = "/api/workspace/127.0.0.1/preview/outputs/"
        for name, kind in (("a.pdf", "application/pdf"), ("b.mp4", "video/mp4"), ("c.wav", "audio/wav")):
            answer = client.get(preview + name)
            assert answer.headers["content-type"] == kind
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "script-src" not in answer.headers["content-security-policy"]
        for name in ("d.png", "e.js", "f.svg"):
            refused = client.get(preview + name)
            assert (refused.status_code, refused.json()["code"]) == (415, "no_preview")
        foreign = httpx.Client(base_url=server.url, transport=httpx.HTTPTransport(local_address="127.0.0.3"))
        with foreign:
            assert foreign.get(preview + "a.pdf").status_code == 404
        for site, dest in (("cross-site", "iframe"), ("cross-site", "image"), ("same-site", "iframe")):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest}
            assert client.get(preview + "a.pdf", headers=headers).status_code == 403


def _tone() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(b"\0\0" * 24000)
    return file.getvalue()


def test_sound_plays_from_any_place_of_it(server: Server, chromium: Chromium) -> None:
    page = chromium.open(_left(server, tone__wav=_tone()))
    player = page.get_by_label("tone.wav", exact=True)
    page.wait_for_function("() => document.querySelector('audio')?.duration > 2.9")
    player.evaluate("(audio) => { audio.currentTime = 2 }")
    page.wait_for_function(
        "() => document.querySelector('audio').currentTime === 2 && !document.querySelector('audio').seeking"
    )
    with device(server) as client:
        part = client.get(
            "/api/workspace/127.0.0.1/preview/outputs/tone.wav", headers={"Range": "bytes=0-3", "Host": server.url[7:]}
        )
    assert (part.status_code, part.content) == (206, b"RIFF")


def _rows(page: Page) -> int:
    return page.locator(".out-body tbody tr").count()


def test_a_table_shows_more_rows_on_demand_under_a_head_that_stays(server: Server, chromium: Chromium) -> None:
    rows = "".join(f"row {number},{number * 7},{'x' * 20}\n" for number in range(5000))
    page = chromium.open(_left(server, data__csv="name,value,note\n" + rows))
    expect(page.locator(".out-body tbody tr")).to_have_count(8)
    more = page.get_by_role("button", name="Show more rows")
    more.click()
    expect(page.locator(".out-body tbody tr")).to_have_count(208)
    table = page.get_by_role("region", name="Rows of the table")
    table.evaluate("(box) => { box.scrollTop = 2000 }")
    expect(page.get_by_role("columnheader", name="value")).to_be_in_viewport()
    before = 0
    while before < 3000:  # beyond what was fetched at first
        before = _rows(page)
        more.click()
        page.wait_for_function("(n) => document.querySelectorAll('.out-body tbody tr').length > n", arg=before)


def test_a_table_of_a_place_with_decimal_commas_keeps_its_numbers(server: Server, chromium: Chromium) -> None:
    page = chromium.open(_left(server, preise__csv="Ware;Preis\nBrot;3,20\nSalz;0,45\n", leer__csv="\n"))
    expect(page.get_by_role("cell", name="3,20", exact=True)).to_be_visible()
    expect(page.get_by_text("2 rows, 2 columns")).to_be_visible()
    expect(page.get_by_text("-1 rows")).to_have_count(0)


def test_more_of_a_text_that_could_not_be_fetched_can_be_asked_for_again(server: Server, chromium: Chromium) -> None:
    lines = "".join(f"line {number} {'x' * 60}\n" for number in range(5000))
    page = chromium.open(_left(server, long__txt=lines))
    expect(page.locator(".textview")).to_contain_text("line 0 ")
    chromium.expect("status of 503")
    page.route("**/files/outputs/long.txt", lambda route: route.fulfill(status=503, body='{"error": "Not now."}'))
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_text("Not now.")).to_be_visible()
    expect(page.locator(".textview")).to_contain_text("line 0 ")
    page.unroute("**/files/outputs/long.txt")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".textview")).to_contain_text("line 4000 ")
    expect(page.get_by_text("Not now.")).to_have_count(0)


def test_json_is_laid_out_and_no_number_changes(server: Server, chromium: Chromium) -> None:
    exact = '{"id":12345678901234567890}'
    page = chromium.open(_left(server, a__json='{"b":[1,{"c":null}]}', b__json=exact, c__json="{not json"))
    shown = page.locator(".textview")
    expect(shown).to_have_count(3)
    assert shown.all_inner_texts() == ['{\n  "b": [\n    1,\n    {\n      "c": null\n    }\n  ]\n}', exact, "{not json"]


def test_outputs_come_while_the_task_runs_and_can_be_had_together(server: Server, chromium: Chromium) -> None:
    with device(server) as client:
        client.request("DELETE", "/api/workspace/127.0.0.1/files/outputs")
        command = "mkdir outputs/r; echo 1 > outputs/r/a.txt; sleep 3; echo 2 > outputs/r/b.txt; sleep 60"
        task_id = submit(client, command, limits={"time_s": 120, "memory_mb": 64})
        task = wait_for(client, task_id, lambda task: task["status"] == "running")
    page = chromium.open(f"{server.url}/#task_{task['number']:03}/outputs")
    expect(page.locator(".out")).to_have_count(1)
    expect(page.locator(".out")).to_have_count(2)
    expect(page.locator(".out").filter(has_text="b.txt").get_by_text("new", exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download outputs/r/ as zip").click()
    assert Path(download.value.suggested_filename).suffix == ".zip"
    page.get_by_role("group", name="Actions").get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("So far.")).to_have_count(0)
