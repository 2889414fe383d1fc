"""Takes a picture of every state of the page, on a real local network, into the directory that is named.

python -m tests.screenshots docs/images/states [--language de] [SCENE...]
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.browser import Browsers
from tests.browser.stage import EMPTY, SCENES, Stage, variants
from tests.lan.lan import Lan

# A task of another device.
_ANOTHER = """
import json, sys, urllib.request
task = json.dumps({"description": "sleep", "command": "sleep 900", "runner": "shell"}).encode()
headers = {"Content-Type": "application/json"}
urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "api/task/submit", task, headers))
"""
_PATIENCE_MS = 30_000
_SOME_TIME_MS = 20_000  # what runs has a past then


def take(target: Path, language: str, names: list[str]) -> list[Path]:
    """The pictures, "<scene>-<width>-<light or dark>.png"."""
    target.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=_PATIENCE_MS)
    taken: list[Path] = []
    with tempfile.TemporaryDirectory() as scratch, Lan(hosts=("a", "b")) as lan, Browsers(Path(scratch)) as browsers:
        on_a = lan.host("a").prefix
        on_server, host = lan.server.prefix, lan.server.ip
        with Stage(
            Path(scratch), browsers, prefix=on_a, server_prefix=on_server, host=host, language=language
        ) as stage:
            stage.chromium.allow("")  # the last scenes end the server
            for scene in (EMPTY, *SCENES):
                if scene is not EMPTY and not stage.tasks:
                    stage.fill()
                    lan.host("b").run([sys.executable, "-c", _ANOTHER, stage.url])
                    stage.page.wait_for_timeout(_SOME_TIME_MS)
                if names and scene.name not in names:
                    continue
                page = scene.open(stage)
                for (width, _), scheme, shown in variants(scene, page):
                    path = target / f"{scene.name}-{width}-{scheme}.png"
                    shown.screenshot(path=path)
                    taken.append(path)
                    print(path, flush=True)
    return taken


def _pack(paths: list[Path]) -> None:
    # A quarter of the size, and nobody sees the difference: the page has few colours.
    if paths and shutil.which("pngquant"):
        subprocess.run(
            ["pngquant", "--force", "--ext", ".png", "--quality", "80-98", "--skip-if-larger", *paths], check=False
        )


def main() -> None:
    """Read the command line and take them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--language", default="en-GB", help="as a browser asks for it")
    parser.add_argument("scenes", nargs="*", help="the states; all where none is named")
    options = parser.parse_intermixed_args()
    _pack(take(options.target, options.language, options.scenes))


if __name__ == "__main__":
    main()
