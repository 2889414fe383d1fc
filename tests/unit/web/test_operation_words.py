"""Whatever is written to the audit log has words on the admin page."""

import re
from importlib import resources

import pytest

from lan_session_manager.web.policy import POLICY

_WORDS = resources.files("lan_session_manager.web").joinpath("static", "js", "text", "en", "operations.js")
_BY_THEMSELVES = {"POST /admin/login", "POST /admin/logout"}  # they note what they did


def _known() -> set[str]:
    return set(re.findall(r'^  "([^"]+)": "[^"]+",$', _WORDS.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", sorted({name for name in POLICY if POLICY[name].audited} | _BY_THEMSELVES))
def test_an_operation_of_the_audit_log_has_words(name: str) -> None:
    assert re.sub(r"/(api/admin|admin/api)/", "", name) in _known()


def test_there_are_no_words_for_what_does_not_exist() -> None:
    assert _known() <= {re.sub(r"/(api/admin|admin/api)/", "", name) for name in POLICY}
