"""A file's name is a name in a header, whatever it holds."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lan_session_manager.web.headers import attachment

# RFC 6266 with RFC 8187: a quoted string without escapes, and percent-encoded UTF-8.
_VALUE = re.compile(
    r"""attachment; filename="([ !#-\[\]-~]{1,255})"; filename\*=UTF-8''((?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+)"""
)


def _names(name: str) -> tuple[str, str]:
    found = _VALUE.fullmatch(attachment(name)["Content-Disposition"])
    assert found, name
    return found[1], unquote(found[2], errors="strict")


@given(name=st.text(st.characters(), max_size=255))
@example("\ud800")
@example("\u202egnp.exe")
@example("a\r\nSet-Cookie: x=1\r\n\r\n<script>")
@example('"; filename="evil.exe')
@example("\x1b]0;title\x07")
@example("\uef80\uefff")
@example("é" * 127)
@example("..\\..\\evil.exe")
@example("%2e%2e%2f")
def test_every_name_is_one_value_of_the_header(name: str) -> None:
    plain, full = _names(name)
    for given_name in (plain, full):
        assert not re.search(
            r'[\x00-\x1f\x7f-\x9f"\\/:*?<>|%;\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]', given_name
        )
        assert not given_name.startswith("../")
    assert not plain.startswith(".")


@pytest.mark.parametrize("name", ["data.csv", "a b.txt", "résumé.pdf", "中文.csv", "it's (1).txt", "x" * 255])
def test_an_honest_name_stays_as_it_is(name: str) -> None:
    plain, full = _names(name)
    assert full == name
    assert plain == re.sub(r"[^\x20-\x7e]", "_", name)


def test_the_bytes_of_a_user_are_sandboxed_and_have_no_origin_of_ours() -> None:
    policy = attachment("page.html")["Content-Security-Policy"]
    assert policy.split("; ")[0] == "sandbox"
    assert "allow-" not in policy
