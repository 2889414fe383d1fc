"""Where the sandbox does not hold all it promises, the network is not served, unless the owner accepts that by name.

The server is on a real network of two machines. Its runtime is the real one behind a script that takes something out of
the configuration of every box.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lan_session_manager.sandbox.runtime import find_program
from tests.lan.lan import Host, Lan
from tests.server import Server, start_server

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="boxes and network namespaces need root"),
]

# Arguments of the script: those of a runtime. {part} is Python that changes `config`.
_WEAKER = """#!/usr/bin/python3 -IS
import json, os, sys

if "create" in sys.argv:
    path = sys.argv[sys.argv.index("--bundle") + 1] + "/config.json"
    config = json.load(open(path))
    {change}
    json.dump(config, open(path, "w"))
os.execv("{runtime}", ["{runtime}", *sys.argv[1:]])
"""
_NO_MEMORY_LIMIT = 'del config["linux"]["resources"]["memory"]'
_NO_FILTER = 'del config["linux"]["seccomp"]'
_NO_NAMESPACE = 'config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "{}"]'
# Says "answers" or "refused" for each "host port" given.
_KNOCK = """
import socket, sys
for place in sys.argv[1:]:
    try:
        socket.create_connection(place.split(), 5).close()
        print("answers")
    except ConnectionRefusedError:
        print("refused")
"""
_FETCH = """
import sys, urllib.error, urllib.request
data = sys.argv[2].encode() if sys.argv[2:] else None
request = urllib.request.Request(sys.argv[1], data, {"Content-Type": "application/json"})
try:
    answer = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(hosts=("a",)) as network:
        yield network


@pytest.fixture
def weaker(tmp_path: Path) -> Callable[[str], str]:
    """Makes a runtime that makes a change to every box; gives its path."""

    def make(change: str) -> str:
        program = tmp_path / "weaker"
        program.write_text(_WEAKER.format(change=change, runtime=find_program("runc")))
        program.chmod(0o755)
        return str(program)

    return make


def _start(lan: Lan, tmp_path: Path, runtime: str, accepted: str = "") -> Server:
    env = {"LSM_OCI_RUNTIME": runtime, "LSM_ACCEPT_REDUCED_ISOLATION": accepted}
    return start_server(tmp_path, prefix=lan.server.prefix, host="0.0.0.0", env=env)


def _knock(who: Host, server: Server, *addresses: str) -> set[str]:
    """What both ports of the server answer at those addresses to a connection from that host."""
    places = [f"{address} {port}" for address in addresses for port in (server.port, server.ws_port)]
    done = who.run([sys.executable, "-S", "-c", _KNOCK, *places])
    answers = done.stdout.split()
    assert len(answers) == len(places), done.stderr
    return set(answers)


def _fetch(who: Host, url: str, *body: str) -> str:
    done = who.run([sys.executable, "-S", "-c", _FETCH, url, *body], timeout=40)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _is_alone(lan: Lan, server: Server) -> bool:
    """Whether only the server's own machine is served, on loopback of both kinds."""
    of_lan = (lan.server.ip, lan.server.ip6)
    assert _knock(lan.server, server, "127.0.0.1", "::1") == {"answers"}
    return _knock(lan.host("a"), server, *of_lan) == _knock(lan.server, server, *of_lan) == {"refused"}


def test_without_a_limit_the_network_is_not_served_and_the_owner_reads_why(
    lan: Lan, tmp_path: Path, weaker: Callable[[str], str]
) -> None:
    with _start(lan, tmp_path, weaker(_NO_MEMORY_LIMIT)) as server:
        assert _is_alone(lan, server)
        banner = server.output
        assert "Served to this machine only, not at 0.0.0.0: isolation is reduced: memory" in banner
        assert 'LSM_ACCEPT_REDUCED_ISOLATION="reduced: memory"' in banner
        assert f"http://localhost:{server.port}" in banner
        assert lan.server.ip not in banner
        health = _fetch(lan.server, f"{server.url}/api/system/health")
        assert '"grade":"reduced: memory"' in health
        assert '"notice":"Served to this machine only' in _fetch(lan.server, f"{server.url}/api/join")
        body = '{"description": "true", "runner": "shell"}'
        assert _fetch(lan.server, f"{server.url}/api/task/submit", body).startswith("200 ")


@pytest.mark.parametrize("accepted", ["reduced: process limits", "Reduced: memory", "yes"])
def test_another_word_than_the_grade_opens_nothing(
    lan: Lan, tmp_path: Path, weaker: Callable[[str], str], accepted: str
) -> None:
    with _start(lan, tmp_path, weaker(_NO_MEMORY_LIMIT), accepted) as server:
        assert _is_alone(lan, server)


def test_the_grade_by_name_opens_the_network(lan: Lan, tmp_path: Path, weaker: Callable[[str], str]) -> None:
    with _start(lan, tmp_path, weaker(_NO_MEMORY_LIMIT), "reduced: memory") as server:
        assert _knock(lan.host("a"), server, lan.server.ip, lan.server.ip6) == {"answers"}
        assert "Served to this machine only" not in server.output
        assert "NOT held: memory" in server.output
        health = _fetch(lan.host("a"), f"http://{lan.server.ip}:{server.port}/api/system/health")
        assert '"grade":"reduced: memory"' in health
        assert '"notice":""' in _fetch(lan.host("a"), f"http://{lan.server.ip}:{server.port}/api/join")


@pytest.mark.parametrize("change", [_NO_FILTER, _NO_NAMESPACE.format("network")], ids=["filter", "network"])
def test_with_a_hole_nothing_runs_and_no_word_opens_the_network(
    lan: Lan, tmp_path: Path, weaker: Callable[[str], str], change: str
) -> None:
    runtime = weaker(change)
    with _start(lan, tmp_path, runtime) as server:
        assert _is_alone(lan, server)
        body = '{"description": "true", "runner": "shell"}'
        assert _fetch(lan.server, f"{server.url}/api/task/submit", body).startswith("503 ")
        [line] = [line for line in server.output.splitlines() if "NOT held" in line]
    grade = "none: " + line.partition("NOT held: ")[2].replace(" and ", ", ")
    with _start(lan, tmp_path, runtime, grade) as server:
        assert _is_alone(lan, server)
        assert "none is run" in server.output
