"""Whatever a client sends, the answer is a sentence with a 4xx, never a 5xx; nothing is made of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.fuzz import Fuzzer
from tests.integration.clients import device
from tests.server import Server, start_server

TEXTS = [
    "", " ", "\x00", "a\x00b", "\x1b[2J", "\n", "..", "../..", "%2F", "..%2f..%2fetc", "/etc/passwd", "not-an-address",
    "1.2.3.4.5", "[::1]", "::1%25eth0", "user_1_2_3_4_task_001", "\u202e", "\ufffd", "\ud7ff", "NULL", "' OR 1=1 --",
    "<script>", "{}", "x" * 1_000_000,
]  # fmt: skip


@pytest.fixture
def quiet(server: Server) -> Iterator[None]:
    """After the test nothing is there that was not there before, and the server has met no fault."""
    before = _state(server)
    yield
    assert _state(server) == before
    assert "Traceback" not in server.output


def _state(server: Server) -> tuple[set[str], set[str]]:
    with device(server, "127.0.0.9", server.admin_token) as admin:
        sessions = set(admin.get("/api/sessions/all").json()["sessions"])
    return {entry.name for entry in Path(server.data_dir).iterdir()}, sessions


def _is_refused(answer: httpx.Response) -> None:
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:200])
    body = answer.json()
    assert set(body) == {"error", "code"}
    assert re.fullmatch(r"[^\x00-\x1f]{5,600}[.]", body["error"]), body
    for inside in ("Traceback", "sqlite", "/usr/", "lan_session_manager/"):
        assert inside not in body["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/dashboard/{}"), ("GET", "/api/session/{}"), ("POST", "/api/workspace/{}/validate"),
        ("GET", "/api/workspace/{}/files"), ("GET", "/api/workspace/{}/archive"), ("PUT", "/api/workspace/{}/files/a"),
        ("DELETE", "/api/workspace/{}/files/a"), ("POST", "/api/workspace/{}/directory"),
        ("GET", "/api/task/{}"), ("GET", "/api/task/{}/log"), ("POST", "/api/task/{}/cancel"),
        ("POST", "/api/task/{}/rerun"), ("DELETE", "/api/task/{}"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("quiet")
def test_a_name_in_a_url_that_is_none(server: Server, method: str, path: str) -> None:
    with device(server, "127.0.0.44") as stranger:
        body = {"file_path": "a", "path": "a"}
        for text in TEXTS:
            _is_refused(stranger.request(method, path.format(quote(text[:20_000], safe="")), json=body))


NO_TEXT = [1, -1, 1.5, True, [], {}, ["a"], {"a": 1}]
BAD_TEXT = ["", "a\x00b", "\x1b[2J", "x" * 1_000_000]
REFUSED = {
    "description": [None, *NO_TEXT, *BAD_TEXT, " ", "\n"],
    "command": [*NO_TEXT, *BAD_TEXT, " "],
    "runner": [*NO_TEXT, *TEXTS, "docker", "Shell", "template:x"],
    "limits": [
        1,
        "512",
        [],
        {"memory_mb": "512"},
        {"memory_mb": -1},
        {"memory_mb": 2**40},
        {"time_s": 0},
        {"time_s": "1"},
    ],
    "network": [*NO_TEXT, *TEXTS, "internet"],
    "idempotency_key": [*NO_TEXT, *BAD_TEXT, "\n"],
}


@pytest.mark.parametrize("field", REFUSED)
@pytest.mark.usefixtures("quiet")
def test_a_field_of_a_submission_that_does_not_fit(server: Server, field: str) -> None:
    with device(server, "127.0.0.44") as stranger:
        fine = {"description": "count words", "runner": "swarm"}
        for value in REFUSED[field]:
            _is_refused(stranger.post("/api/task/submit", json={**fine, field: value}))


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"text"', b"{", b"\xff\xfe", b'{"description": "a"', b"[" * 50_000, b'{"description": NaN}'],
)
@pytest.mark.usefixtures("quiet")
def test_a_body_that_is_no_object(server: Server, body: bytes) -> None:
    with device(server, "127.0.0.44") as stranger:
        _is_refused(stranger.post("/api/task/submit", content=body, headers={"Content-Type": "application/json"}))


@pytest.mark.usefixtures("quiet")
def test_a_body_that_is_too_large(server: Server) -> None:
    with device(server, "127.0.0.44") as stranger:
        body = json.dumps({"description": "x" * 2_000_000}).encode()
        announced = stranger.post("/api/task/submit", content=body, headers={"Content-Type": "application/json"})
        _is_refused(announced)
        assert announced.status_code == 413
        chunked = stranger.post("/api/task/submit", content=iter([body]), headers={"Content-Type": "application/json"})
        assert chunked.status_code == 413


@pytest.mark.usefixtures("quiet")
def test_a_form_is_no_json(server: Server) -> None:
    with device(server, "127.0.0.44") as stranger:
        _is_refused(stranger.post("/api/task/submit", data={"description": "a"}))
        _is_refused(
            stranger.post("/api/task/submit", content=b'{"description": "a"}', headers={"Content-Type": "text/plain"})
        )


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=99999999999999999999", "follow=2", "follow=yes", "after="]
)
def test_a_query_that_does_not_fit(server: Server, query: str) -> None:
    with device(server, "127.0.0.44") as stranger:
        _is_refused(stranger.get(f"/api/task/user_1_2_3_4_task_001/log?{query}"))


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("attacked"), env={"LSM_QUEUE_BOUND": "1000000"}) as server:
        yield server


def test_the_whole_api_is_fuzzed_from_its_own_description(attacked: Server) -> None:
    fuzzer = Fuzzer(attacked, "127.0.0.50")
    assert fuzzer.calls(25) > 500
    assert fuzzer.statuses[200] >= 20  # it gets beyond the first check
    assert "Traceback" not in attacked.output


def test_the_websocket_answers_whatever_it_was_sent_before(attacked: Server) -> None:
    fuzzer = Fuzzer(attacked, "127.0.0.51")
    assert fuzzer.frames(1000) >= 1000
    assert "Traceback" not in attacked.output
