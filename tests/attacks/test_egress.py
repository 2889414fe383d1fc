"""A task with a network profile, even one that opens everything, reaches what the profile lists and nothing nearer."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import psutil
import pytest

from lan_session_manager.destinations import Ip, Profile, parse_rule
from lan_session_manager.egress.proxy import Bounds
from lan_session_manager.egress.resolver import Closed
from lan_session_manager.egress.server import Egress
from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.states import Reason, Verdict
from tests.attacks.tries import HELPERS, answers_of, attack_argv, programs_in, tries, wait_for_words
from tests.integration.sandbox.room import GRACE_S, Room
from tests.proxies import head_of, target

pytestmark = pytest.mark.root

OPEN = "127.0.0.77"  # stands for the one address of the internet that there is
NAMES = {
    "open.example": [OPEN],
    "metadata.example": ["169.254.169.254"],
    "host.example": ["127.0.0.1"],
    "router.example": ["192.168.1.1"],
    "two.example": [OPEN, "127.0.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
}
HEARD: list[bytes] = []
ASKED: list[str] = []

# What the proxy's status is for a request line, or for a whole request.
ASK = """
def say(request):
    with socket.create_connection(("127.0.0.1", 3128), 20) as proxy:
        try:
            proxy.sendall(request.encode("latin-1"))
        except ConnectionError:
            pass
        said = b""
        try:
            while data := proxy.recv(65536):
                said += data
        except ConnectionError:
            pass
        return said
def ask(line):
    return int(say(line + " HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n").split()[1])
"""


async def _resolve(name: str) -> list[Ip]:
    ASKED.append(name)
    if name == "rebinds.example":  # another answer each time
        return [ipaddress.ip_address(OPEN if ASKED.count(name) == 1 else "127.0.0.1")]
    return [ipaddress.ip_address(text) for text in NAMES.get(name, [])]


def _serve(sock: socket.socket) -> None:
    said = head_of(sock)
    HEARD.append(said)
    if b" /redirect " in said:
        sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://host.example/\r\nContent-Length: 0\r\n\r\n")
    else:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nopen")


@pytest.fixture(scope="module")
def given() -> Iterator[dict[str, Any]]:
    """A server of the host at its every address, which the profile opens by its port."""
    HEARD.clear()
    with target(_serve, "") as port:
        found = [one.address.partition("%")[0] for several in psutil.net_if_addrs().values() for one in several]
        yield {"port": port, "own": [text for text in found if _is_address(text)]}


def _is_address(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(text))
    return False


def _egress(*ports: int) -> Egress:
    closed = Closed()
    rules = tuple(parse_rule(f"*:{port}") for port in (80, 443, 3128, *ports))
    profiles = {"internet": Profile("internet", rules), "small": Profile("small", (parse_rule("open.example:80"),))}
    return Egress(
        profiles,
        bounds=Bounds(head_s=2.0, per_second=10_000.0),
        resolve=_resolve,
        is_closed=lambda address: str(address) != OPEN and closed(address),
    )


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, room: Room, runtime: str, given: Mapping[str, object]
) -> Mapping[str, str]:
    """What came of every program of the module, from one box that has the profile which opens everything."""
    ASKED.clear()
    programs = programs_in(request.module)
    job = replace(room.job(*attack_argv(programs, given)), network="internet")
    job = replace(job, limits=replace(job.limits, open_files=4096))

    async def main() -> Mapping[str, str]:
        engine = LocalEngine(LocalConfig(room.data_dir, runtime, GRACE_S), _egress(int(str(given["port"]))))
        await engine.prepare()
        try:
            return answers_of(programs, await room.ran(engine, job))
        finally:
            await engine.close()

    return asyncio.run(main())


@tries(ASK + "return say(f'GET http://open.example:{port}/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')[-4:].decode()")
def test_what_is_open_is_reached(answers: list[str]) -> None:
    assert answers == ["open"]


@tries(
    "connect(socket.AF_INET, ('127.0.0.77', port))",
    "connect(socket.AF_INET, ('1.1.1.1', 443))",
    "connect(socket.AF_INET, ('192.168.1.1', 80))",
    "connect(socket.AF_INET, ('169.254.169.254', 80))",
    "try:\n    socket.getaddrinfo('open.example', 80)\nexcept socket.gaierror as error:\n    return error.errno",
)
def test_there_is_no_way_around_the_proxy(answers: list[str]) -> None:
    assert answers == ["ECONNREFUSED", "ENETUNREACH", "ENETUNREACH", "ENETUNREACH", str(socket.EAI_AGAIN)]


@tries(
    *(
        ASK + f"return ask(f'CONNECT {host}:{{port}}')"
        for host in ("127.0.0.1", "127.1.2.3", "0.0.0.0", "[::1]", "[::]", "host.example")
    ),
    ASK + "return ask(f'GET http://127.0.0.1:{port}/')",
)
def test_a_port_of_the_hosts_loopback_is_not_reached(answers: list[str]) -> None:
    assert answers == ["403"] * 7


@tries(
    ASK + "return sorted({ask(f'CONNECT [{one}]:{port}' if ':' in one else f'CONNECT {one}:{port}') for one in own})"
)
def test_no_address_of_the_host_is_reached(answers: list[str]) -> None:
    assert answers == ["[403]"]


SPELLINGS = (
    *("127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.01", "127.0.0.1."),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]"),
    *("[2002:7f00:1::]", "[2001:0:7f00:1::]", "[64:ff9b:1::7f00:1]", "mapped.example", "nat64.example"),
    *("2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "[::ffff:a9fe:a9fe]", "[2002:a9fe:a9fe::1]"),
)


@tries(*(ASK + f"return ask('CONNECT {host}:80')" for host in SPELLINGS))
def test_no_spelling_of_a_closed_address_opens_it(answers: list[str]) -> None:
    assert answers == ["403"] * len(SPELLINGS)


@tries(
    *(
        ASK + f"return ask('GET http://{host}/latest/meta-data/')"
        for host in (
            *("169.254.169.254", "[fd00:ec2::254]", "metadata.example", "168.63.129.16", "100.100.100.200"),
            *("METADATA.Example.", "[fe80::a9fe:a9fe]"),
        )
    )
)
def test_a_clouds_metadata_are_not_reached(answers: list[str]) -> None:
    assert answers == ["403"] * 7


@tries(
    *(
        ASK + f"return ask('CONNECT {host}:443')"
        for host in (
            *(
                "10.0.0.1",
                "172.16.0.1",
                "192.168.1.1",
                "router.example",
                "100.64.0.1",
                "224.0.0.251",
                "255.255.255.255",
            ),
            *("[fd00::1]", "[fe80::1]", "[ff02::1]", "240.0.0.1", "198.18.0.1"),
        )
    )
)
def test_the_networks_around_are_not_reached(answers: list[str]) -> None:
    assert answers == ["403"] * 12


@tries(ASK + "return ask(f'CONNECT two.example:{port}')")
def test_a_name_with_one_closed_address_is_refused_whole(answers: list[str]) -> None:
    assert answers == ["403"]


@tries(ASK + "return [ask(f'GET http://rebinds.example:{port}/'), ask(f'GET http://rebinds.example:{port}/')]")
def test_a_name_that_changes_its_answer_is_asked_for_once_and_checked_each_time(answers: list[str]) -> None:
    assert answers == ["[200, 403]"]
    assert ASKED.count("rebinds.example") == 2


@tries(
    "import subprocess\nproxy = 'http://127.0.0.1:3128'\n"
    "return subprocess.run(['curl', '-sLo', '/tmp/got', '-w', '%{http_code} %{num_redirects}', '-x', proxy,"
    " f'http://open.example:{port}/redirect'], capture_output=True, text=True).stdout"
)
def test_a_redirect_to_the_host_is_not_followed_there(answers: list[str]) -> None:
    assert answers == ["403 1"]


@tries(*(ASK + f"return ask('CONNECT open.example:{port}')" for port in (22, 25, 5000, 8765)))
def test_a_port_that_is_not_listed_is_refused(answers: list[str]) -> None:
    assert answers == ["403"] * 4


@tries(
    ASK + "return ask('CONNECT 127.0.0.1:3128')",
    *(
        f"made = socket.socket()\nmade.setsockopt(socket.SOL_SOCKET, {option}, 1)\nmade.bind(('127.0.0.1', 3128))"
        for option in ("socket.SO_REUSEADDR", "socket.SO_REUSEPORT")
    ),
)
def test_the_proxy_does_not_lead_to_itself_and_its_port_is_taken(answers: list[str]) -> None:
    assert answers == ["403", "EADDRINUSE", "EADDRINUSE"]


POST = "POST http://open.example:{port}/smuggled HTTP/1.1\\r\\nHost: x\\r\\n"
AFTER = "GET http://127.0.0.1/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
SMUGGLED = (
    POST + "Content-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n" + AFTER,
    POST + "Transfer-Encoding: chunked\\r\\nTransfer-Encoding: identity\\r\\n\\r\\n0\\r\\n\\r\\n" + AFTER,
    POST + "Transfer-Encoding:\\x0bchunked\\r\\n\\r\\n0\\r\\n\\r\\n" + AFTER,
    POST + "Content-Length: 0\\r\\nContent-Length: 50\\r\\n\\r\\n" + AFTER,
    POST + "X: y\\rGET http://127.0.0.1/ HTTP/1.1\\r\\n\\r\\n",
    "GET http://open.example:{port}/smuggled\\r\\nX:y HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
    "GET http://open.example:{port}/smuggled HTTP/1.1 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
    "GET http://open.example:{port}@127.0.0.1/smuggled HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
    "GET http://open.example:{port}\\\\@127.0.0.1/smuggled HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
    "GET http://open.example%00.127.0.0.1/smuggled HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
)


@tries(*(ASK + f'return say(f"{request}").split()[1].decode()' for request in SMUGGLED))
def test_no_request_is_smuggled(answers: list[str]) -> None:
    assert set(answers) <= {"400", "501"}
    assert not any(b"smuggled" in heard for heard in HEARD)


@tries(
    ASK + "say(f'GET http://open.example:{port}/first HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
    "GET http://open.example:{port}/second HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')"
)
def test_one_connection_is_one_request(answers: list[str]) -> None:
    assert answers == ["done"]
    assert any(b"/first" in heard for heard in HEARD)
    assert not any(b"/second" in heard for heard in HEARD)


@tries(
    ASK + "return say('GET http://open.example/ HTTP/1.1\\r\\n' + 'X: y\\r\\n' * 100000).split()[1].decode()",
    ASK + "return say('GET http://open.example/' + 'a' * 1000000 + ' HTTP/1.1\\r\\n\\r\\n').split()[1].decode()",
    ASK + "return say('X' * 1000000).split()[1].decode()",
)
def test_a_head_without_end_is_cut_off(answers: list[str]) -> None:
    assert answers == ["431"] * 3


@tries(
    "proxy = socket.create_connection(('127.0.0.1', 3128), 9)\n"
    "for byte in b'GET http://open.example/ HTTP/1.1':\n"
    "    try:\n        proxy.send(bytes([byte]))\n    except ConnectionError:\n        break\n"
    "    time.sleep(0.1)\n"
    "return proxy.recv(100).split()[1].decode()"
)
def test_a_head_that_comes_byte_by_byte_is_not_waited_for(answers: list[str]) -> None:
    assert answers == ["408"]


FLOOD = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = []
for _ in range(1000):
    made = socket.socket()
    made.setblocking(False)
    made.connect_ex(("127.0.0.1", 3128))
    held.append(made)
print("held", flush=True)
time.sleep(30)
"""


def test_a_thousand_connections_of_one_task_hold_up_no_other(room: Room, given: Mapping[str, object]) -> None:
    port = int(str(given["port"]))
    flood = room.job("/usr/bin/python3", "-c", HELPERS + FLOOD)
    flood = replace(flood, network="internet", limits=replace(flood.limits, open_files=4096))
    program = HELPERS + ASK + f"print(ask('GET http://open.example:{port}/'))"
    other = replace(room.job("/usr/bin/python3", "-c", program, session="10_0_0_2"), network="internet")

    async def main() -> str:
        egress = _egress(port)
        engine = LocalEngine(LocalConfig(room.data_dir, "", GRACE_S), egress)
        await engine.prepare()
        try:
            await engine.start(flood)
            assert "held" in await wait_for_words(engine, flood, "held")
            ran = await room.ran(engine, other)
            assert psutil.Process().num_fds() < 300
            return ran.out
        finally:
            await engine.cancel(flood.task_id, Reason.CANCELLED_BY_USER)
            await engine.ended(flood.task_id)
            await engine.close()

    assert asyncio.run(main()) == "200\n"


def test_the_proxy_of_another_task_is_not_reached(room: Room, given: Mapping[str, object]) -> None:
    port = int(str(given["port"]))
    large = replace(room.job("/bin/sleep", "30"), network="internet")
    program = HELPERS + ASK + f"print(ask('GET http://open.example:{port}/'))"
    small = replace(room.job("/usr/bin/python3", "-c", program), network="small")
    nothing = room.job("/usr/bin/python3", "-c", program)

    async def main() -> None:
        egress = _egress(port)
        engine = LocalEngine(LocalConfig(room.data_dir, "", GRACE_S), egress)
        await engine.prepare()
        try:
            await engine.start(large)
            assert (await room.ran(engine, small)).out == "403\n"
            assert "ConnectionRefusedError" in (await room.ran(engine, nothing)).err
            [one] = egress.journal.take()
            assert (one.task_id, one.verdict) == (small.task_id, Verdict.NOT_LISTED)
        finally:
            await engine.cancel(large.task_id, Reason.CANCELLED_BY_USER)
            await engine.ended(large.task_id)
            await engine.close()

    asyncio.run(main())
