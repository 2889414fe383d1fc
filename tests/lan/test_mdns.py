"""On a real network: the name is found where a responder answers for it, and only then."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lan.lan import Lan
from tests.server import ROOT

pytestmark = pytest.mark.root

_ASK = "import sys; from lan_session_manager.mdns import is_found; print(is_found(sys.argv[1], sys.argv[2:]))"
# Answers, as a responder does, for one name with one address.
_RESPOND = """
import socket, struct, sys
name, address, own = sys.argv[1], sys.argv[2], sys.argv[3]
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
link.bind(("224.0.0.251", 5353))
link.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + socket.inet_aton(own))
print("ready", flush=True)
wanted = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\\0"
while True:
    question, asker = link.recvfrom(9000)
    if question[12:].lower().startswith(wanted):
        head = question[:2] + struct.pack("!5H", 0x8400, 1, 1, 0, 0)
        record = b"\\xc0\\x0c" + struct.pack("!HHIH", 1, 1, 120, 4) + socket.inet_aton(address)
        link.sendto(head + question[12:] + record, asker)
"""


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with Lan(hosts=("a",)) as lan:
        yield lan


def _is_found(lan: Lan, name: str) -> bool:
    asked = subprocess.run(
        lan.server.command([sys.executable, "-c", _ASK, name, lan.server.ip]),
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return asked.stdout == "True\n"


@pytest.mark.parametrize(("answers", "is_found"), [("server", True), ("a", False)])
def test_a_name_is_found_where_its_responder_names_this_machine(lan: Lan, answers: str, is_found: bool) -> None:
    address = lan.server.ip if answers == "server" else lan.host("a").ip
    script = [sys.executable, "-c", _RESPOND, "lab-pc.local", address, lan.server.ip]
    with lan.server.popen(script, stdout=subprocess.PIPE) as responder:
        try:
            assert responder.stdout is not None
            assert responder.stdout.readline() == "ready\n"
            assert _is_found(lan, "lab-pc.local") == is_found
            assert not _is_found(lan, "other.local")
        finally:
            responder.kill()


def test_without_a_responder_there_is_no_such_name(lan: Lan) -> None:
    assert not _is_found(lan, "lab-pc.local")
