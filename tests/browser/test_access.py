"""Everybody can use the page: nothing serious is found in any state, the keyboard is enough, nothing moves or hides.

Each state at the width of a desk and of a phone, light and dark, is given to axe-core.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Browsers
from tests.browser.stage import EMPTY, PHONE, SCENES, SETTLED, WIDE, Scene, Stage, variants

pytestmark = [pytest.mark.browser, pytest.mark.root]

_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
_RUN = """async without => {
    const rules = Object.fromEntries(without.map(rule => [rule, { enabled: false }]));
    const found = await axe.run(document, { resultTypes: ["violations"], rules });
    const where = ({ nodes }) => nodes.map(node => `${node.target.join(" ")}: ${node.failureSummary}`);
    return found.violations.filter(one => ["serious", "critical"].includes(one.impact))
        .map(one => [one.id, ...where(one)]);
}"""
_WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
_MOVING = """() => document.getAnimations().filter(one => one.playState === "running")
    .map(one => one.animationName ?? one.transitionProperty)"""
_FOCUSED = """() => {
    const node = document.activeElement;
    const box = node.getBoundingClientRect();
    const name = node.getAttribute("aria-label") || node.textContent.trim().slice(0, 40) || node.id;
    return [node.tagName, name, box.width > 0];
}"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    scratch = tmp_path_factory.mktemp("stage")
    with Browsers(scratch) as browsers, Stage(scratch, browsers) as stage:
        stage.chromium.allow("")  # the last scenes end the server; what a page does wrong is for other tests
        yield stage


def _problems(page: Page, *, without: tuple[str, ...] = ()) -> list[Any]:
    page.evaluate(_AXE + "; undefined")
    found: list[Any] = page.evaluate(_RUN, list(without))
    return found


def _check(scene: Scene, stage: Stage) -> None:
    page = scene.open(stage)
    sizes = tuple(size for size in scene.sizes if size in (WIDE, PHONE))
    for size, scheme, shown in variants(Scene(scene.name, scene.show, sizes), page):
        assert not _problems(shown), f"{scene.name} at {size}, {scheme}"
        assert shown.evaluate(_WIDER) <= 0, f"{scene.name} at {size} is wider than the screen"


# The tests of this file are in the order of a visit: the first has no tasks, the last no server.


def test_a_first_visit_has_nothing_serious(stage: Stage) -> None:
    _check(EMPTY, stage)
    stage.fill()


def test_by_keyboard_alone_a_task_is_written_run_and_read(stage: Stage) -> None:
    page = stage.show("")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.locator("body").focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        tag, name, is_visible = page.evaluate(_FOCUSED)
        assert is_visible, f"the focus is on something that cannot be seen: {tag} {name}"
        if name == "Command":
            break
    page.keyboard.type("echo by keyboard")
    page.keyboard.press("Control+Enter")
    row = page.locator(".task").first
    expect(row).to_contain_text("echo by keyboard")
    row.locator(".task-open").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="echo by keyboard")).to_be_visible()


def test_at_twice_the_size_nothing_is_cut_off(stage: Stage) -> None:
    page = stage.show(f"#{stage.task('running')}")
    page.set_viewport_size({"width": WIDE[0] // 2, "height": WIDE[1] // 2})
    expect(page.get_by_role("log")).to_be_attached()
    assert page.evaluate(_WIDER) <= 0


def test_who_wants_no_motion_sees_none(stage: Stage) -> None:
    page = stage.show(f"#{stage.task('running')}")
    page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    page.emulate_media(reduced_motion="reduce")
    expect(page.locator(".task[data-status=running]").first).to_be_visible()
    page.evaluate(SETTLED)  # what has begun before
    for name in ("Wrap long lines", "Cancel"):
        page.get_by_role("button", name=name).first.hover()
        assert page.evaluate(_MOVING) == []
    page.emulate_media(reduced_motion="no-preference")


def test_in_forced_colours_nothing_serious_is_found_and_bars_are_seen(stage: Stage) -> None:
    page = stage.show(f"#{stage.task('running')}")
    page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    page.emulate_media(forced_colors="active")
    assert not _problems(page, without=("color-contrast",))  # the colours are the person's own
    bar, behind = page.evaluate(
        """() => { const bar = document.querySelector(".bar i");
            return [getComputedStyle(bar).backgroundColor, getComputedStyle(document.body).backgroundColor]; }"""
    )
    assert bar != behind
    page.emulate_media(forced_colors="none")


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_state_has_nothing_serious(stage: Stage, scene: Scene) -> None:
    _check(scene, stage)
