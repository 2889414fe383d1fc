"""Who gets whose session on a real network: addresses change hands, hardware addresses change, headers lie.

Every request is a process of its own on its host, and so a connection of its own: that is where the hardware address is
looked at. Each test has addresses and hardware addresses that no other test has, as they share one server.
"""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lan_session_manager.addresses import parse_address
from tests.lan.lan import Host, Lan
from tests.server import Server, start_server

pytestmark = pytest.mark.root

_PATIENCE_S = 20.0
_PROXY_PORT = 8080
_ASK = """
import http.client, json, sys
host, port, method, path, body, headers = json.loads(sys.argv[1])
connection = http.client.HTTPConnection(host, port, timeout=20)
connection.request(method, path, body, headers)
answer = connection.getresponse()
print(json.dumps([answer.status, answer.getheader("Set-Cookie"), answer.read().decode()]))
"""
# Appends to X-Forwarded-For as proxies do, and passes on everything else as it came.
_PROXY = """
import http.client, http.server, sys

class Proxy(http.server.BaseHTTPRequestHandler):
    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "x-forwarded-for"}
        before = [value.strip() for value in self.headers.get_all("X-Forwarded-For", [])]
        headers["X-Forwarded-For"] = ", ".join([*before, self.client_address[0]])
        onward = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=20)
        onward.request(self.command, self.path, self.rfile.read(length), headers)
        answer = onward.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[3])), Proxy)
print("ready", flush=True)
server.serve_forever()
"""
_WATCH = """
import signal, sys
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

signal.alarm(20)  # whoever waits for a line sees the end
uri, origin, cookie = sys.argv[1:]
with connect(uri, origin=origin, additional_headers={"Cookie": cookie}, max_size=None) as socket:
    socket.recv()
    print("open", flush=True)
    try:
        while True:
            socket.recv()
    except ConnectionClosed:
        print("closed", flush=True)
"""

# Connects from an address, waits for a word, and only then asks for a directory.
_LATE = """
import socket, sys

at, port, source = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with socket.create_connection((at, port), 10, source_address=(source, 0)) as late:
    print("open", flush=True)
    sys.stdin.readline()
    body = b'{"path": "inputs/by-the-guest"}'
    lines = [f"POST /api/workspace/{source}/directory HTTP/1.1", f"Host: {at}:{port}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    late.sendall("\\r\\n".join(lines).encode() + body)
    late.settimeout(2)
    try:
        print(late.recv(12), flush=True)
    except OSError:
        print("silence", flush=True)
"""


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    cookie: str | None
    text: str

    @property
    def facts(self) -> dict[str, Any]:
        assert self.status == 200, self.text
        facts: dict[str, Any] = json.loads(self.text)
        return facts


@dataclass
class Program:
    """A client on a host that keeps nothing, such as curl. `at` is where it takes the server to be."""

    host: Host
    at: str
    port: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The client's own, as the server sees it."""
        return self.host.ip6 if ":" in self.at else self.host.ip

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        given = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, str):
            body, given["Content-Type"] = json.dumps(body), "application/json"
        request = json.dumps([self.at, self.port, method, path, body, given])
        done = self.host.run([sys.executable, "-I", "-S", "-c", _ASK, request], timeout=_PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return Answer(*json.loads(done.stdout))

    def session(self) -> str:
        """The id of its session, made if need be."""
        return str(self.ask("GET", f"/api/session/{self.address}").facts["session_id"])

    def workspace(self) -> str:
        return str(self.ask("GET", f"/api/session/{self.address}").facts["workspace"]).rpartition("/")[2]

    def write(self, text: str) -> None:
        answer = self.ask("PUT", f"/api/workspace/{self.address}/files/inputs/own.txt", text)
        assert answer.status in (200, 201, 204), answer.text

    def read(self, of: str = "") -> str | None:
        """The file of its own session, or of the one that an address names to it; None: there is none."""
        answer = self.ask("GET", f"/api/workspace/{of or self.address}/files/inputs/own.txt")
        assert answer.status in (200, 404), answer.text
        return answer.text if answer.status == 200 else None


@dataclass
class Browser(Program):
    """A client with a cookie jar, whose page does what ours does at every start."""

    cookie: str = ""

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        own = {"Origin": f"http://{self.authority}"} | ({"Cookie": self.cookie} if self.cookie else {})
        answer = super().ask(method, path, body, **own, **headers)
        if answer.cookie:
            self.cookie = answer.cookie.partition(";")[0]
        return answer

    @property
    def authority(self) -> str:
        return f"[{self.at}]:{self.port}" if ":" in self.at else f"{self.at}:{self.port}"

    def start(self) -> dict[str, Any]:
        return self.ask("POST", "/api/device", {}).facts


@dataclass
class Net:
    """The network and the one server on it. Host p is a proxy that the server trusts."""

    lan: Lan
    server: Server
    numbers: Iterator[int]

    def join(self, name: str) -> Host:
        """A host with an address and a hardware address that nobody has had."""
        host, number = self.lan.host(name), next(self.numbers)
        host.set_mac(f"02:4c:53:4d:01:{number:02x}")
        host.set_address(f"192.168.77.{number}")
        return host

    def free_address(self) -> str:
        return f"192.168.77.{next(self.numbers)}"

    def program(self, host: Host, *, is_v6: bool = False) -> Program:
        return Program(host, self.lan.server.ip6 if is_v6 else self.lan.server.ip, self.server.port)

    def browser(self, host: Host, cookie: str = "", *, is_v6: bool = False) -> Browser:
        at = self.lan.server.ip6 if is_v6 else self.lan.server.ip
        return Browser(host, at, self.server.port, cookie=cookie)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with Lan(hosts=("a", "b", "c", "p", "f")) as lan:
        directory, proxies = tmp_path_factory.mktemp("identity"), {"LSM_TRUSTED_PROXIES": lan.host("p").ip}
        with start_server(directory, prefix=lan.server.prefix, host="0.0.0.0", env=proxies) as server:
            yield Net(lan, server, itertools.count(100))


def _swap(one: Host, other: Host) -> None:
    ours, theirs = one.ip, other.ip
    other.set_address("192.168.77.250")
    one.set_address(theirs)
    other.set_address(ours)


def test_two_browsers_that_swap_their_addresses_keep_their_sessions(net: Net) -> None:
    one, other = net.browser(net.join("a")), net.browser(net.join("b"))
    sessions = []
    for browser, text in ((one, "of one"), (other, "of other")):
        browser.start()
        browser.write(text)
        sessions.append(browser.session())
    for _ in range(2):
        _swap(one.host, other.host)
        for browser, text in ((one, "of one"), (other, "of other")):
            assert browser.start()["is_shared"] is False
            assert browser.read() == text
        assert [one.session(), other.session()] == sessions
        assert one.read(other.address) is None
        assert other.read(one.address) is None


def test_two_programs_that_swap_their_addresses_are_new_and_are_themselves_again_when_they_swap_back(net: Net) -> None:
    one, other = net.program(net.join("a")), net.program(net.join("b"))
    before = []
    for program, text in ((one, "of one"), (other, "of other")):
        program.write(text)
        before.append(program.session())
    _swap(one.host, other.host)
    assert one.read() is None
    assert other.read() is None
    after = [one.session(), other.session()]
    assert len({*before, *after}) == 4
    assert one.workspace() == one.address.replace(".", "_") + "-2"
    assert other.workspace() == other.address.replace(".", "_") + "-2"
    sessions = [before, after]
    for turn in range(4):
        _swap(one.host, other.host)
        assert [one.session(), other.session()] == sessions[turn % 2]
        assert (one.read(), other.read()) == (("of one", "of other") if turn % 2 == 0 else (None, None))


@pytest.mark.parametrize("is_v6", [False, True], ids=["IPv4", "IPv6"])
def test_who_takes_a_dead_ones_address_gets_an_empty_session_and_the_dead_one_returns(net: Net, is_v6: bool) -> None:
    def move(host: Host, address: str) -> None:
        (host.set_address6 if is_v6 else host.set_address)(address)

    def free() -> str:
        return f"fd77::{next(net.numbers)}" if is_v6 else net.free_address()

    dead = net.browser(net.join("a"), is_v6=is_v6)
    move(dead.host, free())
    dead.start()
    dead.write("of the dead")
    session, address = dead.session(), dead.address
    move(dead.host, free())
    heir = net.program(net.join("c"), is_v6=is_v6)
    move(heir.host, address)
    assert heir.read() is None
    assert heir.workspace() == parse_address(address).name + "-2"
    assert heir.ask("GET", f"/api/workspace/{address}/files?path=inputs").facts["entries"] == []
    heir.write("of the heir")
    assert dead.session() == session
    assert dead.read() == "of the dead"
    assert heir.read() == "of the heir"
    assert net.program(dead.host, is_v6=is_v6).session() == session  # its cookie has taken the address along


def test_who_connected_from_anothers_address_is_not_the_other_when_that_one_is_back(net: Net) -> None:
    owner, guest = net.program(net.join("a")), net.join("b")
    owner.write("of the owner")
    session, address = owner.session(), owner.address
    owner.host.set_address(net.free_address())
    guest.set_address(address)
    command = [sys.executable, "-I", "-S", "-c", _LATE, net.lan.server.ip, str(net.server.port), address]
    with guest.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as late:
        assert late.stdin
        assert late.stdout
        assert late.stdout.readline() == "open\n"
        time.sleep(1.2)  # for so long the kernel keeps a neighbour's hardware address (arp(7), locktime)
        owner.host.set_address(address)
        assert owner.session() == session
        late.stdin.write("now\n")
        late.stdin.flush()
        assert late.stdout.readline()
    listed = owner.ask("GET", f"/api/workspace/{address}/files?path=inputs").facts["entries"]
    assert [entry["name"] for entry in listed] == ["own.txt"]
    assert owner.session() == session


def test_a_program_that_the_kernel_has_lost_sight_of_waits_and_a_browser_does_not(net: Net) -> None:
    host = net.join("a")
    browser, program = net.browser(host), net.program(host)
    browser.start()
    session = program.session()
    lost = ["ip", "neigh", "replace", host.ip, "dev", "br0", "lladdr", host.mac, "nud", "noarp"]
    assert net.lan.server.run(lost).returncode == 0
    refused = program.ask("GET", f"/api/session/{program.address}")
    assert (refused.status, json.loads(refused.text)["code"]) == (503, "busy")
    assert browser.session() == session
    assert net.lan.server.run(["ip", "neigh", "delete", host.ip, "dev", "br0"]).returncode == 0
    assert program.session() == session


def test_a_browser_that_roams_has_its_session_at_every_address(net: Net) -> None:
    browser = net.browser(net.join("a"))
    browser.start()
    browser.write("of one")
    session = browser.session()
    for _ in range(2):
        browser.host.set_address(net.free_address())
        assert browser.session() == session
        assert browser.read() == "of one"
        assert browser.ask("GET", f"/api/session/{browser.address}").facts["ip"] == browser.address


@pytest.mark.parametrize("is_v6_first", [False, True], ids=["IPv4 first", "IPv6 first"])
def test_the_two_kinds_of_address_of_one_host_are_one_session_and_of_two_hosts_two(net: Net, is_v6_first: bool) -> None:
    sessions = []
    for name in ("a", "b"):
        host = net.join(name)
        host.set_address6(f"fd77::{next(net.numbers)}")
        first, second = (net.program(host, is_v6=is_v6) for is_v6 in (is_v6_first, not is_v6_first))
        first.write(f"of {name}")
        assert second.read() == f"of {name}"
        assert second.session() == first.session()
        sessions.append(first.session())
    assert len(set(sessions)) == 2


def test_a_host_that_comes_by_its_link_local_address_is_itself(net: Net) -> None:
    host = net.join("a")
    program, local = net.program(host), net.program(host)
    local.at = f"{net.lan.server.link_local}%{host.interface}"
    session = program.session()
    found = local.ask("GET", "/api/device").facts
    assert found["session"]["session_id"] == session
    assert local.ask("GET", "/api/client-ip").facts["ip"] == f"{host.link_local}%{net.lan.server.interface}"


def test_a_browser_whose_hardware_address_changes_keeps_its_session_and_a_program_does_not(net: Net) -> None:
    host = net.join("a")
    browser, program = net.browser(host), net.program(host)
    browser.start()
    browser.write("of one")
    session = browser.session()
    assert program.session() == session
    host.set_mac("02:4c:53:4d:02:01")
    assert browser.session() == session
    assert program.session() == session  # the cookie has said that this is its hardware address now
    host.set_mac("02:4c:53:4d:02:02")
    assert program.read() is None
    assert program.session() != session
    assert browser.session() == session
    assert browser.read() == "of one"


def test_no_header_of_a_host_makes_it_another(net: Net) -> None:
    victim, host = net.program(net.join("b")), net.program(net.join("a"))
    victim.write("of the victim")
    session = host.session()
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"):
        for value in (victim.address, f"for={victim.address}", net.lan.host("p").ip):
            liar = net.program(host.host)
            liar.headers = {header: value}
            assert liar.ask("GET", "/api/client-ip").facts["ip"] == host.address
        liar.headers = {header: f"for={victim.address}" if header == "Forwarded" else victim.address}
        assert liar.session() == session
        assert liar.read(victim.address) is None
    warnings = [line for line in net.server.output.splitlines() if "LSM_TRUSTED_PROXIES" in line]
    assert sum(host.address in line for line in warnings) == 1


def test_a_host_behind_a_router_is_known_by_its_address_and_is_not_the_router(net: Net) -> None:
    router, far = net.join("c"), net.lan.host("f")
    far.move_behind(router, "10.9.0.0")
    net.lan.server.run(["ip", "route", "add", "10.9.0.0/24", "via", router.ip])
    program, gate = net.program(far), net.program(router)
    program.write("of the far one")
    assert program.read() == "of the far one"
    assert gate.session() != program.session()
    assert gate.read(program.address) is None
    # Another one at its address cannot be told apart, so browsers there are known by their cookies alone.
    one, other = net.browser(far), net.browser(far)
    assert one.start()["can_tell"] is False
    assert one.session() == program.session()
    fresh = other.ask("POST", "/api/device", {"fresh": True}).facts
    assert fresh["is_shared"] is True
    assert other.read() is None
    assert one.read() == "of the far one"
    refused = program.ask("GET", f"/api/session/{program.address}")
    assert (refused.status, json.loads(refused.text)["code"]) == (401, "device_needed")


def test_hosts_behind_a_trusted_proxy_are_themselves_and_cannot_lie_through_it(net: Net) -> None:
    p, port = net.lan.host("p"), net.server.port
    command = [sys.executable, "-I", "-S", "-c", _PROXY, net.lan.server.ip, str(port), str(_PROXY_PORT)]
    with p.popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            # The proxy passes on the Host that it gets, and the server goes by no name of the proxy's.
            host = {"Host": f"{net.lan.server.ip}:{port}"}
            one, other = (Program(net.join(name), p.ip, _PROXY_PORT, host) for name in ("a", "b"))
            for program in (one, other):
                assert program.ask("GET", "/api/client-ip").facts["ip"] == program.host.ip
            one.write("of one")
            assert other.session() != one.session()
            assert other.read() is None
            assert other.read(one.address) is None
            lie = other.ask("GET", "/api/client-ip", X_Forwarded_For=one.address)
            assert lie.facts["ip"] == other.address
            for name, value in (("Forwarded", f"for={one.address}"), ("X_Real_IP", one.address)):
                assert other.ask("GET", "/api/client-ip", **{name: value}).status == 400
            assert one.read() == "of one"
        finally:
            process.kill()


def test_a_forgotten_devices_socket_ends_and_its_cookie_opens_nothing(net: Net) -> None:
    browser = net.browser(net.join("a"))
    browser.start()
    browser.write("of one")
    session, cookie = browser.session(), browser.cookie
    uri = f"ws://{browser.authority}/ws/dashboard/{browser.address}"
    command = [sys.executable, "-c", _WATCH, uri, f"http://{browser.authority}", cookie]
    with browser.host.popen(command, stdout=subprocess.PIPE) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "open\n"
        begun = time.monotonic()
        assert browser.ask("DELETE", "/api/device").status in (200, 204)
        assert watcher.stdout.readline() == "closed\n"
        print(f"the socket ended at most {time.monotonic() - begun:.3f} s after the request began")
    for client in (net.browser(browser.host, cookie), net.program(browser.host)):
        assert client.read() is None
        assert client.session() != session


def test_a_session_is_carried_to_another_host_once_and_left_again(net: Net) -> None:
    one, other, third = (net.browser(net.join(name)) for name in ("a", "b", "c"))
    for browser in (one, other, third):
        browser.start()
    one.write("of one")
    own = other.session()
    code = one.ask("POST", "/api/device/carry", {}).facts["code"]
    assert other.ask("POST", "/api/device/claim", {"code": code}).status == 200
    assert other.session() == one.session()
    assert other.read() == "of one"
    assert third.ask("POST", "/api/device/claim", {"code": code}).status >= 400
    assert third.read() is None
    assert other.ask("POST", "/api/device/leave", {}).status == 200
    assert other.session() == own
    assert other.read() is None
