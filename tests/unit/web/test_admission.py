"""Who comes in: the server's own page and programs; not the page of somebody else, whatever it sends."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from lan_session_manager.addresses import parse_address
from lan_session_manager.errors import LSMError
from lan_session_manager.names import Own
from lan_session_manager.web.admission import Admission, takes_bytes
from lan_session_manager.web.known_hosts import KnownHosts

OWN = Own(frozenset({"lab", "lab.local"}), frozenset({"192.168.1.5", "fe80::5"}))
PORTS = frozenset({5000, 8765})
PROXY = "192.168.1.2"
HERE = "192.168.1.5:5000"
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")

Headers = Sequence[tuple[str, str]]


def _scope(headers: Headers, method: str = "GET", peer: str = "192.168.1.9", scheme: str = "http") -> Scope:
    """A request; the method WS is the handshake of a WebSocket."""
    socket = method == "WS"
    scope: Scope = {
        "type": "websocket" if socket else "http",
        "scheme": scheme.replace("http", "ws") if socket else scheme,
        "path": "/api/anything",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": (peer, 40000),
        "server": ("192.168.1.5", 5000),
    }
    return scope if socket else {**scope, "method": method}


def _verdict(scope: Scope) -> str:
    known = KnownHosts(["page.example"], lambda: OWN)
    try:
        Admission(known, ports=PORTS, proxies=frozenset({parse_address(PROXY)})).check(scope)
    except LSMError as error:
        return error.code
    return "in"


def _at(headers: Headers = (), method: str = "GET", host: str = HERE, **facts: str) -> str:
    return _verdict(_scope([("host", host), *headers], method, **facts))


@pytest.mark.parametrize(
    "host", [HERE, "lab:5000", "lab.local:8765", "[fe80::5]:5000", "page.example", "127.0.0.1:5000"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "WS"])
def test_a_program_comes_in_by_every_own_host(host: str, method: str) -> None:
    assert _at(method=method, host=host) == "in"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "WS"])
def test_a_foreign_host_is_misdirected_whatever_else_is_right(method: str) -> None:
    own = [
        ("origin", "http://evil.example:5000"),
        ("sec-fetch-site", "same-origin"),
        ("content-type", "application/json"),
    ]
    assert _at(own, method, "evil.example:5000") == "misdirected"


@pytest.mark.parametrize(
    "hosts", [[], ["lab", "lab"], ["lab", "evil.example"], [""], ["a b"], ["lab,lab"], ["x" * 9000]]
)
def test_a_host_that_is_missing_double_or_none_is_refused(hosts: list[str]) -> None:
    for method in ("GET", "POST", "WS"):
        assert _verdict(_scope([("host", host) for host in hosts], method)) == "host"


@given(text=st.text(st.characters(max_codepoint=255), max_size=60))
def test_whatever_a_host_header_holds_there_is_a_verdict(text: str) -> None:
    assert _at(host=text) in {"in", "host", "misdirected"}


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "null", "", "http://192.168.1.5", "http://192.168.1.5:5001", "https://192.168.1.5:5000",
        "http://sub.lab:5000", "http://lab:5000", "http://192.168.1.6:5000", "http://192.168.1.5:5000.evil.example",
        "http://192.168.1.5:5000@evil.example", "HTTP://192.168.1.5:5000", "ws://192.168.1.5:5000", "file://",
        "chrome-extension://abcdef", "http://192.168.1.5:5000/", "http://192.168.1.5:5000 http://evil.example",
        "http://192.168.1.5:8765",
    ],
)  # fmt: skip
def test_an_origin_that_is_not_exactly_ours_is_refused(origin: str) -> None:
    for method in ("GET", "OPTIONS", *UNSAFE):
        assert _at([("origin", origin)], method) == "cross_site"
    other_port = origin == "http://192.168.1.5:8765"
    assert _at([("origin", origin)], "WS") == ("in" if other_port else "cross_site")


def test_our_own_page_comes_in() -> None:
    own = [("origin", f"http://{HERE}"), ("sec-fetch-site", "same-origin"), ("cookie", "a=b")]
    for method in ("GET", *UNSAFE, "WS"):
        assert _at(own, method) == "in"
    assert _at([("origin", "http://lab")], "POST", "lab") == "in"
    assert _at([("origin", "https://lab")], "POST", "lab:443", scheme="https") == "in"
    assert _at([("origin", "http://lab:80")], "POST", "LAB.") == "in"


def test_an_origin_that_is_said_twice_is_refused() -> None:
    assert _at([("origin", f"http://{HERE}")] * 2, "POST") == "cross_site"


def test_the_page_of_one_port_opens_the_websocket_at_the_other_and_no_more() -> None:
    page = [("origin", f"http://{HERE}"), ("sec-fetch-site", "same-site")]
    assert _at(page, "WS", "192.168.1.5:8765") == "in"
    assert _at(page, "POST", "192.168.1.5:8765") == "cross_site"
    assert _at(page, "WS", "192.168.1.5:9999") == "cross_site"
    assert _at(page, "WS", "lab:8765") == "cross_site"
    assert _at(page, "WS", "192.168.1.5:8765", scheme="https") == "cross_site"
    assert _at([("origin", "http://192.168.1.5:3000")], "WS", "192.168.1.5:8765") == "cross_site"


def test_a_cookie_without_an_origin_is_refused_where_something_changes() -> None:
    for method in (*UNSAFE, "WS"):
        assert _at([("cookie", "a=b")], method) == "cross_site"
        assert _at([("cookie", "")], method) == "cross_site"
    assert _at([("cookie", "a=b")]) == "in"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "anything", "Same-Origin"])
def test_what_a_browser_says_to_come_from_elsewhere_is_refused(site: str) -> None:
    own = ("origin", f"http://{HERE}")
    for method in ("GET", *UNSAFE, "WS"):
        assert _at([("sec-fetch-site", site)], method) == "cross_site"
        assert _at([own, ("sec-fetch-site", site)], method) == "cross_site"


def test_a_link_from_elsewhere_may_be_followed_and_nothing_else() -> None:
    site, mode = ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")
    assert _at([site, mode, ("sec-fetch-dest", "document")]) == "in"
    for method in (*UNSAFE, "WS"):
        assert _at([site, mode, ("sec-fetch-dest", "document")], method) == "cross_site"
    for dest in ("iframe", "frame", "object", "embed", "image", "script", "empty"):
        assert _at([site, mode, ("sec-fetch-dest", dest)]) == "cross_site"
    assert _at([site, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "document")]) == "cross_site"


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "text/plain; application/json",
     "application/jsonp", "application/problem+json", ""],
)  # fmt: skip
def test_a_body_that_is_not_said_to_be_json_is_refused(kind: str) -> None:
    for method in UNSAFE:
        for length in ("0", "2"):
            assert _at([("content-type", kind), ("content-length", length)], method) == "content_type"


def test_a_body_without_a_type_is_refused_and_no_body_needs_none() -> None:
    for method in UNSAFE:
        assert _at([("content-length", "2")], method) == "content_type"
        assert _at([("transfer-encoding", "chunked")], method) == "content_type"
        assert _at([("content-length", "0")], method) == "in"
        assert _at(method=method) == "in"


def test_json_comes_in_as_it_is_spelled() -> None:
    for kind in (
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;x=text/plain",
    ):
        assert _at([("content-type", kind), ("content-length", "2")], "POST") == "in"
    assert _at([("content-type", "application/json"), ("content-type", "text/plain")], "POST") == "content_type"


@pytest.mark.parametrize(
    ("method", "path", "is_upload"),
    [
        ("PUT", "/api/workspace/192.168.1.9/files/inputs/a", True),
        ("PUT", "/api/workspace/192.168.1.9/files/a\nb", True),
        ("POST", "/api/workspace/192.168.1.9/files/inputs/a", False),
        ("POST", "/api/workspace/192.168.1.9/uploads", False),
        ("PUT", "/api/workspace/192.168.1.9/uploads/a", False),
        ("POST", "/api/workspace/files/directory", False),
        ("POST", "/api/workspace/files/validate", False),
        ("PUT", "/api/admin/session/files/limits", False),
        ("PUT", "/api/admin/session/x/files/limits", False),
        ("POST", "/api/task//files//cancel", False),
    ],
)
def test_only_an_upload_takes_bytes_of_any_size_and_type(method: str, path: str, is_upload: bool) -> None:
    scope = _scope([("host", HERE), ("content-length", "5"), ("content-type", "text/html")], method)
    scope["path"] = path
    assert takes_bytes(scope) is is_upload
    assert _verdict(scope) == ("in" if is_upload else "content_type")


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("PATCH", "/api/workspace/192.168.1.9/uploads/a", "application/partial-upload"),
        ("POST", "/api/workspace/192.168.1.9/files", "multipart/form-data; boundary=x"),
    ],
)
def test_a_part_of_a_file_and_a_form_are_of_any_size_and_of_their_own_type(method: str, path: str, kind: str) -> None:
    def verdict(*kinds: str) -> str:
        headers = [("host", HERE), ("content-length", "5"), *(("content-type", each) for each in kinds)]
        scope = _scope(headers, method)
        scope["path"] = path
        assert takes_bytes(scope)
        return _verdict(scope)

    assert verdict(kind) == "in"
    for kinds in ((), ("application/json",), ("text/plain",), (kind, kind), ("application/x-www-form-urlencoded",)):
        assert verdict(*kinds) == "content_type", kinds


def _form(*headers: tuple[str, str]) -> str:
    scope = _scope([("host", HERE), ("content-type", "multipart/form-data; boundary=x"), *headers], "POST")
    scope["path"] = "/api/workspace/192.168.1.9/files"
    return _verdict(scope)


def test_a_form_comes_from_our_own_page_or_from_no_browser() -> None:
    assert _form() == "in"
    assert _form(("origin", f"http://{HERE}")) == "in"
    assert _form(("origin", f"http://{HERE}"), ("cookie", "a=b"), ("sec-fetch-site", "same-origin")) == "in"
    for refused in (
        [("origin", "http://evil.example")],
        [("origin", "null")],
        [("cookie", "a=b")],
        [("sec-fetch-site", "none")],
        [("sec-fetch-site", "same-origin")],
        [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        [("referer", "http://evil.example/")],
        [("origin", f"http://{HERE}"), ("sec-fetch-site", "cross-site")],
        [("origin", f"http://{HERE}"), ("origin", f"http://{HERE}")],
    ):
        assert _form(*refused) == "cross_site", refused


def test_what_a_proxy_says_is_believed_from_a_proxy_only() -> None:
    said = [("x-forwarded-host", "page.example"), ("x-forwarded-proto", "https"), ("origin", "https://page.example")]
    assert _at(said, "POST", peer=PROXY) == "in"
    assert _at(said, "POST") == "cross_site"
    assert _at([("x-forwarded-host", "evil.example")], peer=PROXY) == "misdirected"
    assert _at([("x-forwarded-host", "evil.example")]) == "in"  # nobody listens


def test_what_a_proxy_says_does_not_excuse_the_host() -> None:
    assert _at([("x-forwarded-host", "page.example")], host="evil.example", peer=PROXY) == "misdirected"


def test_a_proxy_that_says_nonsense_is_told_so() -> None:
    for headers in (
        [("x-forwarded-host", "page.example"), ("x-forwarded-host", "page.example")],
        [("x-forwarded-host", "page.example, lab")],
        [("x-forwarded-host", "")],
        [("x-forwarded-proto", "gopher")],
        [("x-forwarded-proto", "https, http")],
        [("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")],
    ):
        assert _at(headers, peer=PROXY) == "forwarded"
        assert _at(headers) == "in"


def test_localhost_is_for_this_machine() -> None:
    assert _at(host="localhost:5000", peer="127.0.0.1") == "in"
    assert _at(host="localhost:5000", peer="::1") == "in"
    assert _at(host="localhost:5000") == "misdirected"
