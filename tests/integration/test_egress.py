"""Network profiles over REST: who may ask for which, what a task then has, and what is written down of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lan_session_manager.settings import STATE_DIR
from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, remove_leftovers, start_server

pytestmark = pytest.mark.root

SETTINGS = """
networks = ["small"]
[egress.small]
allow = ["files.invalid:80"]
[egress.internet]
allow = ["*:80", "*:443"]
[egress.nothing]
allow = []
"""
CURL = "curl -s --max-time 15"


def _start(place: Path, settings: str = SETTINGS) -> Server:
    state = place / "user_sessions" / STATE_DIR
    state.mkdir(parents=True, exist_ok=True)
    (state / "settings.toml").write_text(settings)
    return start_server(place)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with _start(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def guest(server: Server) -> Iterator[httpx.Client]:
    with device(server, "127.0.0.3") as client:
        client.get("/api/dashboard/127.0.0.3").raise_for_status()
        yield client


def _asked(client: httpx.Client, network: str) -> httpx.Response:
    return client.post("/api/task/submit", json={"description": "true", "runner": "shell", "network": network})


def _rows(client: httpx.Client, task_id: str, count: int) -> list[dict[str, Any]]:
    path = f"/api/task/{task_id}/connections"
    wait_for(client, task_id, lambda _: len(client.get(path).json()["connections"]) >= count)
    rows: list[dict[str, Any]] = client.get(path).json()["connections"]
    return rows


def test_a_task_has_no_network_unless_it_asks(client: httpx.Client) -> None:
    task = ended(client, submit(client, "env | grep -ci _proxy"))
    assert (task["network"], client.get(f"/api/task/{task['task_id']}/log").text) == ("none", "0\n")
    assert ended(client, submit(client, "true", network="none"))["network"] == "none"
    assert client.get(f"/api/task/{task['task_id']}/connections").json() == {"connections": [], "next": None}


@pytest.mark.parametrize("network", ["internet", "unknown", "", "Small", "small\u2028"])
def test_what_the_session_may_not_use_is_refused_like_what_is_not_there(client: httpx.Client, network: str) -> None:
    answer = _asked(client, network)
    assert answer.status_code == 422, answer.text
    if network.isprintable():
        assert answer.json()["error"] == (
            f"There is no network {network} for this session. Choose one of: none, small."
        )


def test_the_owner_gives_a_session_networks_of_its_own(guest: httpx.Client, admin: httpx.Client) -> None:
    def give(**limits: object) -> httpx.Response:
        return admin.put("/api/admin/session/127.0.0.3/limits", json=limits)

    assert give(networks=["unknown"]).status_code == 422
    assert give(networks=["internet", "nothing"]).json()["limits"]["networks"] == ["internet", "nothing"]
    assert guest.get("/api/dashboard/127.0.0.3").json()["permissions"]["networks"] == ["internet", "nothing"]
    assert (_asked(guest, "internet").status_code, _asked(guest, "small").status_code) == (200, 422)
    assert give(networks=[]).json()["given"]["networks"] == []
    assert _asked(guest, "small").status_code == 422
    assert give().json()["limits"]["networks"] == ["small"]


def test_every_connection_is_written_down_for_the_tasks_owner_and_the_machines(
    client: httpx.Client, other: httpx.Client, admin: httpx.Client
) -> None:
    script = f"{CURL} http://files.invalid/; {CURL} http://127.0.0.2/ --noproxy ''; exec 3<>/dev/tcp/127.0.0.1/3128"
    task_id = submit(client, script, network="small")
    assert ended(client, task_id)["network"] == "small"
    rows = _rows(client, task_id, 3)
    assert [(row["host"], row["port"], row["verdict"]) for row in rows[1:]] == [
        ("127.0.0.2", 80, "not_listed"),
        ("files.invalid", 80, "no_address"),
    ]
    assert rows[0]["verdict"] in ("bad_request", "stopped")
    assert all(row["ended_at"] and row["session_id"] and row["more"] == 0 for row in rows)
    path = f"/api/task/{task_id}/connections"
    assert other.get(path).status_code == 404
    assert admin.get(path).json()["connections"] == rows
    assert client.get("/api/admin/connections").status_code == 401
    first = admin.get("/api/admin/connections", params={"most": 2}).json()
    assert first["connections"] == rows[:2]
    assert admin.get("/api/admin/connections", params={"before": first["next"]}).json()["connections"][0] == rows[2]
    client.delete(f"/api/task/{task_id}").raise_for_status()
    assert admin.get("/api/admin/connections").json()["connections"][0] == rows[0]


def test_a_task_that_is_run_again_has_the_same_network_unless_it_is_given_another(client: httpx.Client) -> None:
    task_id = ended(client, submit(client, "true", network="small"))["task_id"]
    assert client.post(f"/api/task/{task_id}/rerun").json()["network"] == "small"
    assert client.post(f"/api/task/{task_id}/rerun", json={"network": "none"}).json()["network"] == "none"
    assert client.post(f"/api/task/{task_id}/rerun", json={"network": "internet"}).status_code == 422


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('[egress.a]\nallow = ["lib.test"]', '"lib.test" cannot be allowed: this is not host:port'),
        ('[egress.a]\nallow = ["192.168.1.5:80"]', "tasks never reach"),
        ("[egress.a]\nallow = 7", "LSM_EGRESS.a.allow does not fit"),
        ("[egress.a]\nalow = []", "LSM_EGRESS.a.alow does not fit"),
        ("[egress.none]\nallow = []", 'a profile cannot have the name "none"'),
        ('networks = ["b"]\n[egress.a]\nallow = []', 'there is no profile "b"'),
        ('[egress.a]\nallow = []\nnetworks = ["a"]', "LSM_EGRESS.a.networks does not fit"),
    ],
)
def test_a_wrong_profile_stops_the_start_with_a_sentence(tmp_path: Path, settings: str, words: str) -> None:
    with pytest.raises(AssertionError) as stopped:
        _start(tmp_path, settings)
    assert words in str(stopped.value)
    assert "Traceback" not in str(stopped.value)


def test_a_task_has_its_proxy_again_after_the_server_was_killed(tmp_path: Path) -> None:
    script = (
        f"echo begun; until [ -e temp/go ]; do sleep 0.05; done; {CURL} http://other.invalid/; {CURL} http://a.invalid/"
    )
    try:
        with device(server := _start(tmp_path)) as client:
            task_id = submit(client, script, network="small")
            wait_for(client, task_id, lambda _: client.get(f"/api/task/{task_id}/log").text == "begun\n")
        server.kill9()
        again = _start(tmp_path, SETTINGS.replace("files.invalid", "a.invalid"))
        with again, device(again) as client:
            (tmp_path / "user_sessions" / "127_0_0_1" / "temp" / "go").touch()
            assert ended(client, task_id)["status"] == "completed"
            assert client.get(f"/api/task/{task_id}/log").text.splitlines() == [
                "begun",
                "The network profile small does not list other.invalid:80.",
                "No address was found for a.invalid.",
            ]
    finally:
        remove_leftovers(tmp_path / "user_sessions")


def test_a_task_that_waits_while_its_network_is_taken_away_does_not_start_without(tmp_path: Path) -> None:
    settings = 'slots = 1\nnetworks = ["small"]\n[egress.small]\nallow = []'
    with (
        _start(tmp_path, settings) as server,
        device(server) as client,
        device(server, token=server.admin_token) as owner,
    ):
        first = submit(client, "sleep 60")
        second = submit(client, "true", network="small")
        owner.put("/api/admin/session/127.0.0.1/limits", json={"networks": []}).raise_for_status()
        client.post(f"/api/task/{first}/cancel").raise_for_status()
        task = ended(client, second)
        assert (task["reason"], task["detail"]) == ("start_failed", "The session may no longer use the network small.")
