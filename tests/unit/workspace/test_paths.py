import json
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lan_session_manager.errors import InvalidInputError, LSMError, SecurityError
from lan_session_manager.workspace.paths import (
    DEEPEST,
    LONGEST_NAME,
    LONGEST_PATH,
    joined,
    parse_new_path,
    parse_path,
    shown,
    stored,
)

names = (
    st.one_of(
        st.binary(min_size=1, max_size=40), st.text(min_size=1, max_size=12).map(lambda t: t.encode("utf-8", "replace"))
    )
    .map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
    .filter(lambda name: name not in (b".", b".."))
)
texts = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(["inputs", "..", ".", "", "a", "\n", "é", "\uef80", "\udcff", "x" * 255, "x" * 256]),
        max_size=70,
    ).map("/".join),
)


@given(names)
@example(b"\xff")
@example("\uef80".encode())
@example("é".encode() + b"\xc3")
@example(b"new\nline")
def test_every_name_that_a_task_can_make_is_found_by_what_a_client_sees(name: bytes) -> None:
    text = shown(name)
    assert stored(text) == name
    assert parse_path(text) == (text,)
    assert json.loads(json.dumps(text).encode().decode()) == text
    assert unquote(quote(text, safe="")) == text
    assert text.encode("utf-8").decode("utf-8") == text  # valid text: it has no surrogates


@given(names, names)
def test_no_two_names_look_the_same_to_a_client(one: bytes, other: bytes) -> None:
    assert (shown(one) == shown(other)) == (one == other)


@given(texts)
@example("/etc/passwd")
@example("a/../b")
@example("\udcff")
def test_a_path_is_refused_or_stays_below_its_start(text: str) -> None:
    try:
        path = parse_path(text)
    except LSMError:
        return
    raw = joined(path)
    assert not raw.startswith(b"/")
    assert b"\0" not in raw
    assert len(raw) <= LONGEST_PATH
    assert len(path) <= DEEPEST
    for name in path:
        assert 0 < len(stored(name)) <= LONGEST_NAME
        assert stored(name) not in (b".", b"..")
        assert b"/" not in stored(name)
    assert parse_path("/".join(path)) == path


def test_ordinary_paths_are_their_names() -> None:
    assert parse_path("") == ()
    assert joined(()) == b"."
    assert parse_path("inputs/my data.csv") == ("inputs", "my data.csv")
    assert parse_path("outputs/ä/..b/c..") == ("outputs", "ä", "..b", "c..")


@pytest.mark.parametrize("text", ["..", "/", "/etc", "a/..", "../a", "a/../b", "/..", "//etc"])
def test_a_path_that_leads_out_is_a_security_error(text: str) -> None:
    with pytest.raises(SecurityError):
        parse_path(text)


@pytest.mark.parametrize(
    "text",
    [
        *("a\0b", "a//b", "a/", ".", "./a", "a/./b", "\ud800", "\udcff", "x" * 256, "é" * 128),
        "/".join("a" * 65),
        "/".join(["x" * 200] * 21),
        "x" * 1_000_000,
    ],
)
def test_a_path_that_no_file_has_is_an_invalid_input(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_path(text)


def test_two_spellings_of_one_name_are_one_path() -> None:
    assert parse_path("\uefc3\uefa9") == ("é",)


def test_a_new_name_is_fit_to_be_shown() -> None:
    assert parse_new_path("inputs/größe 1.csv") == ("inputs", "größe 1.csv")
    for text in ("a\nb", "a\x1b[31m", "\x7f", "a\x85", "\u2028", "\uef80"):
        with pytest.raises(InvalidInputError):
            parse_new_path(f"inputs/{text}")
    with pytest.raises(SecurityError):
        parse_new_path("")
