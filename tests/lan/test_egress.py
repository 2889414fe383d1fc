"""On a real network: a task with a profile that opens everything reaches the internet, and no machine of the LAN.

The internet is one machine with a public address, the host b, which is also the name server. All of it is in network
namespaces.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lan_session_manager.settings import STATE_DIR
from tests.lan.lan import Host, Lan
from tests.server import Server, start_server

pytestmark = pytest.mark.root

PUBLIC = "1.2.3.4"
NEAR_AND_PUBLIC = "5.6.7"  # a network of the server's own interface

# Answers on port 80 of every address with that address; /to/<host> sends there.
_SITE = """
import http.server, threading
class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", "http://" + self.path[4:] + "/")
            body = b""
        else:
            self.send_response(200)
            body = ("reached " + self.connection.getsockname()[0] + "\\n").encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("", 80), Site)
print("ready", flush=True)
server.serve_forever()
"""

# A name server: `1-2-3-4.example` is 1.2.3.4, several addresses are parted by "and"; `turns.example` changes.
_NAMES = """
import socket, struct
turn = 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("", 53))
    print("ready", flush=True)
    while True:
        asked, peer = server.recvfrom(4096)
        at, labels = 12, []
        while asked[at]:
            labels.append(asked[at + 1 : at + 1 + asked[at]].decode().lower())
            at += 1 + asked[at]
        kind, found = struct.unpack("!H", asked[at + 1 : at + 3])[0], []
        if kind == 1 and labels[-1] == "example":
            if labels[0] == "turns":
                turn += 1
                found = ["1.2.3.4" if turn % 2 else "192.168.77.10"]
            else:
                found = [one.replace("-", ".") for one in labels[0].split("and")]
        answers = b"".join(struct.pack("!HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(one) for one in found)
        head = asked[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0)
        server.sendto(head + asked[12 : at + 5] + answers, peer)
"""

_FETCH = """
import json, subprocess, sys
def fetch(url):
    done = subprocess.run(["curl", "-sL", "--max-time", "15", "--noproxy", "", url], capture_output=True, text=True)
    return done.stdout.strip()
print(json.dumps({url: fetch(url) for url in sys.argv[1:]}))
"""
_ASK = """
import json, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode() or None, {"Content-Type": "application/json"})
if len(sys.argv) > 3:
    request.add_header("Authorization", "Bearer " + sys.argv[3])
with opener.open(request, timeout=60) as answer:
    print(answer.read().decode())
"""


@contextlib.contextmanager
def _running(host: Host, program: str) -> Iterator[None]:
    with host.popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


@pytest.fixture
def internet(lan: Lan) -> Iterator[Lan]:
    a, b, server = lan.host("a"), lan.host("b"), lan.server
    for host, number in ((server, 1), (a, 8)):
        address = f"{NEAR_AND_PUBLIC}.{number}/24"
        assert host.run(["ip", "address", "add", address, "dev", host.interface]).returncode == 0
    assert b.run(["ip", "address", "add", f"{PUBLIC}/32", "dev", "lo"]).returncode == 0
    assert server.run(["ip", "route", "add", f"{PUBLIC}/32", "via", b.ip]).returncode == 0
    with contextlib.ExitStack() as stack:
        for host, program in ((a, _SITE), (b, _SITE), (server, _SITE), (b, _NAMES)):
            stack.enter_context(_running(host, program))
        yield lan


@pytest.fixture
def server(internet: Lan, tmp_path: Path) -> Iterator[Server]:
    """The server, whose machine asks the host b for names."""
    state, names = tmp_path / "user_sessions" / STATE_DIR, tmp_path / "resolv.conf"
    state.mkdir(parents=True)
    (state / "settings.toml").write_text('networks = ["internet"]\n[egress.internet]\nallow = ["*:80", "*:5000"]\n')
    names.write_text(f"nameserver {internet.host('b').ip}\noptions timeout:1 attempts:1\n")
    mounted = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(names))
    with start_server(tmp_path, prefix=(*internet.server.prefix, *mounted), host="0.0.0.0") as running:
        yield running


def _ask(host: Host, url: str, body: object = None, token: str = "") -> Any:
    words = [sys.executable, "-c", _ASK, url, json.dumps(body) if body else "", *([token] if token else [])]
    done = host.run(words, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _fetched(lan: Lan, server: Server, urls: list[str]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What a task of the host a got from each, and what was written down."""
    a, base = lan.host("a"), f"http://{lan.server.ip}:{server.port}"
    command = f"import sys; sys.argv = ['', *{urls!r}]\n{_FETCH}"
    body = {"description": "fetch", "runner": "python", "command": command, "network": "internet"}
    task_id = json.loads(_ask(a, f"{base}/api/task/submit", body))["task_id"]
    got = json.loads(_ask(a, f"{base}/api/task/{task_id}/log?follow=1"))
    path = f"{base}/api/task/{task_id}/connections?most=1000"
    rows: list[dict[str, Any]] = []
    while len(rows) < len(urls) or not all(row["ended_at"] for row in rows):
        rows = json.loads(_ask(a, path))["connections"]
    return got, rows


def test_a_task_reaches_the_internet_and_no_machine_of_the_lan(internet: Lan, server: Server) -> None:
    a, b, own = internet.host("a"), internet.host("b"), internet.server
    open_ones = [f"http://{PUBLIC}/", "http://1-2-3-4.example/", "http://turns.example/"]
    near = [a.ip, b.ip, own.ip, f"{NEAR_AND_PUBLIC}.8", f"{NEAR_AND_PUBLIC}.1", f"[{a.ip6}]", f"[{own.ip6}]"]
    dashed = [address.replace(".", "-") for address in near if ":" not in address]
    closed = [
        *(f"http://{address}/" for address in near),
        *(f"http://{name}.example/" for name in dashed),
        *(f"http://{PUBLIC.replace('.', '-')}and{name}.example/" for name in dashed[:1]),
        *(f"http://{PUBLIC}/to/{address}" for address in (a.ip, f"{dashed[0]}.example", own.ip)),
        "http://turns.example/again",
        f"http://{own.ip}:5000/",
        "http://169.254.169.254/",
    ]
    for address in (*near, PUBLIC):  # the server itself reaches all of them
        assert "reached" in own.run(["curl", "-s", "--max-time", "5", f"http://{address}/"]).stdout or ":" in address
    got, rows = _fetched(internet, server, [*open_ones, *closed])
    assert {url: got[url] for url in open_ones} == dict.fromkeys(open_ones, f"reached {PUBLIC}")
    assert [url for url in closed if "reached" in got[url]] == []
    assert [url for url in closed if "which no task may reach." not in got[url]] == []
    allowed = {row["address"] for row in rows if row["verdict"] == "allowed"}
    assert allowed == {PUBLIC}
    assert {row["verdict"] for row in rows} == {"allowed", "blocked_address"}
