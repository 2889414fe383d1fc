"""A task reaches no port, no address and no socket outside of its box."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from tests.attacks.tries import tries

pytestmark = pytest.mark.root

ABSTRACT = "lan-session-manager-test-attack"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, object]]:
    """Sockets of the host that answer to the host, its addresses and its gateways."""
    path = tmp_path_factory.mktemp("host") / "socket"
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = tcp.getsockname()[1]
        with contextlib.suppress(OSError):  # a machine may have no IPv6
            stack.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6))
        for name in (str(path), f"\0{ABSTRACT}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(name)
            listener.listen()
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(name)
        path.chmod(0o777)
        socket.create_connection(("127.0.0.1", port), 3).close()
        yield {
            "port": port,
            "path": str(path),
            "abstract": ABSTRACT,
            "addresses": _addresses(),
            "gateways": _gateways(),
        }


def _addresses() -> list[str]:
    found = [one for several in psutil.net_if_addrs().values() for one in several if one.family == socket.AF_INET]
    return [one.address for one in found if not one.address.startswith("127.")] or ["192.0.2.7"]


def _gateways() -> list[str]:
    routes = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    ways = {bytes.fromhex(route[2])[::-1] for route in routes if route[2] != "00000000"}
    return [socket.inet_ntoa(way) for way in ways] or ["192.0.2.1"]


NOWHERE = {"ECONNREFUSED", "EADDRNOTAVAIL", "ENETUNREACH", "EAFNOSUPPORT"}  # the last three: no IPv6 on this machine


@tries(
    "connect(socket.AF_INET, ('127.0.0.1', port))",
    "connect(socket.AF_INET, ('127.1.2.3', port))",
    "connect(socket.AF_INET, ('0.0.0.0', port))",
)
def test_a_task_cannot_reach_a_port_of_the_hosts_loopback(answers: list[str]) -> None:
    assert answers == ["ECONNREFUSED"] * 3


@tries("connect(socket.AF_INET6, ('::1', port))", "connect(socket.AF_INET6, ('::', port))")
def test_a_task_cannot_reach_a_port_of_the_hosts_ipv6_loopback(answers: list[str]) -> None:
    assert set(answers) <= NOWHERE


@tries(
    "connect(socket.AF_INET6, ('::ffff:127.0.0.1', port))",
    "connect(socket.AF_INET6, ('::ffff:169.254.169.254', 80))",
    "connect(socket.AF_INET6, ('64:ff9b::7f00:1', port))",
)
def test_an_ipv4_address_in_the_clothes_of_ipv6_leads_nowhere(answers: list[str]) -> None:
    assert set(answers) <= NOWHERE


EACH = """
told = set()
for address in {}:
    try:
        connect(socket.AF_INET, (address, {}))
        told.add(address)
    except OSError as error:
        told.add(name_of(error))
return sorted(told)
"""


@tries(EACH.format("addresses", "port"), EACH.format("addresses", "5000"))
def test_a_task_cannot_reach_the_machine_by_its_address_in_the_network(answers: list[str]) -> None:
    assert answers == ["['ENETUNREACH']"] * 2


@tries(EACH.format("gateways", "80"))
def test_a_task_cannot_reach_the_gateway(answers: list[str]) -> None:
    assert answers == ["['ENETUNREACH']"]


@tries("connect(socket.AF_INET, ('169.254.169.254', 80))", "connect(socket.AF_INET6, ('fd00:ec2::254', 80))")
def test_a_task_cannot_ask_a_cloud_for_the_machines_credentials(answers: list[str]) -> None:
    assert answers[0] == "ENETUNREACH"
    assert answers[1] in NOWHERE


@tries(
    *(
        f"connect(socket.AF_INET, ('{address}', 80))"
        for address in ("10.0.0.1", "192.168.1.1", "172.16.0.1", "192.0.2.1")
    )
)
def test_a_task_cannot_reach_the_network_or_the_internet(answers: list[str]) -> None:
    assert answers == ["ENETUNREACH"] * 4


@tries(
    "try:\n    socket.getaddrinfo('example.com', 80)\nexcept socket.gaierror as error:\n    return error.errno",
    "return open('/etc/resolv.conf').read()",
    "connect(socket.AF_INET, ('192.0.2.53', 53), socket.SOCK_DGRAM)",
)
def test_a_task_cannot_ask_for_names_and_so_send_words_out_by_dns(answers: list[str]) -> None:
    assert answers == [str(socket.EAI_AGAIN), "", "ENETUNREACH"]


DATAGRAM = "made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"


@tries(
    DATAGRAM + "made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\nmade.sendto(b'x', ('255.255.255.255', 9))",
    DATAGRAM + "made.sendto(b'x', ('224.0.0.251', 5353))",
    DATAGRAM + "made.sendto(b'x', ('239.255.255.250', 1900))",
)
def test_a_task_cannot_call_to_everybody_in_the_network(answers: list[str]) -> None:
    assert answers == ["ENETUNREACH"] * 3


@tries(
    """
up = []
for _, name in socket.if_nameindex():
    flags = fcntl.ioctl(socket.socket(), 0x8913, struct.pack("16sH14x", name.encode(), 0))
    if struct.unpack("16xH14x", flags)[0] & 1:
        up.append(name)
return up
""",
    "return open('/proc/net/route').read().splitlines()[1:]",
    "return sorted({line.split()[-1] for line in open('/proc/net/ipv6_route')} - {'lo'})",
)
def test_a_box_has_its_own_loopback_and_no_other_way_out(answers: list[str]) -> None:
    assert answers[0] == "['lo']"
    assert answers[1] == "[]"
    assert answers[2] in ("[]", "ENOENT")


REQUEST = """
asks = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
asks.bind((0, 0))
asks.send(struct.pack("IHHII", 16 + {size}, {kind}, 0x605, 1, 0) + {body})
told = asks.recv(4096)
return errno.errorcode.get(-struct.unpack("i", told[16:20])[0], "done")
"""


@tries(
    REQUEST.format(size=16, kind=16, body="struct.pack('BBHiII', 0, 0, 0, 0, 1, 1)"),  # RTM_NEWLINK
    REQUEST.format(size=16, kind=20, body="struct.pack('BBBBi', 2, 24, 0, 0, 1) + struct.pack('HHI', 8, 2, 1)"),
    REQUEST.format(size=12, kind=24, body="struct.pack('BBBBBBBBI', 2, 0, 0, 0, 254, 3, 0, 1, 0)"),  # RTM_NEWROUTE
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH14x', b'lo', 0))",
)
def test_a_task_cannot_make_an_interface_an_address_or_a_route(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 4


@tries(
    """
possible = []
for family in range(64):
    for kind in (1, 2, 3, 5):
        try:
            os.close(call("socket", family, kind, 0))
            possible.append(family)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                possible.append(family)
return sorted(set(possible))
""",
    "call('socket', (1 << 32) | 40, 1, 0)",
)
def test_a_task_can_make_sockets_of_four_families_and_no_driver_is_behind_another(answers: list[str]) -> None:
    # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK; among the absent are AF_VSOCK (40), AF_ALG (38) and AF_PACKET (17).
    assert answers == ["[1, 2, 10, 16]", "ENOSYS"]


@tries(*(f"made = call('socket', 40, {kind}, 0)\nos.close(made)" for kind in (1, 2, 5)), "connect(40, (2, 9999))")
def test_a_task_cannot_speak_to_the_hypervisor(answers: list[str]) -> None:
    assert answers == ["ENOSYS"] * 4  # AF_VSOCK, which a network namespace does not hold in


@tries(
    """
told = set()
for kind in range(1, 32):
    try:
        os.close(call("socket", 16, 3, kind))
        told.add(kind)
    except OSError as error:
        told.add(name_of(error))
return told
"""
)
def test_a_task_can_speak_netlink_about_routes_only(answers: list[str]) -> None:
    assert answers == ["{'ENOSYS'}"]


@tries(
    "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)",
    "socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)",
    "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x300)",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)",
)
def test_a_task_cannot_write_or_read_raw_packets(answers: list[str]) -> None:
    assert answers == ["EPERM", "EPERM", "EPERM", "ENOSYS", "EACCES"]


@tries("connect(socket.AF_UNIX, chr(0) + abstract)", "connect(socket.AF_UNIX, path)")
def test_a_task_cannot_reach_a_unix_socket_of_the_host(answers: list[str]) -> None:
    assert answers == ["ECONNREFUSED", "ENOENT"]


@tries(
    "socket.socket().setsockopt(socket.SOL_SOCKET, 36, 1)",  # SO_MARK
    "socket.socket().setsockopt(socket.SOL_IP, 19, 1)",  # IP_TRANSPARENT
    "socket.socket().setsockopt(socket.SOL_SOCKET, 33, 1 << 30)",  # SO_RCVBUFFORCE
)
def test_a_task_cannot_use_the_options_of_a_networks_owner(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 3


@tries(
    *(
        "one, other = socket.socketpair()\n"
        f"one.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack('3i', {pid}, {uid}, {uid}))])"
        for pid, uid in (("os.getpid()", 0), (1, 1000))
    )
)
def test_a_task_cannot_pretend_to_be_another_process_over_a_socket(answers: list[str]) -> None:
    assert answers == ["EPERM"] * 2
