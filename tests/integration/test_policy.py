"""Nobody reaches what is another's: every operation that the server describes, every id in its path, every spelling.

What is tried is made of the server's own description, so a new operation is tried as soon as it is there.
"""

import contextlib
import itertools
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import pytest

from lan_session_manager import LANSessionManager
from lan_session_manager.settings import STATE_DIR
from lan_session_manager.web.policy import POLICY, Object, Role
from lan_session_manager.web.routes_live import MESSAGES
from tests.forged import METHODS, SOCKET, Answer, Caller, Operation, ids_in, operations, spellings, variants
from tests.integration.clients import dashboard, device, ended, submit
from tests.server import Server, start_server

OWNER, OTHER = "127.0.10.1", "127.0.10.2"
CANARY = f"canary{secrets.token_hex(6)}"
MISSING = {
    "client_ip": "127.0.250.250",
    "task_id": "user_127_0_10_1_task_999",
    "path": "../127_0_10_9/inputs/canary.txt",
}
_ALL, _ODD, _EVEN = slice(None), slice(1, None, 2), slice(0, None, 2)  # of the spellings
_TOKENS_OF_ONE = 15  # wrong tokens that one address sends; more is refused for a while


@dataclass
class World:
    """A server with a session that has one of everything, and another device that wants it."""

    server: Server
    operations: list[Operation]
    owner: Caller
    other: Caller
    foreign: dict[str, str]  # ids of the owner's objects, by the name that they have in paths
    own: dict[str, str]  # the same of the other device
    device: str  # the owner's device token
    worker: str  # the worker token

    def missing(self, name: str) -> str:
        """An id that looks like the owner's and is nobody's."""
        return MISSING.get(name) or self.foreign[name][::-1]

    @property
    def trials(self) -> list[tuple[Operation, str]]:
        """Each operation with each id of its path that is not looked for inside of what another one names."""
        return [(operation, operation.ids[0]) for operation in self.operations if operation.ids]

    @property
    def children(self) -> list[tuple[Operation, str]]:
        """Each operation with each other id of its path."""
        return [(operation, name) for operation in self.operations for name in operation.ids[1:]]

    def spelled(self, name: str) -> list[str]:
        """What is tried for an id of that name by one who has no business there."""
        return [each for each in variants(self.foreign[name], self.foreign.values()) if unquote(each) != self.own[name]]

    def count(self) -> dict[str, int]:
        """How many operations, ids in their paths, and spelled operations there are."""
        trials = self.trials + self.children
        tried = sum(len(self.spelled(name)) for _, name in trials)
        return {"operations": len(self.operations), "ids": len(trials), "operations x variants": tried}


def _encoded(ids: dict[str, str], **changes: str) -> dict[str, str]:
    return {name: quote(value, safe="/" if name == "path" else "") for name, value in ids.items()} | changes


def _ids(world_operations: list[Operation], caller: Caller, text: str, path: str) -> tuple[dict[str, str], str]:
    """One of everything for a device; the ids by their names in paths, and the device's token.

    The id of what no name is known of is that of the list which the operation's path starts with.
    """
    task = {"description": f"wait for {text}", "runner": "swarm"}
    files = f"/api/workspace/{caller.address}"
    token = caller.json("POST", "/api/device", {"program": True, "name": text})["token"]
    ids = {"client_ip": caller.address, "task_id": caller.json("POST", "/api/task/submit", task)["task_id"]}
    assert caller.send("PUT", f"{files}/files/inputs/{text}.txt", text.encode()).status == 201
    caller.json("POST", f"{files}/uploads", {"path": f"inputs/{text}.part", "size": 100})
    assert caller.send("PUT", f"{files}/files/inputs/{text}.old", text.encode()).status == 201
    caller.json("POST", f"{files}/trash", {"path": f"inputs/{text}.old"})
    ids["path"] = path
    for operation in world_operations:
        for name in operation.ids:
            parent = operation.path.partition(f"/{{{name}}}")[0]
            if name not in ids:
                answer = caller.send("GET", Operation(f"GET {parent}").target(ids))
                found = ids_in(json.loads(answer.body)) if answer.status == 200 else iter(())
                ids[name] = next((each for each in found if each not in ids.values()), secrets.token_hex(16))
    return ids, token


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        start_server(tmp_path_factory.mktemp("policy")) as server,
        Caller(server.port, OWNER) as owner,
        Caller(server.port, OTHER) as other,
    ):
        described = operations(owner.json("GET", "/api/docs.json"))
        foreign, token = _ids(described, owner, CANARY, f"../{OWNER.replace('.', '_')}/inputs/{CANARY}.txt")
        own, _ = _ids(described, other, "nothing", "inputs/nothing.txt")
        worker = (server.data_dir / STATE_DIR / "worker-token").read_text().strip()
        yield World(server, described, owner, other, foreign, own, token, worker)


class Crowd:
    """Callers with a token, each at an address that nobody had."""

    def __init__(self, server: Server, network: str, token: str) -> None:
        addresses = (f"{network}.{number // 200}.{number % 200 + 1}" for number in itertools.count())
        self._callers = (Caller(server.port, address, token) for address in addresses)
        self._caller = next(self._callers)
        self._sent = 0

    def send(self, *request: Any) -> Answer:
        """As Caller.send."""
        self._sent += 1
        if self._sent % _TOKENS_OF_ONE == 0:
            self.close()
            self._caller = next(self._callers)
        return self._caller.send(*request)

    def close(self) -> None:
        """Let the connection go."""
        self._caller.close()


Send = Callable[..., Answer]


def _send(send: Send, operation: Operation, ids: dict[str, str], **more: str) -> Answer:
    return send(operation.method, operation.target(ids), operation.body, {**operation.headers, **more})


def _allowed(world: World, operation: Operation, send: Send) -> set[Answer]:
    """What the operation may say to one who has no business there, whatever the id is and whether it is anybody's.

    That there is nothing, as of an address that the server does not have, or which token it needs; and of an id that
    makes another path of it what that address says to such a body.
    """
    elsewhere = send(operation.method, "/api/nowhere", operation.body, operation.headers)
    nowhere = elsewhere if operation.name == SOCKET else send(operation.method, "/api/nowhere")
    missing = _send(send, operation, _encoded({name: world.missing(name) for name in world.foreign}))
    foreign = _send(send, operation, _encoded(world.foreign))
    assert missing == foreign
    assert nowhere.status == 404
    assert elsewhere.status in (404, 415)
    rule = POLICY.get(operation.name)
    if rule is None:
        assert operation.method == "HEAD"  # of what has only GET
        assert foreign.status == 405
    elif rule.who.isdisjoint({Role.SELF, Role.OWNER}):
        assert foreign.status == 401
    else:
        assert foreign == nowhere
    return {nowhere, elsewhere, foreign}


def _check_silence(world: World, target: str, answer: Answer) -> None:
    said = answer.body.decode(errors="replace") + repr(answer.headers)
    for secret in (CANARY, OWNER, OWNER.replace(".", "_"), *world.foreign.values()):
        assert secret not in said or secret in unquote(target), (target, answer)


def _try_all(world: World, send: Send, which: slice, *, but: frozenset[Role] = frozenset()) -> int:
    tried = 0
    for operation, name in world.trials:
        if operation.name in POLICY and not POLICY[operation.name].who.isdisjoint(but):
            continue
        allowed = _allowed(world, operation, send)
        for spelled in world.spelled(name)[which]:
            answer = _send(send, operation, _encoded(world.own, **{name: spelled}))
            if operation.name not in POLICY:
                assert answer.status in (404, 405), (operation.name, spelled)  # by the route alone
            else:
                assert answer in allowed, (operation.name, spelled, answer, allowed)
            _check_silence(world, spelled, answer)
            tried += 1
    return tried


def test_what_is_tried_is_counted(world: World) -> None:
    counts = world.count()
    print(counts)
    assert counts["operations"] > 40
    assert counts["operations x variants"] > 4_000
    assert {operation.name for operation in world.operations if not operation.name.startswith("HEAD")} <= set(POLICY)


def test_another_device_finds_nothing_under_any_spelling(world: World) -> None:
    assert _try_all(world, world.other.send, _ALL) > 3_000


def test_nobody_finds_anything_with_a_token_that_is_none(world: World) -> None:
    with contextlib.closing(Crowd(world.server, "127.12", secrets.token_urlsafe(32))) as crowd:
        _try_all(world, crowd.send, _ODD)


def test_a_worker_finds_nothing_with_its_token(world: World) -> None:
    with contextlib.closing(Crowd(world.server, "127.13", world.worker)) as crowd:
        _try_all(world, crowd.send, _EVEN, but=frozenset({Role.WORKER}))


def test_a_part_of_what_is_anothers_is_not_there(world: World) -> None:
    for operation, name in world.children:
        allowed = _allowed(world, operation, world.other.send)
        parts = [name] if name != "path" else []
        for part in (f"inputs/{CANARY}.txt", "inputs", "shared", *(world.foreign[each] for each in parts)):
            ids = _encoded({**world.own, "client_ip": OWNER}, **{name: quote(part)})
            assert _send(world.other.send, operation, ids) in allowed or operation.name not in POLICY, operation.name


def test_a_part_of_ones_own_is_not_spelled_as_what_is_anothers(world: World) -> None:
    for operation, name in world.children:
        twins = zip(spellings(world.foreign[name]), spellings(world.missing(name)), strict=True)
        for foreign, missing in twins:
            first, second = (
                _send(world.other.send, operation, _encoded(world.own, **{name: spelled}))
                for spelled in (foreign, missing)
            )
            _check_silence(world, foreign, first)
            if name == "path" and min(first.status, second.status) < 400:
                assert operation.method != "GET", (operation.name, foreign)  # what is spelled so is one's own
            else:
                assert first == second, (operation.name, foreign)
                assert first.status >= 400, (operation.name, foreign)


def test_a_range_of_what_is_anothers_is_not_there_either(world: World) -> None:
    for operation, _ in world.trials:
        if operation.method == "GET" and Role.OWNER in POLICY[operation.name].who:
            answers = {
                _send(world.other.send, operation, _encoded(ids), Range="bytes=0-3", **{"If-None-Match": "*"})
                for ids in (world.foreign, {name: world.missing(name) for name in world.foreign})
            }
            assert len(answers) == 1, operation.name


def test_a_message_about_what_is_anothers_is_answered_as_one_about_nothing(world: World) -> None:
    tried = [unquote(each, errors="replace") for each in spellings(world.foreign["task_id"])]
    tried += [world.missing("task_id"), *world.foreign.values()]
    with dashboard(world.server, OTHER) as live:
        live.event("dashboard_update")
        for kind in sorted(MESSAGES):
            of_a_task = POLICY[f"ws {kind}"].object is Object.TASK
            said = set()
            for each in tried if of_a_task else [world.foreign["task_id"]]:
                live.send(type=kind, task_id=each, client_ip=OWNER, ip=OWNER, session=OWNER)
                live.send(type="ping")
                *before, _ = live.until(lambda message: message["event"] == "pong")
                text = json.dumps(before)
                assert not [secret for secret in (CANARY, OWNER, *world.foreign.values()) if secret in text], kind
                said.add(json.dumps([message for message in before if message["event"] == "error"]))
            assert len(said) == 1
            if of_a_task:
                assert json.loads(said.pop())[0]["code"] == "not_found"


def test_nothing_of_the_owners_has_changed_and_nobody_has_become_a_session(world: World) -> None:
    files = f"/api/workspace/{OWNER}"
    assert world.owner.json("GET", f"/api/task/{world.foreign['task_id']}")["status"] == "queued"
    assert world.owner.send("GET", f"{files}/files/inputs/{CANARY}.txt").body == CANARY.encode()
    assert [each["offset"] for each in world.owner.json("GET", f"{files}/uploads")["uploads"]] == [0]
    deleted = world.owner.json("GET", f"{files}/trash")["entries"]
    assert [each["path"] for each in deleted] == [f"inputs/{CANARY}.old"]
    assert [each["name"] for each in world.owner.json("GET", "/api/device")["devices"]] == [CANARY]
    with device(world.server, "127.0.14.1", world.server.admin_token) as admin:
        assert set(admin.get("/api/sessions/all").json()["sessions"]) == {OWNER, OTHER}
        given = admin.get(f"/api/admin/session/{OWNER}/limits").json()["given"]
        assert set(given.values()) == {None}


def test_a_worker_completes_what_the_swarm_was_handed_and_no_other_task(world: World) -> None:
    with device(world.server, "127.0.15.1") as client:
        shell = submit(client, "sleep 30")
        done = ended(client, submit(client, "true"))["task_id"]
        waiting = client.post("/api/task/submit", json={"description": "a wish", "runner": "swarm"}).json()["task_id"]
        taken = client.post("/api/task/submit", json={"description": "a wish", "runner": "swarm"}).json()["task_id"]
        manager = LANSessionManager(world.server.data_dir)
        manager.activity_tracker.tag_task(taken, "USER_TRIGGERED", "127.0.15.1")
        manager.activity_tracker.tag_task("nightly/report", "SWARM_AUTO")
        manager.close()
        with Caller(world.server.port, "127.0.15.2", world.worker) as worker:
            answers = {worker.send("POST", f"/api/task/{each}/complete") for each in (shell, done, "nothing", "%2e%2e")}
            assert [answer.status for answer in answers] == [404]
            for each in (waiting, taken, "nightly%2Freport"):
                assert worker.send("POST", f"/api/task/{each}/complete").status == 200
                assert worker.send("POST", f"/api/task/{each}/complete").status == 200  # once more, the same word
                assert worker.send("GET", f"/api/task/{each}").status == 404
        assert client.get(f"/api/task/{shell}").json()["status"] in ("queued", "running")
        client.post(f"/api/task/{shell}/cancel")


def test_a_task_whose_id_has_a_slash_is_found_by_its_encoded_id_alone(world: World) -> None:
    manager = LANSessionManager(world.server.data_dir)
    for task_id in ("job/7", "job/7/log", "job%2F8", "../job"):
        manager.activity_tracker.tag_task(task_id, "USER_TRIGGERED", OTHER)
    manager.close()
    for task_id in ("job/7", "job/7/log", "job%2F8", "../job"):
        target = f"/api/task/{quote(task_id, safe='')}"
        assert world.other.json("GET", target)["task_id"] == task_id
        assert world.other.send("GET", f"{target}/log").status == 200
        assert world.owner.send("GET", target) == world.owner.send("GET", "/api/task/nothing")
        assert world.other.send("POST", f"{target}/cancel").status == 200
        assert world.other.send("DELETE", target).status == 204
    assert world.other.send("GET", "/api/task/job/7").status == 404


def test_a_session_has_each_of_its_names_for_whom_it_is_there(world: World) -> None:
    name = OWNER.replace(".", "_")
    with Caller(world.server.port, "127.0.14.1", world.server.admin_token) as admin:
        for spelled in (OWNER, f"::ffff:{OWNER}", name):
            assert admin.json("GET", f"/api/session/{spelled}")["ip"] == OWNER
            assert admin.json("GET", f"/api/admin/session/{spelled}/limits")["ip"] == OWNER
        assert admin.send("GET", "/api/session/127_0_250_250").status == 404
    assert world.owner.json("GET", f"/api/session/::ffff:{OWNER}")["ip"] == OWNER


def test_who_tries_tokens_has_to_wait_and_locks_nobody_out(world: World) -> None:
    with Caller(world.server.port, "127.0.16.1", "guess") as guesser:
        answers = [guesser.send("GET", "/api/sessions/all") for _ in range(25)]
    assert answers[0].status == 401
    assert answers[-1].status == 429
    assert int(dict(answers[-1].headers)["retry-after"]) > 0
    with Caller(world.server.port, "127.0.16.1", world.server.admin_token) as admin:
        assert admin.send("GET", "/api/sessions/all").status == 200
    with Caller(world.server.port, "127.0.16.2") as nobody:
        assert {nobody.send("GET", "/api/sessions/all").status for _ in range(25)} == {401}


def test_the_owner_of_the_machine_and_the_owner_of_the_objects_find_them(world: World) -> None:
    ids = _encoded(world.foreign, path=f"inputs/{CANARY}.txt")
    with Caller(world.server.port, "127.0.14.1", world.server.admin_token) as admin:
        for operation, _ in world.trials:
            if operation.method == "GET" and Role.ADMIN in POLICY[operation.name].who:
                by_cookie = operation.path.startswith("/admin/")  # of the admin page: there a token opens nothing
                allowed = (401,) if by_cookie else (101, 200, 206)
                if POLICY[operation.name].object is Object.LEASED:
                    allowed = (404,)  # without the lease of a worker not even the owner
                if "/preview/" in operation.path:
                    allowed = (415,)  # it is found, and is of a kind that is not shown there
                assert _send(admin.send, operation, ids).status in allowed, operation.name
    known = [operation for operation, _ in world.trials if operation.name in POLICY]
    # What is deleted is deleted last, and then the device that does it.
    known.sort(key=lambda each: ("{device_id}" in each.path, METHODS.index(each.method.lower())))
    for operation in known:
        rule = POLICY[operation.name]
        if Role.OWNER in rule.who or rule.object is Object.DEVICE:
            if "trash_id" in operation.ids:  # what was brought back is not there any more
                files = f"/api/workspace/{OWNER}"
                world.owner.send("PUT", f"{files}/files/temp/again", b"x")
                ids["trash_id"] = world.owner.json("POST", f"{files}/trash", {"path": "temp/again"})["id"]
            answer = _send(world.owner.send, operation, ids, **{"LSM-Device": world.device})
            assert answer.status not in (401, 404), (operation.name, answer)
