"""Modules that are put into one file do what they did alone, and the page's own have only forms that are known."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lan_session_manager.errors import InternalError
from lan_session_manager.web.assets import STATIC
from lan_session_manager.web.modules import beside, fetched_later, imported, in_order, joined

_SOURCES = {path.relative_to(STATIC).as_posix(): path.read_text(encoding="utf-8") for path in STATIC.rglob("*.js")}
_SMALL = {
    "js/main.js": """import { one, two as second } from "./a.js";
import * as all from "./deep/b.js";
import last from "../vendor/l.js";

export const answer = [one, second(), all.three, last(), new all.Four().five, all.passed()];
""",
    "js/a.js": """import { three } from "./deep/b.js";

export const one = 1 + three;
export function two() {
  return `import { not } from "./this.js";`.length;
}
const hidden = 1;
""",
    "js/deep/b.js": """export const three = 3;
/** What stays behind. */
  // So does this.
const hidden = 2; // the same name as in another module
export class Four {
  five = hidden + 3;
}
export { low as passed } from "../../vendor/l.js";
""",
    "vendor/l.js": "var n=6;function o(){return 7}export default function(){return n}export{o as low};\n",
}


def test_imports_are_found_from_where_a_module_stands() -> None:
    assert imported("js/main.js", _SMALL["js/main.js"]) == ["js/a.js", "js/deep/b.js", "vendor/l.js"]
    assert beside("js/components/app.js", "../../vendor/preact.js") == "vendor/preact.js"
    assert fetched_later("js/x.js", "await import(`./text/${language}/index.js`)") == ["js/text/*/index.js"]


def test_each_module_stands_after_what_it_imports_and_once() -> None:
    assert in_order("js/main.js", _SMALL) == ["vendor/l.js", "js/deep/b.js", "js/a.js", "js/main.js"]


def test_a_circle_is_refused() -> None:
    circle = {"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'}
    with pytest.raises(InternalError):
        in_order("a.js", circle)


@pytest.mark.parametrize("source", ['import "./b.js";\n', "export let a = 1;\n", "import a, { b } from './b.js';\n"])
def test_a_form_that_is_not_known_is_refused(source: str) -> None:
    with pytest.raises(InternalError):
        joined("a.js", {"a.js": source, "b.js": ""})


@pytest.mark.skipif(not shutil.which("node"), reason="runs what was joined: needs node")
def test_joined_they_do_what_they_did_alone(tmp_path: Path) -> None:
    for name, source in _SMALL.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "js" / "joined.js").write_text(joined("js/main.js", _SMALL))
    show = "const { answer } = await import(process.argv[1]); console.log(JSON.stringify(answer))"
    shown = [
        subprocess.run(
            ["node", "--input-type=module", "-e", show, str(tmp_path / "js" / name)],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        for name in ("main.js", "joined.js")
    ]  # fmt: skip
    assert shown[0] == shown[1] == "[4,32,3,6,5,7]\n"


def test_comments_do_not_travel_and_what_looks_like_one_does() -> None:
    source = """/**
 * All of it
 */
export const address = "http://x"; // stays, as it is on a line of code
  // Not this.
export const glob = `inputs/*.csv and */`;
"""
    text = joined("a.js", {"a.js": source})
    assert "All of it" not in text
    assert "Not this" not in text
    assert 'const address = "http://x"; // stays' in text
    assert "`inputs/*.csv and */`" in text


def test_the_modules_of_the_page_import_in_one_direction() -> None:
    for module in _SOURCES:
        in_order(module, _SOURCES)


def test_what_is_fetched_later_brings_no_second_copy_of_what_is_there() -> None:
    for module, source in _SOURCES.items():
        if module.startswith("vendor/"):
            continue
        for later in fetched_later(module, source):
            assert later.startswith(("vendor/", "js/text/*/")), f"{module} fetches {later}"
            assert later.startswith("js/text/") or not imported(later, _SOURCES[later])
