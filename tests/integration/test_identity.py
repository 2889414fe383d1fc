"""Who a device is, over real connections: by its secret wherever it is, by its address where it sends none.

On loopback there are no MAC addresses, so that here the contract's rule of addresses holds: tests/lan has the rest.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.integration.clients import PATIENCE_S, dashboard, device, ended, submit
from tests.server import Server, start_server

FORGOTTEN = 4401
_addresses = (f"127.1.{high}.{low}" for high in range(1, 200) for low in range(1, 250))


@pytest.fixture
def address() -> str:
    """One that no other test of this module has."""
    return next(_addresses)


@pytest.fixture
def elsewhere() -> str:
    return next(_addresses)


@contextlib.contextmanager
def browser(server: Server, address: str, *, enrol: bool = True) -> Iterator[httpx.Client]:
    """A page of the server in a browser at that address: it has cookies and says where it comes from."""
    with device(server, address) as client:
        client.headers["Origin"] = server.url
        if enrol:
            assert client.post("/api/device", json={}).status_code == 200
        yield client


def at(server: Server, address: str, page: httpx.Client) -> contextlib.AbstractContextManager[httpx.Client]:
    """The same browser at another address."""

    @contextlib.contextmanager
    def moved() -> Iterator[httpx.Client]:
        with browser(server, address, enrol=False) as client:
            client.cookies = page.cookies
            yield client

    return moved()


def me(client: httpx.Client) -> dict[str, Any]:
    facts: dict[str, Any] = client.get("/api/device").json()
    return facts


def session_of(client: httpx.Client) -> str:
    session_id: str = me(client)["session"]["session_id"]
    return session_id


def soon(check: Callable[[], object]) -> None:
    """Wait until that is so."""
    end = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_asking_who_one_is_makes_nothing(server: Server, address: str) -> None:
    with device(server, address) as client:
        for _ in range(2):
            facts = me(client)
            assert (facts["device"], facts["session"], facts["devices"]) == (None, None, [])
        assert (facts["identity"], facts["can_tell"], facts["is_shared"]) == ("address", False, False)
    assert not (server.data_dir / address.replace(".", "_")).exists()


def test_a_browser_gets_a_cookie_that_no_script_reads_and_no_other_site_sends(server: Server, address: str) -> None:
    with browser(server, address, enrol=False) as page:
        first = page.post("/api/device", json={})
        cookie = first.headers["set-cookie"]
        assert cookie.startswith("lsm-device=")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        again = page.post("/api/device", json={})
        assert again.headers["set-cookie"] == cookie  # the same secret, for as long again
        assert again.json()["device"]["id"] == first.json()["device"]["id"]
        assert len(again.json()["devices"]) == 1
    state = b"".join(path.read_bytes() for path in (server.data_dir / ".lan_session_manager").glob("state.db*"))
    assert cookie.split(";")[0].partition("=")[2].encode() not in state


def test_a_device_has_its_session_back_at_another_address(server: Server, address: str, elsewhere: str) -> None:
    with browser(server, address) as page, at(server, elsewhere, page) as moved:
        assert session_of(moved) == session_of(page)
        for client_ip in (address, elsewhere):
            assert moved.get(f"/api/session/{client_ip}").json()["session_id"] == session_of(page)
        with dashboard(server, elsewhere) as live:  # the address has come along
            assert live.event("dashboard_update")["data"]["session"]["session_id"] == session_of(page)


def test_a_client_without_a_cookie_is_whom_the_address_names(server: Server, address: str) -> None:
    with device(server, address) as curl, browser(server, address) as page:
        assert session_of(curl) == session_of(page)
        assert me(curl)["device"] is None


def test_an_address_where_devices_of_two_sessions_have_been_names_nobody(
    server: Server, address: str, elsewhere: str
) -> None:
    with browser(server, address) as one, browser(server, elsewhere) as other, device(server, address) as curl:
        own = session_of(one)
        task_id = submit(one, "echo private")
        with at(server, address, other) as visitor:
            theirs = visitor.get(f"/api/session/{address}").json()["session_id"]
            assert theirs == session_of(other) != own
            assert me(visitor)["is_shared"]
            assert visitor.get(f"/api/task/{task_id}").status_code == 404
        assert one.get(f"/api/session/{address}").json()["session_id"] == own
        refused = curl.get(f"/api/session/{address}")
        assert (refused.status_code, refused.json()["code"]) == (401, "device_needed")
        assert curl.get(f"/api/task/{task_id}").status_code == 401
        assert curl.get("/api/system/health").status_code == 200
        with browser(server, address) as third:
            assert session_of(third) not in (own, theirs)
        made = curl.post("/api/device", json={"program": True, "name": "nightly"}).json()
        assert (made["device"]["kind"], made["device"]["name"]) == ("program", "nightly")
        curl.headers["LSM-Device"] = made["token"]
        assert curl.get(f"/api/session/{address}").json()["session_id"] == made["session"]["session_id"]


def test_a_program_gets_a_token_and_no_cookie(server: Server, address: str, elsewhere: str) -> None:
    with device(server, address) as program:
        made = program.post("/api/device", json={"program": True})
        assert "set-cookie" not in made.headers
        with device(server, elsewhere) as moved:
            moved.headers["LSM-Device"] = made.json()["token"]
            assert session_of(moved) == made.json()["session"]["session_id"]
            again = moved.post("/api/device", json={})
            assert again.json()["device"]["id"] == made.json()["device"]["id"]
            assert "set-cookie" not in again.headers
            assert made.json()["token"] not in again.text


def test_who_says_that_a_session_is_not_theirs_begins_anew(server: Server, address: str) -> None:
    with browser(server, address) as one, browser(server, address) as other:
        own = session_of(one)
        assert session_of(other) == own  # nothing tells them apart, as one would not guess
        fresh = other.post("/api/device", json={"fresh": True}).json()
        assert fresh["is_shared"]
        assert fresh["session"]["session_id"] != own
        assert [each["is_this"] for each in fresh["devices"]] == [True]
        assert session_of(one) == own


def test_a_device_names_itself(server: Server, address: str) -> None:
    with browser(server, address) as page:
        assert page.patch("/api/device", json={"name": " Anna's  laptop "}).json()["name"] == "Anna's laptop"
        assert me(page)["devices"][0]["name"] == "Anna's laptop"
        assert page.patch("/api/device", json={"name": "a\u202eb"}).status_code == 422
    with device(server, address) as curl:
        assert curl.patch("/api/device", json={"name": "x"}).json()["code"] == "device_needed"


def test_first_requests_at_once_make_one_session(server: Server, address: str) -> None:
    def ask(_: int) -> str:
        with device(server, address) as client:
            session_id: str = client.get(f"/api/session/{address}").json()["session_id"]
            return session_id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1


def test_a_session_is_carried_to_another_device_by_its_code(server: Server, address: str, elsewhere: str) -> None:
    with browser(server, address) as one, browser(server, elsewhere) as other:
        own, theirs = session_of(one), session_of(other)
        for field in ("code", "secret"):
            made = one.post("/api/device/carry", json={}).json()
            assert made["url"].endswith(f"/#carry={made['secret']}")
            assert made["qr"].startswith("<svg")
            claimed = other.post("/api/device/claim", json={field: made[field]}).json()
            assert claimed["session"]["session_id"] == own == session_of(other)
            assert len(claimed["devices"]) == 2
            again = other.post("/api/device/claim", json={field: made[field]})
            assert (again.status_code, again.json()["code"]) == (404, "no_such_code")
            with dashboard(server, elsewhere) as live:
                live.event("dashboard_update")
                left = other.post("/api/device/leave", json={}).json()
                assert left["session"]["session_id"] == theirs == session_of(other)
                _assert_closed(live.connection.recv)
        assert len(me(one)["devices"]) == 1


def test_codes_cannot_be_tried_out(server: Server, address: str) -> None:
    with browser(server, address) as page:
        answers = [page.post("/api/device/claim", json={"code": f"{n:06d}"}) for n in range(12)]
        assert {answer.status_code for answer in answers} == {404, 429}
        assert int(answers[-1].headers["retry-after"]) > 0


def test_a_forgotten_device_is_out_at_once_and_begins_anew(server: Server, address: str, elsewhere: str) -> None:
    with browser(server, address) as page, device(server, address) as curl, at(server, elsewhere, page) as second:
        own, cookies = session_of(page), httpx.Cookies(page.cookies)
        task_id = submit(page, "echo begun; sleep 60")
        with contextlib.ExitStack() as open_things, ThreadPoolExecutor(2) as pool:
            live = open_things.enter_context(dashboard(server, address))
            live.event("dashboard_update")
            begun = threading.Barrier(3)
            logs = [pool.submit(_read_to_its_end, client, task_id, begun) for client in (second, curl)]
            begun.wait(PATIENCE_S)
            answer = page.delete("/api/device")
            assert answer.status_code == 204
            assert "Max-Age=0" in answer.headers["set-cookie"]
            _assert_closed(live.connection.recv)
            for log in logs:
                assert log.result(PATIENCE_S) == "cut"
        with device(server, address) as again:
            again.cookies = cookies
            facts = again.get(f"/api/session/{address}").json()
            assert facts["session_id"] != own
            assert facts["workspace"].endswith("-2")
            assert again.get(f"/api/task/{task_id}").status_code == 404
    with device(server, "127.0.0.9", server.admin_token) as owner:
        owner.post(f"/api/task/{task_id}/cancel", json={})
        ended(owner, task_id)


def _read_to_its_end(client: httpx.Client, task_id: str, begun: threading.Barrier) -> str:
    try:
        with client.stream("GET", f"/api/task/{task_id}/log?follow=1") as answer:
            assert answer.status_code == 200
            begun.wait(PATIENCE_S)
            for _ in answer.iter_bytes():
                pass
    except httpx.TransportError:
        return "cut"
    return "whole"


def test_other_devices_of_the_session_stay_when_one_is_forgotten(server: Server, address: str, elsewhere: str) -> None:
    with browser(server, address) as one, browser(server, elsewhere) as other:
        own, theirs = session_of(one), session_of(other)
        other.post("/api/device/claim", json={"code": one.post("/api/device/carry", json={}).json()["code"]})
        lost = next(each["id"] for each in me(one)["devices"] if not each["is_this"])
        with dashboard(server, address) as stays, dashboard(server, elsewhere) as goes:
            goes.event("dashboard_update")
            assert one.delete(f"/api/device/{lost}").status_code == 204
            _assert_closed(goes.connection.recv)
            stays.send(type="ping")
            stays.event("pong")
        assert session_of(other) == theirs  # what was carried to it goes, its own does not
        assert session_of(one) == own
        assert one.delete(f"/api/device/{lost}").status_code == 404  # it is of another session by now


def test_a_guest_that_forgets_itself_is_nobody_any_more(server: Server, address: str, elsewhere: str) -> None:
    with browser(server, address) as one, browser(server, elsewhere) as other:
        theirs = session_of(other)
        other.post("/api/device/claim", json={"code": one.post("/api/device/carry", json={}).json()["code"]})
        cookies = httpx.Cookies(other.cookies)
        assert other.delete("/api/device").status_code == 204
        assert len(me(one)["devices"]) == 1
        with device(server, elsewhere) as again:
            again.cookies = cookies
            assert me(again)["device"] is None
            assert again.get(f"/api/session/{elsewhere}").json()["session_id"] not in (theirs, session_of(one))


def _assert_closed(receive: Callable[[float], object]) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        _receive_for_ever(receive)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == FORGOTTEN


def _receive_for_ever(receive: Callable[[float], object]) -> None:
    while True:
        receive(PATIENCE_S)


def test_the_owner_finds_a_session_by_any_address_and_by_its_name(
    server: Server, admin: httpx.Client, address: str, elsewhere: str
) -> None:
    with browser(server, address) as page, at(server, elsewhere, page) as moved:
        own = moved.get(f"/api/session/{elsewhere}").json()
        for name in (address, elsewhere, own["workspace"]):
            assert admin.get(f"/api/session/{name}").json()["session_id"] == own["session_id"]
        assert moved.get(f"/api/session/{own['workspace']}").status_code == 404


def test_two_sessions_that_were_seen_last_at_one_address_are_both_listed(
    server: Server, admin: httpx.Client, address: str
) -> None:
    with browser(server, address), browser(server, address) as other:
        other.post("/api/device", json={"fresh": True})
        listed = admin.get("/api/sessions/all").json()["sessions"]
        assert {address, f"{address}-2"} <= set(listed)
        assert len({listed[address]["session_id"], listed[f"{address}-2"]["session_id"]}) == 2


def test_where_only_devices_are_known_an_address_is_nobody(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(start_server(tmp_path, env={"LSM_IDENTITY": "device"}))
        curl = stack.enter_context(device(server, "127.0.0.5"))
        page = stack.enter_context(browser(server, "127.0.0.5"))
        own = session_of(page)
        assert me(page)["identity"] == "device"
        for path in ("/api/session/127.0.0.5", "/api/dashboard/127.0.0.5", "/api/activity/log"):
            assert curl.get(path).json()["code"] == "device_needed"
            assert page.get(path).status_code == 200
        assert session_of_new(curl) != own
        assert page.get("/api/session/127.0.0.5").json()["session_id"] == own


def session_of_new(client: httpx.Client) -> str:
    """Of a program that makes itself known."""
    made = client.post("/api/device", json={"program": True}).json()
    session_id: str = made["session"]["session_id"]
    return session_id
