"""Every operation has a row, every row has an operation, and what the rows say fits what the paths name."""

import re
from types import SimpleNamespace
from typing import cast

import pytest
from fastapi import FastAPI
from fastapi.routing import APIWebSocketRoute, iter_route_contexts
from starlette.routing import Mount

from lan_session_manager.web.app import create_app
from lan_session_manager.web.policy import (
    ADMIN,
    ANYONE,
    OWNER,
    POLICY,
    SELF,
    UNCHECKED,
    WORKER,
    Access,
    Object,
    Role,
    Rule,
    check,
)
from lan_session_manager.web.routes_live import MESSAGES
from lan_session_manager.web.services import Services
from tests.server import ROOT

_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options", "trace"})
_OF_PARAMETER = {
    "client_ip": {Object.SESSION, Object.KNOWN_SESSION},
    "task_id": {Object.TASK, Object.LEASED},
    "device_id": {Object.DEVICE},
}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(cast("Services", SimpleNamespace(manager=None, admission=None, tls=None, turns=None)))


def _served(app: FastAPI) -> set[str]:
    found: set[str] = set()
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, Mount):
            found.add(f"MOUNT {route.path}")
        elif isinstance(route.original_route, APIWebSocketRoute):
            found.add(f"WS {route.path_format}")
        else:
            found |= {f"{method} {route.path_format}" for method in route.methods or ()}
    found.discard("HEAD /api/docs.json")  # the framework gives it with GET
    return found


def _written(rule: Rule) -> str:
    return ", ".join(role for role in Role if role in rule.who)


def test_what_is_served_and_what_has_a_row_are_the_same(app: FastAPI) -> None:
    rows = {name for name in POLICY if not name.startswith("ws ")}
    assert _served(app) == rows | set(UNCHECKED)
    assert not rows & set(UNCHECKED)


def test_what_is_described_has_a_row(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    described = {f"{method.upper()} {path}" for path, item in paths.items() for method in item if method in _METHODS}
    assert described <= set(POLICY)
    assert len(described) > 30


def test_every_message_of_the_dashboard_has_a_row(app: FastAPI) -> None:
    assert {name.removeprefix("ws ") for name in POLICY if name.startswith("ws ")} == MESSAGES


def test_an_operation_without_a_row_is_noticed(app: FastAPI) -> None:
    extended = create_app(cast("Services", SimpleNamespace(manager=None, admission=None, tls=None, turns=None)))
    extended.add_api_route("/api/forgotten", lambda: None, methods=["POST"])
    assert _served(extended) - _served(app) == {"POST /api/forgotten"}


def test_every_checked_route_asks_the_one_check(app: FastAPI) -> None:
    for route in iter_route_contexts(app.routes):
        names = {f"{method} {route.path_format}" for method in getattr(route, "methods", None) or ()}
        if isinstance(route.original_route, Mount) or names & set(UNCHECKED):
            continue
        assert check in {each.call for each in route.dependant.dependencies}, route.path


@pytest.mark.parametrize("name", POLICY)
def test_a_row_finds_the_object_that_the_path_names(name: str) -> None:
    rule = POLICY[name]
    for parameter in re.findall(r"{(\w+)}", name):
        if parameter in _OF_PARAMETER:
            assert rule.object in _OF_PARAMETER[parameter], parameter
    if rule.who == OWNER and not name.startswith("ws "):
        assert rule.object in (Object.SESSION, Object.TASK)
    if rule.object is Object.DEVICE:
        assert Role.ADMIN not in rule.who


@pytest.mark.parametrize("name", [name for name in POLICY if not name.startswith("ws ")])
def test_what_changes_something_is_audited_and_bounded(name: str) -> None:
    rule = POLICY[name]
    if name.split()[0] not in ("GET", "HEAD"):
        has_token = rule.who <= WORKER
        assert rule.rate is not None or has_token
        # A login writes its own entry, as only it knows whether it was let; a look at a path changes nothing; that it
        # goes on, and how, a worker says all the time.
        unheard = ("/validate", "/login", "/logout", "/heartbeat", "PUT /api/worker/task/{task_id}/log")
        assert rule.audited or name.endswith(unheard)
    if rule.who == ANYONE:
        assert rule.object is Object.NOTHING


@pytest.mark.parametrize("name", [name for name in POLICY if " /api/admin" in name])
def test_everything_below_admin_is_for_the_owner(name: str) -> None:
    assert POLICY[name].who == ADMIN or name.endswith("/login")


def test_an_object_that_a_rule_does_not_have_is_a_fault_and_no_answer() -> None:
    access = Access(None)
    for name in ("caller", "session", "task", "device"):
        with pytest.raises(LookupError):
            getattr(access, name)


def test_the_rows_in_the_documentation_are_those_of_the_table() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    [table] = re.findall(r"<!-- policy -->\n(.*?)<!-- /policy -->", text, re.DOTALL)
    head = "| operation | who |\n|---|---|\n"
    assert table == head + "".join(f"| `{name}` | {_written(POLICY[name])} |\n" for name in POLICY)


@pytest.mark.parametrize(
    ("who", "words"), [(ANYONE, "anyone"), (SELF, "self"), (OWNER, "owner, admin"), (WORKER, "worker, admin")]
)
def test_a_rule_is_written_in_one_way(who: frozenset[Role], words: str) -> None:
    assert _written(Rule(who)) == words
