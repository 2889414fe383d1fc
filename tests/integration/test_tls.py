"""A server that speaks TLS, and enough plain HTTP to say so: real handshakes, by every name and address."""

import base64
import datetime
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from lan_session_manager.settings import STATE_DIR
from lan_session_manager.tls.certificates import Names, as_pem, make_ca, make_server
from tests.server import ROOT, Server, start_server

_PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"LSM_ALLOWED_HOSTS": "lab.example.org"}
    with start_server(tmp_path_factory.mktemp("tls"), host="localhost", args=["--tls"], env=environment) as server:
        yield server


def _plain(server: Server, port: int | None = None) -> str:
    return f"http://127.0.0.1:{port or server.port}"


@pytest.fixture(scope="module")
def trusting(server: Server) -> ssl.SSLContext:
    """What a client trusts that has installed the CA, as it is had in plain HTTP, and nothing else."""
    return ssl.create_default_context(cadata=httpx.get(f"{_plain(server)}/ca.crt").text)


def _head(path: str, host: str, *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *more, "", ""]).encode()


def _asked(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("address", "name"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("127.0.0.1", "localhost"), ("127.0.0.1", "lab.example.org")],
)
def test_a_client_that_trusts_the_ca_alone_connects(
    server: Server, trusting: ssl.SSLContext, address: str, name: str
) -> None:
    for port in (server.port, server.ws_port):
        host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        raw = socket.create_connection((address, port), _PATIENCE_S)
        with raw, trusting.wrap_socket(raw, server_hostname=name) as secured:
            answer = _asked(secured, _head("/api/client-ip", host))
            assert secured.version() in ("TLSv1.2", "TLSv1.3")
        assert answer.startswith(b"HTTP/1.1 200")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["ip"] == address
        assert b"cross-origin-opener-policy: same-origin" in answer


def test_a_client_that_does_not_trust_the_ca_does_not_connect(server: Server) -> None:
    raw = socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S)
    with raw, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(raw, server_hostname="127.0.0.1")


def test_old_versions_of_tls_are_refused(server: Server, trusting: ssl.SSLContext) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    raw = socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S)
    with raw, old.wrap_socket(raw) as secured:
        assert secured.version() == "TLSv1.2"
    # The record and the hello of a client that knows TLS 1.1 at most, by hand, as OpenSSL may not be built with it.
    body = b"\x03\x02" + bytes(32) + b"\x00" + b"\x00\x02\xc0\x13" + b"\x01\x00"
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    with socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S) as raw:
        answer = _asked(raw, b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello)
    assert answer[:1] in (b"", b"\x15")  # nothing, or an alert: no hello


def test_the_dashboard_works_over_tls_at_both_ports(server: Server, trusting: ssl.SSLContext) -> None:
    for port in (server.port, server.ws_port):
        uri = f"wss://127.0.0.1:{port}/ws/dashboard/127.0.0.1"
        with connect(uri, ssl=trusting, open_timeout=_PATIENCE_S, compression=None) as live:
            assert json.loads(live.recv(_PATIENCE_S))["event"] == "dashboard_update"
            live.send('{"type": "ping"}')
            while json.loads(live.recv(_PATIENCE_S))["event"] != "pong":
                pass


def test_large_bodies_go_both_ways(server: Server, trusting: ssl.SSLContext) -> None:
    content = os.urandom(3_000_000)
    with httpx.Client(base_url=server.url, verify=trusting, timeout=_PATIENCE_S) as client:
        path = "/api/workspace/127.0.0.1/files/inputs/large.bin"
        assert client.put(path, content=content).status_code in (200, 201, 204)
        assert client.get(path).content == content


def test_plain_http_is_sent_to_tls_and_makes_no_session(server: Server, trusting: ssl.SSLContext) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.77")) as client:
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = client.request(method, f"{_plain(server)}/api/client-ip?a=%2F", content=b"")
            assert answer.status_code == 308
            assert answer.headers["location"] == f"https://127.0.0.1:{server.port}/api/client-ip?a=%2F"
        hostile = client.get(f"{_plain(server)}/api/client-ip", headers={"Host": "evil.example"})
    assert hostile.status_code == 421
    assert "location" not in hostile.headers
    sessions = httpx.get(
        f"{server.url}/api/sessions/all", headers={"Authorization": f"Bearer {server.admin_token}"}, verify=trusting
    )
    assert "127.0.0.77" not in sessions.text


def test_a_plain_websocket_is_refused(server: Server) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
    head = _head("/ws/dashboard/127.0.0.1", "127.0.0.1", *upgrade).replace(b"Connection: close", b"Connection: Upgrade")
    with socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S) as raw:
        answer = _asked(raw, head)
    assert answer.startswith(b"HTTP/1.1 426")
    assert b'"tls_needed"' in answer


def test_the_ca_can_be_had_without_tls_and_with_the_fingerprint_of_the_terminal(
    server: Server, trusting: ssl.SSLContext
) -> None:
    page = httpx.get(f"{_plain(server)}/ca")
    assert page.status_code == 200
    [shown] = re.findall(r'id="fingerprint">([0-9A-F:]{95})<', page.text.replace("<wbr>", ""))
    printed = server.output
    assert shown[:48] in printed
    assert shown[48:] in printed
    assert f"http://localhost:{server.port}/ca" in printed
    assert f"https://localhost:{server.port}" in printed
    certificate = httpx.get(f"{_plain(server)}/ca.crt")
    assert certificate.headers["content-type"] == "application/x-x509-ca-cert"
    assert "PRIVATE" not in certificate.text
    joining = httpx.get(f"{server.url}/api/join", verify=trusting).json()
    assert joining["ca_fingerprint"] == shown
    assert httpx.get(joining["ca_url"]).text == page.text
    assert joining["url"].startswith("https://")
    assert httpx.get(f"{server.url}/ca", verify=trusting).text == page.text


def test_what_is_neither_tls_nor_http_ends(server: Server) -> None:
    for first in (
        b"\x16garbage" * 100,
        b"\x16\x03\x01\xff\xff",
        b"\x15\x03\x01\x00\x02\x02\x00",
        b"\x80\x2e\x01\x00\x02",
    ):
        with socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S) as raw:
            raw.sendall(first)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65536):
                pass
    assert "Traceback" not in server.output


def test_a_handshake_byte_by_byte_is_a_handshake(server: Server, trusting: ssl.SSLContext) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def exchanged(step: Callable[[], object]) -> object:
            while True:
                try:
                    done = step()
                except ssl.SSLWantReadError:
                    done = None
                for byte in outgoing.read():
                    raw.sendall(bytes([byte]))
                if done is not None:
                    return done
                incoming.write(raw.recv(65536))

        def shaken() -> bool:
            client.do_handshake()
            return True

        exchanged(shaken)
        client.write(_head("/api/client-ip", "127.0.0.1"))
        answer = exchanged(lambda: client.read(65536))
        assert isinstance(answer, bytes)
        assert answer.startswith(b"HTTP/1.1 200")


def test_who_says_nothing_or_stops_in_the_handshake_is_let_go(server: Server, trusting: ssl.SSLContext) -> None:
    outgoing = ssl.MemoryBIO()
    client = trusting.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    starts = (b"", hello[:1], hello[:-5], hello, b"G")
    connections = [socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S) for _ in starts]
    for connection, start in zip(connections, starts, strict=True):
        connection.sendall(start)
    for connection in connections:
        with connection:
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    assert "Traceback" not in server.output


def test_a_dashboard_over_tls_that_never_reads_is_let_go_and_holds_nobody_up(
    server: Server, trusting: ssl.SSLContext
) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
    head = _head("/ws/dashboard/127.0.0.1", "127.0.0.1", *upgrade).replace(b"Connection: close", b"Connection: Upgrade")
    ask = b'{"type": "request_dashboard_update"}'
    frame = bytes([0x81, 0x80 | len(ask)]) + bytes(4) + ask
    with httpx.Client(base_url=server.url, verify=trusting, timeout=_PATIENCE_S) as client:
        for _ in range(10):
            body = {"description": "x" * 2000, "runner": "swarm", "command": "y" * 60_000}
            assert client.post("/api/task/submit", json=body).status_code == 200
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.settimeout(_PATIENCE_S)
            raw.connect(("127.0.0.1", server.port))
            with trusting.wrap_socket(raw, server_hostname="127.0.0.1") as sleeper:
                sleeper.sendall(head)
                assert b" 101 " in sleeper.recv(64)
                with pytest.raises(OSError, match=r"reset|Broken|EOF|timed out|closed"):
                    _send_for_ever(sleeper, frame)
                assert client.get("/api/client-ip").status_code == 200


def _send_for_ever(sleeper: socket.socket, frame: bytes) -> None:
    for _ in range(1000):  # each answer is most of a MB
        sleeper.sendall(frame)
        time.sleep(0.02)


def test_an_address_that_shakes_hands_without_end_is_cut_off_and_others_are_not(
    server: Server, trusting: ssl.SSLContext
) -> None:
    hello = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        trusting.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1").do_handshake()
    first = hello.read()

    def answered() -> bool:
        raw = socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S, source_address=("127.0.0.66", 0))
        with raw:
            try:
                raw.sendall(first)
                return raw.recv(1) == b"\x16"
            except ConnectionError:
                return False

    assert any(not answered() for _ in range(8000))
    with httpx.Client(verify=trusting, timeout=_PATIENCE_S) as client:
        assert client.get(f"{server.url}/api/client-ip").status_code == 200


def _given(directory: Path, host: str) -> tuple[Path, Path, ssl.SSLContext]:
    """An owner's certificate and key for that host, and what trusts it."""
    now = datetime.datetime.now(datetime.UTC)
    names = Names(frozenset({host}), frozenset({"127.0.0.1"}))
    ca = make_ca(names, "theirs", now)
    certificate, mark, key = as_pem(make_server(ca, names, now)).partition(b"-----BEGIN PRIVATE")
    for path, text in ((directory / "cert.pem", certificate), (directory / "key.pem", mark + key)):
        path.with_suffix(".new").write_bytes(text)
        path.with_suffix(".new").replace(path)
    trusted = as_pem(ca).partition(b"-----BEGIN PRIVATE")[0].decode()
    return directory / "cert.pem", directory / "key.pem", ssl.create_default_context(cadata=trusted)


def test_a_new_certificate_is_for_new_connections_and_open_ones_stay(tmp_path: Path) -> None:
    cert, key, trusting = _given(tmp_path, "lab.example.org")
    arguments = ["--cert", str(cert), "--key", str(key)]
    with start_server(tmp_path, args=arguments, env={"LSM_ALLOWED_HOSTS": "lab.example.org"}) as server:
        assert f"https://lab.example.org:{server.port}" in server.output
        assert httpx.get(f"{_plain(server)}/ca").status_code == 404
        joining = httpx.get(f"{server.url}/api/join", verify=trusting).json()
        assert (joining["ca_url"], joining["ca_fingerprint"]) == (None, None)
        assert not (server.data_dir / STATE_DIR / "tls").exists()
        uri = f"wss://127.0.0.1:{server.port}/ws/dashboard/127.0.0.1"
        with connect(uri, ssl=trusting, open_timeout=_PATIENCE_S, compression=None) as live:
            key.write_bytes(b"garbage")
            _wait(lambda: "stays as it was" in server.output)
            httpx.get(server.url, verify=trusting)  # the old one goes on
            *_, trusting_new = _given(tmp_path, "lab.example.org")
            _wait(lambda: _accepts(server, trusting_new))
            assert not _accepts(server, trusting)
            live.send('{"type": "ping"}')
            while json.loads(live.recv(_PATIENCE_S))["event"] != "pong":
                pass
        server.terminate()
        assert "Traceback" not in server.output


def _wait(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)


def _accepts(server: Server, trusting: ssl.SSLContext) -> bool:
    with socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S) as raw:
        try:
            with trusting.wrap_socket(raw, server_hostname="127.0.0.1"):
                return True
        except ssl.SSLCertVerificationError:
            return False


@pytest.mark.parametrize("arguments", [["--cert", "cert.pem"], ["--cert", "cert.pem", "--key", "cert.pem"]])
def test_a_pair_that_does_not_fit_stops_the_start_with_a_sentence(tmp_path: Path, arguments: list[str]) -> None:
    _given(tmp_path, "lab.example.org")
    command = [sys.executable, str(ROOT / "session_web_server.py"), "--data-dir", "data", "--port", "1", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1
    assert "The server cannot use the certificate" in done.stderr
    assert "Traceback" not in done.stderr
