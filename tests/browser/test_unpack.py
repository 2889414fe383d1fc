"""Archives are unpacked by a task: whatever is in them, nothing outside of their new directory changes, and the quota
stops what grows.
"""

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Browsers
from tests.integration.clients import device, ended, submit
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

FILES = "/api/workspace/127.0.0.1/files"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server"), env={"WORKSPACE_QUOTA_MB": "64"}) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with device(server) as client:
        client.put(f"{FILES}/inputs/victim.txt", content=b"whale").raise_for_status()
        yield client
        client.delete(f"{FILES}/inputs").raise_for_status()


@pytest.fixture
def page(server: Server, client: httpx.Client, browsers: Browsers) -> Page:
    return browsers.launch().open(server.url + "/")


def _unpacked(page: Page, client: httpx.Client, name: str, data: bytes) -> dict[str, object]:
    """The task that has unpacked it, by the page's own command."""
    client.put(f"{FILES}/inputs/{name}", content=data).raise_for_status()
    command = page.evaluate(
        "path => import('/static/js/unpack.js').then((unpack) => unpack.unpackCommand(path))", f"inputs/{name}"
    )
    return ended(client, submit(client, command))


def _zip(*members: tuple[str, bytes], has_links: bool = True) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
        if has_links:
            link = zipfile.ZipInfo("link")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "../..")
            archive.writestr("link/through-link.txt", "x")
    return data.getvalue()


def _tar(*members: tuple[str, bytes], kind: str = "w") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=kind) as archive:  # type: ignore[call-overload]

        def add(name: str, content: bytes = b"", **fields: object) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for field, value in fields.items():
                setattr(member, field, value)
            archive.addfile(member, io.BytesIO(content))

        for name, content in members:
            add(name, content)
        add("up", type=tarfile.SYMTYPE, linkname="..")
        add("up/through-link.txt", b"x")
        add("victim", type=tarfile.LNKTYPE, linkname="../victim.txt")
        add("victim", b"overwritten")
        add("far", type=tarfile.SYMTYPE, linkname="/workspace/inputs/victim.txt")
        add("far", b"overwritten")
        add("device", type=tarfile.CHRTYPE, devmajor=1, devminor=5, mode=0o666)
        add("setuid", b"x", mode=0o4755, uid=0, gid=0)
    return data.getvalue()


SLIPS = (
    ("good/a.txt", b"good"), ("../escaped.txt", b"x"), ("../../escaped.txt", b"x"), ("/workspace/escaped.txt", b"x"),
    ("../victim.txt", b"overwritten"), ("good/../../escaped.txt", b"x"),
)  # fmt: skip


@pytest.mark.parametrize("name", ["slip.zip", "slip.tar", "slip.tar.gz"])
def test_an_archive_that_wants_out_changes_nothing_but_its_own_directory(
    page: Page, client: httpx.Client, server: Server, name: str
) -> None:
    made = _zip(*SLIPS) if name.endswith(".zip") else _tar(*SLIPS, kind="w:gz" if name.endswith("gz") else "w")
    task = _unpacked(page, client, name, made)
    room = server.data_dir / "127_0_0_1"
    assert task["status"] in ("completed", "failed"), task  # tar says of what it refused that it failed
    assert {path.name for path in (room / "inputs").iterdir()} == {"victim.txt", name, "slip"}
    assert {path.name for path in room.iterdir()} == {"inputs", "outputs", "temp", "session.json"}
    assert (room / "inputs/victim.txt").read_bytes() == b"whale"
    assert (room / "inputs/slip/good/a.txt").read_bytes() == b"good"
    assert not [path for path in server.data_dir.rglob("through-link.txt") if "slip" not in path.parts]
    for path in (room / "inputs/slip").rglob("*"):
        info = path.lstat()
        assert not stat.S_ISCHR(info.st_mode)
        assert not info.st_mode & stat.S_ISUID
        # What the server reads by it is in the directory, or refused.
        answer = client.get(f"{FILES}/inputs/{path.relative_to(room / 'inputs')}")
        assert answer.content != b"whale" or not path.is_symlink()


def test_the_quota_stops_a_bomb(page: Page, client: httpx.Client, server: Server) -> None:
    bomb = _zip(*((f"zeros{number}", bytes(50 << 20)) for number in range(8)))
    assert len(bomb) < 1 << 20
    task = _unpacked(page, client, "bomb.zip", bomb)
    assert (task["status"], task["reason"]) == ("failed", "disk_quota")
    assert (server.data_dir / "127_0_0_1/inputs/victim.txt").read_bytes() == b"whale"
    assert client.get("/api/system/health").json()["status"]


def test_the_page_unpacks_an_archive_beside_itself_and_never_over_anything(
    page: Page, client: httpx.Client, server: Server
) -> None:
    room = server.data_dir / "127_0_0_1/inputs"
    data = _zip(("deep/a.txt", os.urandom(10)), has_links=False)
    client.put(f"{FILES}/inputs/it's a: test.zip", content=data).raise_for_status()
    for into in ("it's a: test", "it's a: test-2"):
        page.get_by_role("button", name="Actions for it's a: test.zip").click()
        page.get_by_role("menuitem", name="Unpack").click()
        expect(page.get_by_role("log")).to_contain_text(f"Unpacked into inputs/{into}", timeout=30_000)
        assert (room / into / "deep/a.txt").stat().st_size == 10
    page.get_by_role("button", name="Actions for victim.txt").click()
    expect(page.get_by_role("menuitem", name="Copy path")).to_be_visible()
    expect(page.get_by_role("menuitem", name="Unpack")).to_have_count(0)
