"""The workspace on the page: by keyboard, by pointer, with many files, over two tabs, and with what goes wrong."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.browser.browser import Browsers, Chromium
from tests.integration.clients import device
from tests.relay import Relay
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

WORKSPACE = "/api/workspace/127.0.0.1"
FILES = f"{WORKSPACE}/files"
REFUSED = r"status of (404|409|413|507)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server"), env={"WORKSPACE_QUOTA_MB": "64"}) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with device(server) as client:
        for top in ("inputs", "outputs", "temp"):
            client.delete(f"{FILES}/{top}").raise_for_status()
        client.delete(f"{WORKSPACE}/trash").raise_for_status()
        for upload in client.get(f"{WORKSPACE}/uploads").json()["uploads"]:
            client.delete(f"{WORKSPACE}/uploads/{upload['id']}").raise_for_status()
        yield client


@pytest.fixture
def chromium(client: httpx.Client, browsers: Browsers) -> Chromium:
    return browsers.launch()


@pytest.fixture
def room(server: Server) -> Path:
    return server.data_dir / "127_0_0_1"


def _put(client: httpx.Client, *paths: str, data: bytes = b"whale") -> None:
    for path in paths:
        client.put(f"{FILES}/{path}", content=data).raise_for_status()


def _open(chromium: Chromium, server: Server) -> Page:
    page = chromium.open(server.url + "/")
    expect(page.get_by_role("tree", name="Files")).to_be_visible()
    return page


def _item(page: Page, name: str) -> Locator:
    return page.locator(f'[role=treeitem][data-path="{name}"]')


def _focused(page: Page, path: str) -> None:
    expect(_item(page, path)).to_be_focused()


def _choose(page: Page, *files: FilePayload) -> None:
    page.locator("#pane-files [data-dropzone=inputs] input[type=file]").first.set_input_files(list(files))


def _file(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def _until(page: Page, done: object) -> None:
    end = time.monotonic() + 30
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        page.wait_for_timeout(50)


def test_the_tree_by_keyboard_alone(chromium: Chromium, server: Server, client: httpx.Client) -> None:
    _put(client, "inputs/a.txt", "inputs/beta.txt", "inputs/deep/er/c.txt", "outputs/z.csv", data=b"a,b\n1,2\n")
    page = _open(chromium, server)
    _item(page, "inputs/a.txt").wait_for()
    assert page.locator("[role=treeitem][tabindex='0']").count() == 1
    _item(page, "inputs").focus()
    for key, path in (
        ("ArrowDown", "inputs/deep"), ("ArrowRight", "inputs/deep"), ("ArrowRight", "inputs/deep/er"),
        ("ArrowLeft", "inputs/deep"), ("ArrowLeft", "inputs/deep"), ("ArrowDown", "inputs/a.txt"),
        ("b", "inputs/beta.txt"), ("End", "shared"), ("Home", "inputs"), ("ArrowLeft", "inputs"),
        ("ArrowDown", "outputs"), ("ArrowUp", "inputs"), ("Enter", "inputs"), ("ArrowRight", "inputs/deep"),
        ("ArrowLeft", "inputs"), ("z", "outputs/z.csv"),
    ):  # fmt: skip
        page.keyboard.press(key)
        _focused(page, path)
        if key == "ArrowRight":
            expect(page.get_by_text("Reading…")).to_have_count(0)
        page.wait_for_timeout(750 if len(key) == 1 else 0)  # what is typed soon after belongs to it
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("z.csv")
    page.keyboard.press("Escape")
    _focused(page, "outputs/z.csv")
    page.keyboard.press("Shift+F10")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Preview")).to_be_focused()
    page.keyboard.press("Escape")
    _focused(page, "outputs/z.csv")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('[role=tree]')") is None


def test_renaming_in_place(chromium: Chromium, server: Server, client: httpx.Client, room: Path) -> None:
    chromium.expect(REFUSED)
    _put(client, "inputs/old.txt", "inputs/taken.txt")
    page = _open(chromium, server)
    _item(page, "inputs/old.txt").focus()
    page.keyboard.press("F2")
    field = page.get_by_role("textbox", name="New name of old.txt")
    expect(field).to_be_focused()
    page.keyboard.type("taken")  # the ending is not selected
    expect(field).to_have_value("taken.txt")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="taken.txt is there already")).to_be_visible()
    field.fill("a/b")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="cannot have a /")).to_be_visible()
    page.keyboard.press("Escape")
    _focused(page, "inputs/old.txt")
    page.keyboard.press("F2")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("Über uns.txt")
    page.keyboard.press("Enter")
    _focused(page, "inputs/Über uns.txt")
    assert (room / "inputs/Über uns.txt").read_bytes() == b"whale"
    assert not (room / "inputs/old.txt").exists()
    page.get_by_role("button", name="New folder").click()
    page.get_by_role("textbox", name="Name of the new folder in inputs/").fill("results")
    page.keyboard.press("Enter")
    _focused(page, "inputs/results")
    assert (room / "inputs/results").is_dir()


def test_deleting_and_undoing(chromium: Chromium, server: Server, client: httpx.Client, room: Path) -> None:
    chromium.expect(REFUSED)
    _put(client, "inputs/a.txt", "inputs/b.txt", "inputs/deep/c.txt", "temp/d.txt")
    page = _open(chromium, server)
    _item(page, "inputs/a.txt").focus()
    page.keyboard.press("Delete")
    expect(_item(page, "inputs/a.txt")).to_have_count(0)
    _focused(page, "inputs/b.txt")
    assert not (room / "inputs/a.txt").exists()
    page.get_by_role("button", name="Undo the deletion of a.txt").click()
    expect(_item(page, "inputs/a.txt")).to_be_visible()
    expect(page.locator(".undo")).to_have_count(0)
    page.get_by_role("button", name="Delete deep/").click()
    expect(page.locator(".undo")).to_contain_text("deep/ deleted")
    page.wait_for_timeout(6000)  # it stays
    _put(client, "inputs/deep/new.txt")
    page.get_by_role("button", name="Undo the deletion of deep/").click()
    expect(page.locator(".undo")).to_contain_text("There is another deep/ now")
    page.get_by_role("button", name="Restore beside it").click()
    expect(_item(page, "inputs/deep-2")).to_be_visible()
    assert (room / "inputs/deep-2/c.txt").read_bytes() == b"whale"
    page.get_by_role("button", name="Empty temp/").click()
    expect(page.locator(".undo")).to_contain_text("temp/ emptied")
    page.get_by_role("button", name="Undo the deletion of temp/").click()
    _until(page, lambda: (room / "temp/d.txt").exists())


def test_the_trash_says_what_it_takes_and_is_emptied(
    chromium: Chromium, server: Server, client: httpx.Client, room: Path
) -> None:
    _put(client, "inputs/large.bin", data=os.urandom(3 << 20))
    page = _open(chromium, server)
    page.get_by_role("button", name="Delete large.bin").click()
    expect(page.locator(".use-trash")).to_contain_text("3 MB in the trash")
    page.reload()
    page.get_by_role("button", name="Show the trash").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("large.bin")
    dialog.get_by_role("button", name="Restore large.bin").click()
    expect(dialog).to_contain_text("The trash is empty.")
    page.keyboard.press("Escape")
    expect(_item(page, "inputs/large.bin")).to_be_visible()
    page.get_by_role("button", name="Delete large.bin").click()
    page.get_by_role("button", name="Show the trash").click()
    dialog.get_by_role("button", name="Empty the trash…").click()
    expect(dialog).to_contain_text("cannot be brought back")
    dialog.get_by_role("button", name="Empty the trash", exact=True).click()
    expect(page.locator(".use-trash")).to_have_count(0)
    expect(page.locator(".undo")).to_have_count(0)


def test_ten_thousand_files_scroll_and_are_reached_by_keyboard(
    chromium: Chromium, server: Server, client: httpx.Client, room: Path
) -> None:
    client.get(FILES)
    owner = (room / "inputs").stat()
    for number in range(9_990):
        path = room / f"inputs/{number:05}.txt"
        path.touch()
        os.chown(path, owner.st_uid, owner.st_gid)
    page = _open(chromium, server)
    _item(page, "inputs/00000.txt").wait_for()
    assert page.locator("[role=treeitem]").count() < 1_000
    _item(page, "inputs").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.type("0998", delay=20)
    _focused(page, "inputs/09980.txt")
    expect(_item(page, "inputs/09980.txt")).to_be_in_viewport()
    expect(_item(page, "inputs/09985.txt")).to_be_attached()
    page.keyboard.press("End")
    _focused(page, "shared")
    page.keyboard.press("Home")
    _focused(page, "inputs")
    expect(_item(page, "inputs/00005.txt")).to_be_attached()
    page.get_by_role("tree", name="Files").evaluate("tree => { tree.scrollTop = 5000 * 24 }")
    expect(_item(page, "inputs/05000.txt")).to_be_attached()


def test_two_tabs_agree_and_the_focus_stays(chromium: Chromium, server: Server, client: httpx.Client) -> None:
    _put(client, "inputs/deep/a.txt", "inputs/z.txt")
    one, two = _open(chromium, server), _open(chromium, server)
    for page in (one, two):
        _item(page, "inputs/deep").click()
        expect(_item(page, "inputs/deep/a.txt")).to_be_visible()
    _item(two, "inputs/deep/a.txt").focus()
    _put(client, "inputs/deep/0.txt", "inputs/b.txt")
    for page in (one, two):
        expect(_item(page, "inputs/deep/0.txt")).to_be_visible()
        expect(_item(page, "inputs/b.txt")).to_be_visible()
        expect(_item(page, "inputs/deep")).to_have_attribute("aria-expanded", "true")
    _focused(two, "inputs/deep/a.txt")
    _item(one, "inputs/z.txt").focus()
    one.keyboard.press("Delete")
    expect(_item(two, "inputs/z.txt")).to_have_count(0)
    _focused(two, "inputs/deep/a.txt")


def test_names_that_are_taken(chromium: Chromium, server: Server, client: httpx.Client, room: Path) -> None:
    chromium.expect(REFUSED)
    _put(client, "inputs/a.csv", "inputs/b.csv", "inputs/c.csv", data=b"old")
    page = _open(chromium, server)
    _choose(page, *(_file(f"{name}.csv", b"new") for name in "abc"))
    for name in "abc":
        expect(page.get_by_role("button", name=f"Replace {name}.csv")).to_be_visible()
    page.get_by_role("button", name="Keep both files named a.csv").click()
    _until(page, lambda: (room / "inputs/a-2.csv").exists())
    page.get_by_role("button", name="Skip b.csv").click()
    page.get_by_role("button", name="Replace c.csv").click()
    _until(page, lambda: (room / "inputs/c.csv").read_bytes() == b"new")
    assert (room / "inputs/a.csv").read_bytes() == (room / "inputs/b.csv").read_bytes() == b"old"
    _choose(page, *(_file(f"{name}.csv", b"newer") for name in "abc"))
    page.get_by_role("button", name="Keep both of all 3 files").click()
    _until(page, lambda: (room / "inputs/c-2.csv").exists() and (room / "inputs/a-3.csv").exists())
    assert (room / "inputs/b.csv").read_bytes() == b"old"


def test_an_upload_goes_on_after_a_reload_with_the_same_file(
    chromium: Chromium, server: Server, client: httpx.Client, room: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(24 << 20))
    with Relay(server.port) as relay:
        relay.pause_s = 0.02  # some 3 MB a second, so that there is a middle
        page = chromium.open(f"http://127.0.0.1:{relay.port}/")
        page.locator("#pane-files [data-dropzone=inputs] input[type=file]").first.set_input_files(large)
        _until(page, lambda: relay.sent > 4 << 20)
        relay.pause_s = 0
        page.reload()
        _goes_on_with_the_same_file(page, large, room, tmp_path)
        page.close()


def _goes_on_with_the_same_file(page: Page, large: Path, room: Path, tmp_path: Path) -> None:
    row = page.locator(".upload[data-state=interrupted]")
    expect(row).to_contain_text(re.compile(r"Stopped at \d+ %"))
    other = tmp_path / "other.bin"
    other.write_bytes(b"x")
    row.locator("input[type=file]").set_input_files(other)
    expect(row).to_contain_text("That is another file")
    row.locator("input[type=file]").set_input_files(large)
    _until(page, lambda: (room / "inputs/large.bin").exists())
    assert (room / "inputs/large.bin").read_bytes() == large.read_bytes()
    page.reload()
    expect(_item(page, "inputs/large.bin")).to_be_visible()
    expect(page.locator(".upload")).to_have_count(0)


def test_many_uploads_have_one_line_and_go_where_they_were_dropped(
    chromium: Chromium, server: Server, client: httpx.Client, room: Path
) -> None:
    client.post(f"{WORKSPACE}/directory", json={"path": "inputs/set"}).raise_for_status()
    page = _open(chromium, server)
    _item(page, "inputs/set").wait_for()
    transfer = page.evaluate_handle(
        """() => { const data = new DataTransfer();
            for (let n = 0; n < 40; n += 1) data.items.add(new File([`${n}`], `f${n}.txt`));
            return data; }"""
    )
    _item(page, "inputs/set").dispatch_event("drop", {"dataTransfer": transfer})
    expect(page.locator(".upload--total")).to_contain_text("40 files uploaded")
    assert len(list((room / "inputs/set").iterdir())) == 40
    _item(page, "inputs/set").click()
    expect(_item(page, "inputs/set/f39.txt")).to_be_visible()
    expect(page.locator(".upload--total")).to_have_count(0)
    page.get_by_role("button", name="Actions for set/").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("menuitem", name="Upload files here").click()
    chooser.value.set_files([_file("one.txt", b"1")])
    expect(_item(page, "inputs/set/one.txt")).to_be_visible()


def test_over_the_quota_and_a_folder_that_cannot_be_read(
    chromium: Chromium, server: Server, client: httpx.Client, room: Path
) -> None:
    _put(client, "outputs/large.bin", data=os.urandom(61 << 20))
    page = _open(chromium, server)
    expect(page.locator(".use-full")).to_contain_text("Nearly full, delete or download files")
    chromium.expect(r"status of 500")
    page.route("**/files?path=temp", lambda route: route.fulfill(status=500, body='{"error": "The disk is ill."}'))
    _item(page, "temp").click()
    expect(page.get_by_text("Could not be read. The disk is ill.")).to_be_visible()
    page.unroute("**/files?path=temp")
    page.get_by_role("button", name="Retry reading temp").click()
    expect(page.get_by_text("Could not be read.")).to_have_count(0)
    page.get_by_role("button", name="Delete large.bin").click()
    expect(page.locator(".use-full")).to_have_count(0)
    page.get_by_role("button", name="Undo the deletion of large.bin").click()
    expect(page.locator(".use-full")).to_be_visible()


def test_shared_resources_cannot_be_changed(chromium: Chromium, server: Server, client: httpx.Client) -> None:
    (server.data_dir / "shared/templates/t.txt").write_text("template")
    page = _open(chromium, server)
    _item(page, "shared").click()
    _item(page, "shared/templates").click()
    row = _item(page, "shared/templates/t.txt")
    expect(row.get_by_role("link", name="Download t.txt")).to_be_visible()
    expect(row.get_by_role("button", name="Delete t.txt")).to_have_count(0)
    row.focus()
    page.keyboard.press("F2")
    page.keyboard.press("Delete")
    page.keyboard.press("Shift+F10")
    expect(page.get_by_role("menuitem", name="Copy path")).to_be_visible()
    for name in ("Rename", "Delete", "Upload files here", "New folder"):
        expect(page.get_by_role("menuitem", name=name)).to_have_count(0)
    assert (server.data_dir / "shared/templates/t.txt").exists()


def test_hostile_names_are_shown_and_their_rows_work(
    chromium: Chromium, server: Server, client: httpx.Client, room: Path
) -> None:
    client.get(FILES)
    _put(client, "inputs/x")
    owner = (room / "inputs").stat()
    names = [
        b"<img src=x onerror=alert(1)>.txt",
        b'quote".txt',
        b"line\nbreak.txt",
        b"\xff\xfe.bin",
        b"x" * 255,
        b"a\\b]",
    ]
    for name in names:
        path = os.fsencode(room / "inputs") + b"/" + name
        with open(path, "wb") as file:
            file.write(b"1")
        os.chown(path, owner.st_uid, owner.st_gid)
    page = _open(chromium, server)
    rows = page.locator("[role=treeitem][aria-level='2']")
    expect(rows).to_have_count(len(names) + 1)
    for left in range(len(names), 0, -1):
        rows.first.focus()
        page.keyboard.press("Delete")
        expect(rows).to_have_count(left)
    expect(page.locator(".undo")).to_have_count(3)
    assert len(list((room / "inputs").iterdir())) == 1


def test_on_a_phone_one_action_and_a_menu(browsers: Browsers, server: Server, client: httpx.Client, room: Path) -> None:
    _put(client, "inputs/a.txt")
    page = _open_phone(browsers, server)
    row = _item(page, "inputs/a.txt")
    expect(row.get_by_role("button", name="Delete a.txt")).to_be_hidden()
    box = row.get_by_role("button", name="Actions for a.txt").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 44
    row.get_by_role("button", name="Actions for a.txt").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Undo the deletion of a.txt").click()
    expect(row).to_be_visible()


def _open_phone(browsers: Browsers, server: Server) -> Page:
    page = browsers.launch(width=390, height=844).open(server.url + "/#files")
    expect(page.get_by_role("tree", name="Files")).to_be_visible()
    return page
