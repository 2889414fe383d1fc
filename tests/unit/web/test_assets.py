"""What the page is made of: everything is there, kept for good under its version, and loaded in one round."""

import asyncio
import gzip
import re
from pathlib import Path

import httpx
import pytest

from lan_session_manager.errors import NotFoundError
from lan_session_manager.web.assets import STATIC, Assets

_HREF = re.compile(r'(?:href|src)="(/static/[^"]+)"')


@pytest.fixture(scope="module")
def assets() -> Assets:
    return Assets()


class Client:
    """Asks the application itself, without a server."""

    def __init__(self, assets: Assets) -> None:
        self._transport = httpx.ASGITransport(assets)

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://server") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def client(assets: Assets) -> Client:
    return Client(assets)


def _addresses(assets: Assets, name: str, language: str) -> list[str]:
    return _HREF.findall(assets.page(name, language).decode())


@pytest.mark.parametrize("name", ["index", "admin"])
def test_what_a_page_names_is_there_and_kept_for_good(assets: Assets, client: Client, name: str) -> None:
    for language in assets.languages:
        addresses = _addresses(assets, name, language)
        for address in addresses:
            answer = client.get(address)
            assert (answer.status_code, answer.headers["cache-control"]) == (
                200,
                "public, max-age=31536000, immutable",
            )


@pytest.mark.parametrize("name", ["index", "admin"])
def test_a_page_starts_with_a_handful_of_files(assets: Assets, client: Client, name: str) -> None:
    addresses = _addresses(assets, name, "en")
    assert len(addresses) <= 7
    (main,) = [address for address in addresses if address.endswith("/main.js")]
    text = client.get(main).text
    assert "components/" not in "".join(re.findall(r"^import .*$", text, re.MULTILINE))
    assert text != (STATIC / main.split("/", 3)[3]).read_text(encoding="utf-8")


def test_all_styles_of_a_page_are_one_file(assets: Assets, client: Client) -> None:
    page = assets.page("index", "en").decode()
    (styles,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', page)
    text = client.get(styles).text
    for name in ("tokens", "base", "phone"):
        rules = re.findall(
            r"^[^/@\s].*\{ .* \}$", (STATIC / "css" / f"{name}.css").read_text(encoding="utf-8"), re.MULTILINE
        )
        assert all(rule in text for rule in rules)
    assert text.index("--") < text.index("@media")  # the tokens first


def test_a_file_travels_compressed_to_who_takes_that(client: Client) -> None:
    packed = client.get("/static/js/main.js", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/static/js/main.js", headers={"Accept-Encoding": "identity"})
    assert (packed.headers["content-encoding"], packed.content) == ("gzip", plain.content)
    assert "content-encoding" not in plain.headers
    assert plain.content == (STATIC / "js" / "main.js").read_bytes()
    assert int(packed.headers["content-length"]) == len(gzip.compress(plain.content, 9, mtime=0))


def test_without_its_version_a_file_is_asked_for_anew(client: Client) -> None:
    for address in ("/static/js/main.js", "/static/0123456789ab/js/main.js"):
        answer = client.get(address)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
        again = client.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["", "js", "../web/app.py", "js/../../app.py", "index.html", "vendor/README.md", "%2e%2e/x"]
)
def test_nothing_else_is_served(client: Client, path: str) -> None:
    with pytest.raises(NotFoundError):
        client.get(f"/static/{path}")


def test_another_version_of_a_file_is_another_address(tmp_path: Path) -> None:
    for path in STATIC.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(STATIC)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    before = Assets(tmp_path).page("index", "en")
    with (tmp_path / "js" / "components" / "join.js").open("a") as file:
        file.write("\n// more\n")
    assert Assets(tmp_path).page("index", "en") != before
