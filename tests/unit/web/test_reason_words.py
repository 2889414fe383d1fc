"""Every reason for the end of a task has words: on the page, and in the description of the API."""

import re
from importlib import resources
from pathlib import Path

import pytest

from lan_session_manager.states import Reason

_SCRIPTS = resources.files("lan_session_manager.web").joinpath("static", "js")
_API = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_has_words(reason: Reason) -> None:
    english = _SCRIPTS.joinpath("text", "en")
    texts = "".join(english.joinpath(name).read_text(encoding="utf-8") for name in ("outcomes.js", "tasks.js"))
    assert re.search(rf"^\s*{reason}: (\"|\(|$)", texts, re.MULTILINE), "the page has no words for it"
    row = rf"^\| [^|]*`{reason}`[^|]* \| .+ \|$"
    assert re.search(row, _API.read_text(encoding="utf-8"), re.MULTILINE), "docs/api.md does not say what it means"
