"""No page of somebody else and no rebound name reaches anything: every operation of the API's own description, and the
WebSocket of both ports, with every kind of foreign Host and Origin. What is refused makes no session and no directory.
"""

import base64
import contextlib
import itertools
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from lan_session_manager.web.admission import takes_bytes
from lan_session_manager.web.headers import HEADERS
from tests.integration.clients import device
from tests.server import Server, start_server

HOSTNAME = socket.gethostname()
VISITOR = "127.0.0.66"  # who must not be known after all this


@dataclass(frozen=True)
class Operation:
    """One operation of the description, with what a visitor would send to it."""

    method: str
    path: str
    body: bytes
    kind: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": self.kind} if self.kind else {}


@dataclass
class Answer:
    """What came back on a connection of its own."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {"LSM_ALLOWED_HOSTS": "page.example", "LSM_TRUSTED_PROXIES": "127.0.0.200"}
    with start_server(tmp_path_factory.mktemp("server"), env=env) as server:
        yield server


@pytest.fixture(scope="module")
def operations(server: Server) -> list[Operation]:
    with device(server, "127.0.0.9") as client:
        paths = client.get("/api/docs.json").json()["paths"]
    found = []
    for path, methods in paths.items():
        for method, described in methods.items():
            kinds = described.get("requestBody", {}).get("content", {})
            kind = "application/json" if "application/json" in kinds else next(iter(kinds), "")
            filled = path.replace("{client_ip}", VISITOR).replace("{task_id}", "user_127_0_0_66_task_001")
            filled = filled.replace("{path}", "inputs/planted.txt").replace("{upload_id}", "0" * 32)
            body = json.dumps(
                {"description": "true", "runner": "swarm", "file_path": "inputs", "path": "inputs/planted"}
            )
            found.append(Operation(method.upper(), filled, body.encode() if kind else b"", kind))
    return [*found, Operation("GET", "/", b"", ""), Operation("GET", "/static/js/main.js", b"", "")]


@pytest.fixture
def unknown(server: Server) -> Iterator[None]:
    """After the test nobody knows the visitor."""
    yield
    with device(server, "127.0.0.9", server.admin_token) as admin:
        assert admin.get(f"/api/dashboard/{VISITOR}").status_code == 404
        assert VISITOR not in admin.get("/api/sessions/all").json()["sessions"]
    assert not (server.data_dir / VISITOR.replace(".", "_")).exists()
    assert not [line for line in server.output.splitlines() if " ERROR " in line or "Traceback" in line]


def _ask(
    server: Server, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b"", *,
    peer: str = VISITOR, port: int = 0,
) -> Answer:  # fmt: skip
    """Send what a client library would not: each header as it is, Host among them."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    head = (
        "\r\n".join([*lines, "Connection: close", "", ""])
        if not _is_upgrade(headers)
        else "\r\n".join([*lines, "", ""])
    )
    with socket.create_connection(("127.0.0.1", port or server.port), 20, source_address=(peer, 0)) as connection:
        connection.sendall(head.encode("latin-1") + body)
        answered = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answered += part
                if answered.startswith(b"HTTP/1.1 101") and b"\r\n\r\n" in answered:
                    break
    first, _, rest = answered.partition(b"\r\n")
    fields, _, content = rest.partition(b"\r\n\r\n")
    pairs = [tuple(line.split(b": ", 1)) for line in fields.split(b"\r\n")]
    return Answer(int(first.split()[1]), httpx.Headers(pairs), content)  # type: ignore[arg-type]


def _is_upgrade(headers: list[tuple[str, str]]) -> bool:
    return any(name == "Upgrade" for name, _ in headers)


def _handshake(*headers: tuple[str, str]) -> list[tuple[str, str]]:
    key = base64.b64encode(os.urandom(16)).decode()
    own = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ]
    return [*headers, *own]


def _hosts(port: int) -> dict[str, tuple[list[str], str]]:
    """Values of the Host headers, and the verdict on each."""
    return {
        "foreign": ([f"evil.example:{port}"], "misdirected"),
        "ours in a foreign name": ([f"127.0.0.1.evil.example:{port}"], "misdirected"),
        "our name in a foreign one": ([f"{HOSTNAME}.evil.example:{port}"], "misdirected"),
        "below an allowed one": ([f"sub.page.example:{port}"], "misdirected"),
        "foreign address": ([f"8.8.8.8:{port}"], "misdirected"),
        "foreign IPv6 address": ([f"[2001:db8::1]:{port}"], "misdirected"),
        "unspecified address": ([f"0.0.0.0:{port}"], "misdirected"),
        "missing": ([], "host"),
        "double": ([f"127.0.0.1:{port}"] * 2, "host"),
        "two in one": ([f"127.0.0.1:{port}, evil.example"], "host"),
        "empty": ([""], "host"),
        "with a user": ([f"evil@127.0.0.1:{port}"], "host"),
        "with a path": (["127.0.0.1/evil"], "host"),
        "number": (["2130706433"], "host"),
        "no port": (["127.0.0.1:99999"], "host"),
        "huge": (["a" * 20_000], "host"),
        "not ASCII": (["127.0.0.1\xe9"], "host"),
        "own address": ([f"127.0.0.1:{port}"], "in"),
        "another own address": ([f"127.0.0.5:{port}"], "in"),
        "own IPv6 address": ([f"[::1]:{port}"], "in"),
        "own name": ([f"{HOSTNAME}:{port}"], "in"),
        "own local name": ([f"{HOSTNAME.partition('.')[0].upper()}.local:{port}"], "in"),
        "localhost": ([f"localhost:{port}"], "in"),
        "allowed": (["page.example"], "in"),
    }


def _origins(port: int) -> dict[str, tuple[list[str], bool]]:
    """Values of the Origin headers, and whether they are ours, where Host is 127.0.0.1 with the port."""
    return {
        "foreign": (["http://evil.example"], False),
        "foreign with our port": ([f"http://evil.example:{port}"], False),
        "null": (["null"], False),
        "sibling port": ([f"http://127.0.0.1:{port + 1 if port < 65535 else 1}"], False),
        "default port": (["http://127.0.0.1"], False),
        "sibling address": ([f"http://127.0.0.2:{port}"], False),
        "sibling subdomain": ([f"http://x.127.0.0.1.example:{port}"], False),
        "our other name": ([f"http://localhost:{port}"], False),
        "https": ([f"https://127.0.0.1:{port}"], False),
        "double": ([f"http://127.0.0.1:{port}"] * 2, False),
        "empty": ([""], False),
        "missing": ([], True),
        "ours": ([f"http://127.0.0.1:{port}"], True),
    }


FOREIGN = [name for name, (_, verdict) in _hosts(1).items() if verdict != "in"]
REFUSED = [name for name, (_, ours) in _origins(1).items() if not ours]


def _is_refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert not [name for name in answer.headers if name.startswith("access-control-")]


_STATUS = {"misdirected": 421, "host": 400, "cross_site": 403, "content_type": 415}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.usefixtures("unknown")
def test_no_operation_answers_to_a_host_that_is_not_ours(
    server: Server, operations: list[Operation], kind: str
) -> None:
    assert len(operations) > 25
    hosts, code = _hosts(server.port)[kind]
    port = next(ports := itertools.cycle((server.port, server.ws_port)))
    for operation in operations:
        port = next(ports)
        # All else is as a rebound page sends it: the host that it believes in is its own origin.
        headers = [("Host", host) for host in hosts] + [("Origin", f"http://{host}") for host in hosts[:1]]
        sent = [*headers, *operation.headers.items(), ("Sec-Fetch-Site", "same-origin"), ("Cookie", "a=b")]
        answer = _ask(server, operation.method, operation.path, sent, operation.body, port=port)
        _is_refused(answer, _STATUS[code], code)


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.usefixtures("unknown")
def test_no_operation_answers_to_the_page_of_another_origin(
    server: Server, operations: list[Operation], kind: str
) -> None:
    origins, _ = _origins(server.port)[kind]
    host = ("Host", f"127.0.0.1:{server.port}")
    for operation in operations:
        headers = [host, *(("Origin", origin) for origin in origins), *operation.headers.items()]
        for method in {operation.method, "OPTIONS", "POST"}:
            preflight = [
                ("Access-Control-Request-Method", operation.method),
                ("Access-Control-Request-Headers", "content-type"),
            ]
            answer = _ask(server, method, operation.path, [*headers, *preflight], operation.body)
            _is_refused(answer, 403, "cross_site")


@pytest.mark.usefixtures("unknown")
def test_no_operation_answers_to_what_a_browser_says_to_be_cross_site(
    server: Server, operations: list[Operation]
) -> None:
    host = ("Host", f"127.0.0.1:{server.port}")
    for operation, site in itertools.product(operations, ("cross-site", "same-site")):
        headers = [host, ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "no-cors"), *operation.headers.items()]
        _is_refused(_ask(server, operation.method, operation.path, headers, operation.body), 403, "cross_site")


@pytest.mark.usefixtures("unknown")
def test_no_operation_that_changes_something_takes_a_cookie_without_an_origin(
    server: Server, operations: list[Operation]
) -> None:
    headers = [("Host", f"127.0.0.1:{server.port}"), ("Cookie", "session=1")]
    for operation in operations:
        if operation.method != "GET":
            answer = _ask(
                server, operation.method, operation.path, [*headers, *operation.headers.items()], operation.body
            )
            _is_refused(answer, 403, "cross_site")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
@pytest.mark.usefixtures("unknown")
def test_no_operation_takes_for_json_what_is_not_said_to_be(
    server: Server, operations: list[Operation], kind: str
) -> None:
    headers = [("Host", f"127.0.0.1:{server.port}"), *([("Content-Type", kind)] if kind else [])]
    asked = 0
    for operation in operations:
        if operation.method != "GET" and operation.kind != "application/octet-stream":
            if operation.kind.partition("/")[0] == kind.partition("/")[0] == "multipart":
                continue  # a form is what is meant here, from our own page or from no browser
            asked += 1
            answer = _ask(server, operation.method, operation.path, headers, operation.body or b"x=1")
            _is_refused(answer, 415, "content_type")
    assert asked > 5


def test_uploads_are_those_operations_that_the_description_says_take_bytes(operations: list[Operation]) -> None:
    for operation in operations:
        scope = {"type": "http", "method": operation.method, "path": operation.path}
        assert takes_bytes(scope) is (operation.kind not in ("", "application/json")), operation
    assert any(operation.kind == "application/octet-stream" for operation in operations)


def test_programs_and_the_own_page_reach_every_operation_by_every_own_host(
    server: Server, operations: list[Operation]
) -> None:
    for hosts, verdict in _hosts(server.port).values():
        if verdict != "in":
            continue
        for operation in operations:
            own = [("Origin", f"http://{hosts[0]}".lower()), ("Sec-Fetch-Site", "same-origin"), ("Cookie", "a=b")]
            for headers in ([], own):
                sent = [("Host", hosts[0]), *headers, *operation.headers.items()]
                answer = _ask(server, operation.method, operation.path, sent, operation.body, peer="127.0.0.67")
                assert answer.status not in (400, 403, 415, 421), (operation, answer)


@pytest.mark.parametrize("kind", _hosts(1))
def test_the_websocket_of_both_ports_asks_for_the_host(server: Server, unknown: None, kind: str) -> None:
    for port in (server.port, server.ws_port):
        hosts, code = _hosts(port)[kind]
        if code == "in":
            continue
        headers = _handshake(*(("Host", host) for host in hosts), *(("Origin", f"http://{host}") for host in hosts[:1]))
        answer = _ask(server, "GET", f"/ws/dashboard/{VISITOR}", headers, port=port)
        _is_refused(answer, 400 if kind in ("huge",) else _STATUS[code], "handshake" if kind == "huge" else code)


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.usefixtures("unknown")
def test_the_websocket_of_both_ports_asks_for_the_origin(server: Server, kind: str) -> None:
    for port in (server.port, server.ws_port):
        origins, _ = _origins(port)[kind]
        if f"http://127.0.0.1:{server.port + server.ws_port - port}" in origins:
            continue  # the sibling port happens to be our other one
        headers = _handshake(("Host", f"127.0.0.1:{port}"), *(("Origin", origin) for origin in origins))
        refused = _ask(server, "GET", f"/ws/dashboard/{VISITOR}", headers, port=port)
        _is_refused(refused, *((400, "handshake") if len(origins) > 1 else (403, "cross_site")))
        cookie = _handshake(("Host", f"127.0.0.1:{port}"), ("Cookie", "a=b"))
        _is_refused(_ask(server, "GET", f"/ws/dashboard/{VISITOR}", cookie, port=port), 403, "cross_site")


def test_our_own_page_opens_the_websocket_of_both_ports(server: Server) -> None:
    for port in (server.port, server.ws_port):
        origin = Origin(f"http://127.0.0.1:{server.port}")
        with connect(f"ws://127.0.0.1:{port}/ws/dashboard/127.0.0.1", origin=origin, compression=None) as connection:
            assert json.loads(connection.recv(20))["event"] == "dashboard_update"


@pytest.mark.parametrize(
    "broken",
    [
        {"Sec-WebSocket-Version": "12"}, {"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Key": ""},
        {f"X-{number}": "a" for number in range(200)}, {"X-Long": "a" * 9000}, {"Content-Length": "5"},
    ],
)  # fmt: skip
@pytest.mark.usefixtures("unknown")
def test_a_handshake_that_is_none_is_answered_and_closed(server: Server, broken: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        headers = dict(_handshake(("Host", f"127.0.0.1:{server.port}"))) | broken
        answer = _ask(server, method, f"/ws/dashboard/{VISITOR}", list(headers.items()))
        _is_refused(answer, 400, "handshake")


@pytest.mark.usefixtures("unknown")
def test_a_websocket_where_there_is_none_is_not_found(server: Server) -> None:
    for path in ("/ws/nothing", "/api/client-ip", f"/ws/dashboard/{VISITOR[:-1]}"):
        answer = _ask(server, "GET", path, _handshake(("Host", f"127.0.0.1:{server.port}")))
        _is_refused(answer, 404, "not_found")


@pytest.mark.usefixtures("unknown")
def test_the_host_of_the_target_counts_and_not_the_header(server: Server) -> None:
    own = [("Host", f"127.0.0.1:{server.port}")]
    answer = _ask(server, "GET", "http://evil.example/api/client-ip", own)
    _is_refused(answer, 421, "misdirected")
    assert _ask(server, "GET", "http://page.example/api/client-ip", [("Host", "evil.example")]).status == 200


@pytest.mark.usefixtures("unknown")
def test_what_is_no_http_is_answered_in_the_one_shape(server: Server) -> None:
    own = [("Host", f"127.0.0.1:{server.port}")]
    for headers in ([*own, ("Bad Name", "x")], [*own, ("X", "a\x00b")], [*own, ("Content-Length", "x")]):
        _is_refused(_ask(server, "GET", "/api/client-ip", headers), 400, "request")
    _is_refused(_ask(server, "CONNECT", "evil.example:443", own), 400, "request")


def test_a_proxy_says_the_host_and_the_scheme_and_nobody_else_does(server: Server) -> None:
    said = [("Host", "127.0.0.1:5000"), ("X-Forwarded-For", "127.0.0.67"), ("X-Forwarded-Host", "page.example")]
    said += [("X-Forwarded-Proto", "https"), ("Origin", "https://page.example"), ("Content-Type", "application/json")]
    body = b'{"description": "true", "runner": "swarm"}'
    answer = _ask(server, "POST", "/api/task/submit", said, body, peer="127.0.0.200")
    assert answer.status == 200
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    _is_refused(_ask(server, "POST", "/api/task/submit", said, body), 403, "cross_site")
    foreign = [*said[:2], ("X-Forwarded-Host", "evil.example")]
    refused = _ask(server, "GET", "/api/client-ip", foreign, peer="127.0.0.200")
    assert (refused.status, refused.code) == (421, "misdirected")


def test_every_kind_of_answer_has_the_headers(server: Server) -> None:
    files = "/api/workspace/127.0.0.67/files"
    with device(server, "127.0.0.67") as client:
        client.put(f"{files}/inputs/page.html", content=b"<script>alert(1)</script>")
        static = client.get("/static/js/main.js")
        answers = {
            "page": (client.get("/"), 200),
            "static": (static, 200),
            "not modified": (client.get("/static/js/main.js", headers={"If-None-Match": static.headers["etag"]}), 304),
            "no static file": (client.get("/static/nothing.js"), 404),
            "not found": (client.get("/nothing"), 404),
            "no such method": (client.patch("/api/client-ip", json={}), 405),
            "preflight": (client.options("/api/task/submit"), 405),
            "invalid": (client.post("/api/task/submit", json=[]), 422),
            "too large": (client.post("/api/task/submit", json={"description": "x" * 600_000}), 413),
            "admin only": (client.get("/api/sessions/all"), 401),
            "file": (client.get(f"{files}/inputs/page.html"), 200),
            "part": (client.get(f"{files}/inputs/page.html", headers={"Range": "bytes=0-3"}), 206),
            "no part": (client.get(f"{files}/inputs/page.html", headers={"Range": "bytes=99-"}), 416),
            "archive": (client.get("/api/workspace/127.0.0.67/archive?path=inputs"), 200),
            "picture": (client.get("/api/join/qr.svg"), 200),
            "deleted": (client.delete(f"{files}/inputs/page.html"), 204),
        }  # fmt: skip
    for kind, (answer, status) in answers.items():
        assert answer.status_code == status, kind
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, kind
        assert "frame-ancestors 'none'" in policy, kind
        assert "unsafe" not in policy, kind
        assert answer.headers["x-content-type-options"] == "nosniff", kind
        assert answer.headers["referrer-policy"] == "no-referrer", kind
        assert answer.headers["cross-origin-resource-policy"] == "same-origin", kind
        assert "cross-origin-opener-policy" not in answer.headers, kind
        assert not [name for name in answer.headers if name.startswith("access-control-")], kind
        if kind in ("file", "part", "archive"):
            assert policy.startswith("sandbox;"), kind
            assert answer.headers["content-disposition"].startswith("attachment; "), kind
            assert "html" not in answer.headers["content-type"], kind


def test_a_name_that_a_task_gave_to_a_file_is_one_value_of_a_header(server: Server) -> None:
    names = [
        b'a".exe"\nSet-Cookie: x=1\r\n',
        b"\xe2\x80\xaegnp.exe",
        b"\x1b[31mred",
        b"\xff\xfe",
        b"n" * 255,
        b"<img src=x>",
    ]
    directory = server.data_dir / "127_0_0_67" / "temp"
    with device(server, "127.0.0.67") as client:
        client.put("/api/workspace/127.0.0.67/files/temp/first", content=b"x")
        for name in names:
            path = os.path.join(os.fsencode(directory), name)
            Path(os.fsdecode(path)).write_bytes(b"x")
            os.chown(path, (directory / "first").stat().st_uid, (directory / "first").stat().st_gid)
        listed = client.get("/api/workspace/127.0.0.67/files?path=temp").json()["entries"]
        assert len(listed) == len(names) + 1
        for entry in listed:
            url = httpx.URL(server.url).copy_with(
                raw_path=f"/api/workspace/127.0.0.67/files/temp/{_quoted(entry['name'])}".encode()
            )
            answer = client.get(url)
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
            value = answer.headers["content-disposition"]
            assert value.isascii()
            assert value.isprintable()
            assert value.count('"') == 2


def _quoted(name: str) -> str:
    return "".join(f"%{byte:02X}" for byte in name.encode())


def test_the_examples_for_a_terminal_go_on_working(server: Server) -> None:
    def curl(*arguments: str) -> str:
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "20", *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout

    for host in ("127.0.0.1", "localhost"):
        url = f"http://{host}:{server.port}"
        body = '{"description": "wc -l inputs/data.csv", "runner": "swarm"}'
        made = curl(f"{url}/api/task/submit", "--ipv4", "-H", "Content-Type: application/json", "-d", body)
        assert json.loads(made)["status"] == "submitted"
        assert (
            json.loads(curl("--ipv4", "-X", "POST", f"{url}/api/task/{json.loads(made)['task_id']}/cancel"))["status"]
            == "cancelled"
        )
    named = curl(f"http://{HOSTNAME}:{server.port}/api/client-ip", "--resolve", f"{HOSTNAME}:{server.port}:127.0.0.1")
    assert json.loads(named)["ip"].startswith("127.")
