"""The owner's page: in with the token and by nothing else, and what the owner does there is done and written down."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from lan_session_manager.web.rates import FIGURES, Rate
from tests.integration.clients import PATIENCE_S, device, ended, submit, wait_for
from tests.server import Server, start_server

OPERATIONS = ("sessions", "audit", "connections", "session/127.0.0.1/limits")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {"LSM_TRUSTED_PROXIES": "127.0.0.200"}
    with start_server(tmp_path_factory.mktemp("server"), env=env) as server:
        yield server


@pytest.fixture
def page(server: Server) -> Iterator[httpx.Client]:
    """A browser that is logged in."""
    with device(server, "127.0.0.20") as client:
        client.headers["Origin"] = server.url
        answer = client.post("/admin/login", json={"token": server.admin_token})
        assert answer.status_code == 200, answer.text
        assert client.get("/admin/login").json() == {"is_logged_in": True}
        yield client


def _until(client: httpx.Client, path: str, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        if wanted(body):
            return body
        time.sleep(0.1)
    raise AssertionError(f"not as wanted: {body}")


def test_the_page_is_there_for_everybody_and_shows_nothing_by_itself(server: Server) -> None:
    with device(server, "127.0.0.21") as client:
        answer = client.get("/admin")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert client.get("/admin/login").json() == {"is_logged_in": False}


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_address_is_ever_enough(server: Server, name: str) -> None:
    for address in ("127.0.0.1", "127.0.0.20"):
        with device(server, address) as client:
            for root in ("/admin/api", "/api/admin"):
                answer = client.get(f"{root}/{name}")
                assert (answer.status_code, answer.json()["code"]) == (401, "admin_only")


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_cookie_counts_below_admin_and_the_token_elsewhere(
    server: Server, client: httpx.Client, page: httpx.Client, name: str
) -> None:
    assert client.get("/api/client-ip").status_code == 200
    submit(client, "true")  # so that 127.0.0.1 has a session
    secret = page.cookies["lsm-admin"]
    assert page.get(f"/admin/api/{name}").status_code == 200
    forged = {"Cookie": f"lsm-admin={secret}"}
    assert page.get(f"/api/admin/{name}", headers=forged).status_code == 401
    assert page.get("/api/sessions/all", headers=forged).status_code == 401
    with device(server, "127.0.0.22", server.admin_token) as owner:
        assert owner.get(f"/api/admin/{name}").status_code == 200
        assert owner.get(f"/admin/api/{name}").status_code == 401
        as_cookie = {"Authorization": "", "Cookie": f"lsm-admin={server.admin_token}"}
        assert owner.get(f"/admin/api/{name}", headers=as_cookie).status_code == 401


def test_the_cookie_is_for_admin_alone_and_no_script_reads_it(server: Server) -> None:
    with device(server, "127.0.0.23") as client:
        answer = client.post("/admin/login", json={"token": server.admin_token})
        [cookie] = answer.headers.get_list("set-cookie")
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert parts == {"path=/admin", "httponly", "samesite=strict", "max-age=43200"}
        assert server.admin_token not in cookie
        assert "lsm-admin" not in client.build_request("GET", "/api/client-ip").headers.get("cookie", "")
    with device(server, "127.0.0.200") as proxied:
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "10.1.1.1"}
        answer = proxied.post("/admin/login", json={"token": server.admin_token}, headers=headers)
        [cookie] = answer.headers.get_list("set-cookie")
        assert cookie.startswith("__Secure-lsm-admin=")
        assert "secure" in {part.strip().lower() for part in cookie.split(";")}


def test_a_logout_ends_that_login_alone(server: Server, page: httpx.Client) -> None:
    with device(server, "127.0.0.20") as second:
        second.headers["Origin"] = server.url
        second.post("/admin/login", json={"token": server.admin_token})
        cookie = {"Cookie": f"lsm-admin={second.cookies['lsm-admin']}"}
        assert second.post("/admin/logout", json={}).status_code == 204
        assert second.get("/admin/api/sessions", headers=cookie).status_code == 401
    assert page.get("/admin/api/sessions").status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "ä\x00\u202e", "x" * 501])
def test_a_wrong_token_is_no_login(server: Server, token: str) -> None:
    with device(server, "127.0.0.24") as client:
        answer = client.post("/admin/login", json={"token": token})
        assert answer.status_code in (401, 422)
        assert "set-cookie" not in answer.headers


def test_wrong_tokens_are_bounded_for_their_address_alone(server: Server) -> None:
    with device(server, "127.0.0.25") as guesser:
        statuses = [
            guesser.post("/admin/login", json={"token": f"{number}"}).status_code
            for number in range(FIGURES[Rate.LOGIN].burst + 10)
        ]
        assert set(statuses) == {401, 429}
        answer = guesser.post("/admin/login", json={"token": server.admin_token})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
    with device(server, "127.0.0.26") as owner:
        assert owner.post("/admin/login", json={"token": server.admin_token}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {}],
    ids=["origin", "null", "fetch", "cookie-without-origin"],
)
def test_no_other_site_acts_with_the_cookie(server: Server, page: httpx.Client, headers: dict[str, str]) -> None:
    own = page.headers.pop("Origin")
    for path in ("/admin/login", "/admin/logout", "/admin/api/session/127.0.0.1/end"):
        answer = page.post(path, json={"token": "x"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert page.get("/admin/api/sessions", headers={"Origin": own}).status_code == 200


def test_the_owner_sees_sessions_and_ends_one_by_its_name(server: Server, page: httpx.Client) -> None:
    with device(server, "127.0.0.31") as client:
        running = submit(client, "sleep 600")
        wait_for(client, running, lambda task: task["status"] == "running")
        body = page.get("/admin/api/sessions").json()
        [mine] = [one for one in body["sessions"] if one["ip"] == "127.0.0.31"]
        assert (mine["workspace"], mine["state"], mine["running"]) == ("127_0_0_31", "live", 1)
        assert mine["memory_mb"] > 0
        assert body["total"] >= body["live"] >= 1
        answer = page.post("/admin/api/session/127_0_0_31/end", json={})
        assert (answer.status_code, answer.json()["state"]) == (200, "expired")
        again = page.post("/admin/api/session/127.0.0.31/end", json={})
        assert (again.status_code, again.json()["state"]) == (200, "expired")
        task = ended(client, running)
        assert (task["status"], task["reason"]) == ("cancelled", "session_ended")


def test_an_unknown_session_is_not_found(page: httpx.Client) -> None:
    for name in ("127.0.77.77", "127_0_77_77", "..", "a" * 500, "127.0.0.1%00"):
        assert page.post(f"/admin/api/session/{name}/end", json={}).status_code in (404, 405)
        assert page.get("/admin/api/audit", params={"session": name}).status_code in (404, 422)


def test_limits_are_given_on_the_page_as_with_the_token(
    server: Server, page: httpx.Client, admin: httpx.Client
) -> None:
    with device(server, "127.0.0.32") as client:
        submit(client, "true")
    answer = page.put("/admin/api/session/127_0_0_32/limits", json={"quota_mb": 77})
    assert answer.status_code == 200
    assert admin.get("/api/admin/session/127.0.0.32/limits").json()["given"]["quota_mb"] == 77


def test_what_was_done_and_refused_is_in_the_log_and_paged(server: Server, page: httpx.Client) -> None:
    with device(server, "127.0.0.33") as client:
        task = submit(client, "true")
        ended(client, task)
        assert client.get("/api/task/user_127_0_0_1_task_999%1b%5B31m%E2%80%AE").status_code == 404
        assert client.delete(f"/api/task/{task}").status_code == 204
        assert client.post("/admin/login", json={"token": "wrong"}).status_code == 401

    def own(body: dict[str, Any]) -> list[dict[str, Any]]:
        return [entry for entry in body["entries"] if entry["address"] == "127.0.0.33"]

    body = _until(page, "/admin/api/audit?most=1000", lambda body: len(own(body)) >= 4)
    done = {(entry["operation"], entry["verdict"], entry["detail"]): entry for entry in own(body)}
    assert done["POST /admin/login", "refused", "admin_token"]["role"] == "device"
    assert done["DELETE /api/task/{task_id}", "allowed", ""]["object"] == task
    hostile = done["GET /api/task/{task_id}", "refused", "not_found"]["object"]
    assert "\x1b" not in hostile
    assert "\u202e" not in hostile
    assert hostile.endswith("\\u001b[31m\\u202e")
    logins = [entry for entry in body["entries"] if entry["operation"] == "POST /admin/login"]
    assert any((entry["role"], entry["verdict"]) == ("device", "allowed") for entry in logins)
    assert server.admin_token not in str(body)

    of_session = page.get("/admin/api/audit", params={"session": "127_0_0_33"}).json()["entries"]
    assert {entry["address"] for entry in of_session} == {"127.0.0.33"}
    refused = page.get("/admin/api/audit", params={"verdict": "refused"}).json()["entries"]
    assert {entry["verdict"] for entry in refused} == {"refused"}
    first = page.get("/admin/api/audit", params={"most": 2}).json()
    second = page.get("/admin/api/audit", params={"most": 2, "before": first["next"]}).json()
    ids = [entry["id"] for entry in first["entries"] + second["entries"]]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == 4


def test_the_log_is_whole_after_a_stop(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("stopped")
    with start_server(directory) as server:
        with device(server, "127.0.0.34") as client:
            for _ in range(30):
                client.post("/admin/login", json={"token": "wrong"})
        server.terminate()
    with start_server(directory) as server, device(server, "127.0.0.9", server.admin_token) as owner:
        entries = owner.get("/api/admin/audit?verdict=refused&most=1000").json()["entries"]
        mine = [entry for entry in entries if entry["address"] == "127.0.0.34"]
        counted = [int(entry["detail"].split()[1]) for entry in mine if entry["detail"].startswith("and ")]
        assert len(mine) - len(counted) + sum(counted) >= FIGURES[Rate.LOGIN].burst
