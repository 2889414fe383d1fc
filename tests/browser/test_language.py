"""The page speaks each of its languages whole: no word is missing, and none is one of another language."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from lan_session_manager.web.assets import Assets
from tests.browser.browser import Browsers
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

# What the words of a language are: the names, and of each whether it is a word, a list of so many, or takes so much.
_SHAPE = """async path => {
    const shape = one => {
        if (typeof one === "function") return `(${one.length})`;
        if (Array.isArray(one)) return one.map(shape);
        if (typeof one === "string") return one.trim() ? "word" : "none";
        return Object.fromEntries(Object.entries(one).sort().map(([name, inner]) => [name, shape(inner)]));
    };
    const words = await import(path);
    return Object.fromEntries(Object.entries(words).map(([name, inner]) => [name, shape(inner)]));
}"""
_WORDS = """async path => {
    const found = {};
    const take = (at, one) => {
        if (typeof one === "string") found[at] = one;
        else if (typeof one === "object") Object.entries(one).forEach(([name, inner]) => take(`${at}.${name}`, inner));
    };
    Object.entries(await import(path)).forEach(([name, inner]) => take(name, inner));
    return found;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def page(server: Server, browsers: Browsers) -> Page:
    return browsers.launch(language="de-AT").open(server.url)


def _all(page: Page, script: str, language: str) -> list[Any]:
    return [page.evaluate(script, f"/static/js/text/{language}/{name}.js") for name in ("index", "admin")]


@pytest.mark.parametrize("language", Assets().languages[1:])
def test_a_language_has_every_word_that_english_has(page: Page, language: str) -> None:
    assert _all(page, _SHAPE, language) == _all(page, _SHAPE, "en")


@pytest.mark.parametrize("language", Assets().languages[1:])
def test_no_sentence_is_left_in_english(page: Page, language: str) -> None:
    for words, english in zip(_all(page, _WORDS, language), _all(page, _WORDS, "en"), strict=True):
        same = {word for at, word in words.items() if word == english[at] and len(re.findall(r"\w{2,}", word)) > 2}
        assert same <= {"LAN Session Manager"}


def test_the_language_of_the_browser_is_the_pages_until_another_is_chosen(page: Page) -> None:
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("heading", name="Starte deine erste Aufgabe")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Dieses Gerät")).click()
    page.get_by_label("Sprache").select_option("en")
    expect(page.get_by_role("heading", name="Run your first task")).to_be_visible()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
