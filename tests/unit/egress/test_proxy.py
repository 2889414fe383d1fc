"""What the proxy of a task carries, what it refuses, and what it tells of both."""

import asyncio
import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable

import pytest

from lan_session_manager.destinations import Ip
from lan_session_manager.egress.proxy import Bounds
from lan_session_manager.states import Verdict
from tests.proxies import TASK, head_of, proxy, read_all, target


def _echo(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)


def _drain(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


def _shows(answer: bytes) -> tuple[list[bytes], Callable[[socket.socket], None]]:
    """A target that keeps what it is asked and gives `answer`."""
    heard: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        heard.append(head_of(sock))
        sock.sendall(answer)

    return heard, serve


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def test_a_tunnel_carries_bytes_both_ways_and_counts_them() -> None:
    with target(_echo) as port, proxy(f"files.example:{port}") as out, out.connect() as sock:
        sock.sendall(f"CONNECT files.example:{port} HTTP/1.1\r\nHost: files.example:{port}\r\n\r\nearly ".encode())
        head = head_of(sock)  # some may have come with it
        assert head.startswith(b"HTTP/1.1 200 ")
        sock.sendall(b"late")
        sock.shutdown(socket.SHUT_WR)
        assert (head + read_all(sock)).endswith(b"early late")
        [one] = out.ended(1)
    assert (one.task_id, one.host, one.port, one.address) == (TASK, "files.example", port, "127.0.0.1")
    assert (one.verdict, one.bytes_sent, one.bytes_received) == (Verdict.ALLOWED, 10, 10)


def test_a_connection_is_told_of_when_it_is_made_and_again_when_it_ends() -> None:
    with target(_echo) as port, proxy(f"files.example:{port}") as out, out.connect() as sock:
        sock.sendall(f"CONNECT files.example:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head_of(sock)
        [open_now] = out.egress.journal.take()
        sock.close()
        [over] = out.ended(1)
    assert (open_now.verdict, open_now.ended_at) == (Verdict.ALLOWED, None)
    assert over.key == open_now.key


def test_megabytes_go_through_a_tunnel_whole() -> None:
    size = 20_000_000

    def serve(sock: socket.socket) -> None:
        for _ in range(size // 100_000):
            sock.sendall(b"x" * 100_000)

    with target(serve) as port, proxy(f"files.example:{port}") as out, out.connect() as sock:
        sock.sendall(f"CONNECT files.example:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head_of(sock)
        assert len(read_all(sock)) >= size - 65536  # some may have come with the head
        sock.close()
        assert out.ended(1)[0].bytes_received == size


def test_a_plain_request_is_written_anew_for_its_target() -> None:
    heard, serve = _shows(OK)
    with target(serve) as port, proxy(f"files.example:{port}") as out:
        said = out.say(
            f"GET http://Files.Example.:{port}/a?b HTTP/1.1\r\nHost: other.example\r\n".encode()
            + b"Proxy-Authorization: Basic eDp5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
            b"Proxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: websocket\r\nX-Kept: 2\r\n\r\n"
        )
    assert heard == [
        f"GET /a?b HTTP/1.1\r\nhost: files.example:{port}\r\nx-kept: 2\r\nconnection: close\r\n\r\n".encode()
    ]
    assert said.endswith(b"\r\n\r\nhello")


def test_a_body_goes_on_and_its_answer_comes_back() -> None:
    heard: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        said = head_of(sock)
        while b"0\r\n\r\n" not in said:
            said += sock.recv(65536)
        heard.append(said)
        sock.sendall(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n")

    with target(serve) as port, proxy(f"*:{port}") as out:
        said = out.say(
            f"POST http://files.example:{port}/ HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            "4;ext=1\r\nwiki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\n".encode()
        )
    assert b"wiki" in heard[0]
    assert b"ext" not in heard[0]
    assert b"Trailer" not in heard[0]
    assert said.startswith(b"HTTP/1.1 201 ")
    assert b"yes" in said


def test_a_task_that_asks_first_whether_it_may_send_hears_yes_from_the_target() -> None:
    def serve(sock: socket.socket) -> None:
        head_of(sock)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        sock.recv(100)
        sock.sendall(OK)

    with target(serve) as port, proxy(f"*:{port}") as out, out.connect() as sock:
        sock.sendall(
            f"PUT http://files.example:{port}/ HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\n"
            "Content-Length: 4\r\n\r\n".encode()
        )
        assert head_of(sock).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"body")
        assert b"hello" in read_all(sock)


@pytest.mark.parametrize(
    ("request_line", "verdict", "status"),
    [
        ("CONNECT other.example:{port}", Verdict.NOT_LISTED, 403),
        ("CONNECT files.example:22", Verdict.NOT_LISTED, 403),
        ("GET http://files.example/", Verdict.NOT_LISTED, 403),
        ("CONNECT 127.0.0.1:{port}", Verdict.NOT_LISTED, 403),
        ("CONNECT nobody.example:7", Verdict.NO_ADDRESS, 502),
        ("CONNECT router.example:7", Verdict.BLOCKED_ADDRESS, 403),
        ("CONNECT two.example:7", Verdict.BLOCKED_ADDRESS, 403),
        ("CONNECT v6.example:7", Verdict.BLOCKED_ADDRESS, 403),
        ("CONNECT files.example:7", Verdict.UNREACHABLE, 502),
        ("GET /", Verdict.BAD_REQUEST, 400),
        ("GET https://files.example/", Verdict.BAD_REQUEST, 400),
        ("GET http://user@files.example/", Verdict.BAD_REQUEST, 400),
        ("GET http://files.example/#x", Verdict.BAD_REQUEST, 400),
        ("CONNECT files.example", Verdict.BAD_REQUEST, 400),
        ("CONNECT [fe80::1%25eth0]:80", Verdict.BAD_REQUEST, 400),
        ("OPTIONS *", Verdict.BAD_REQUEST, 400),
    ],
)
def test_what_is_refused_is_refused_with_a_sentence(request_line: str, verdict: Verdict, status: int) -> None:
    with target(_echo) as port, proxy(f"files.example:{port}", "*.example:7") as out:
        said = out.say(f"{request_line.format(port=port)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert out.verdicts(1) == [verdict]
    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    assert said.endswith(b".\n")


@pytest.mark.parametrize(
    "head",
    [
        "POST {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        "POST {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: +5\r\n\r\nhello",
        "POST {url} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET {url} HTTP/1.1\r\nHost: 127.0.0.1\r\n folded: y\r\nX\0: z\r\n\r\n",
        "GET {url} HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n",
        "GET {url} HTTP/1.1\r\n\r\n",
        "CONNECT files.example:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "a" * 50,
        "\r\n\r\n\r\n\r\n" * 5000,
    ],
)
def test_a_request_that_two_programs_could_read_in_two_ways_reaches_nobody(head: str) -> None:
    heard, serve = _shows(OK)
    with target(serve) as port, proxy(f"*:{port}") as out:
        url = f"http://files.example:{port}/"
        said = out.say(head.replace("{url}", url).replace("{port}", str(port)).encode("latin-1"))
        assert out.verdicts(1) == [Verdict.BAD_REQUEST]
    assert said.startswith(b"HTTP/1.1 4")
    assert heard == []


def test_a_second_request_on_the_same_connection_is_not_carried() -> None:
    heard, serve = _shows(OK)
    with target(serve) as port, proxy(f"*:{port}") as out:
        request = f"GET http://files.example:{port}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        said = out.say((request + request.replace("GET", "DELETE")).encode())
    assert said.count(b"HTTP/1.1 ") == 1
    assert len(heard) == 1
    assert b"DELETE" not in heard[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nyes",
        b"HTTP/1.0 200 OK\r\n\r\nyes",
    ],
)
def test_an_answer_is_framed_in_one_way_only(answer: bytes) -> None:
    _, serve = _shows(answer)
    with target(serve) as port, proxy(f"*:{port}") as out:
        said = out.say(f"GET http://files.example:{port}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()).lower()
    assert b"content-length" not in said
    assert said.endswith(b"\r\n\r\n3\r\nyes\r\n0\r\n\r\n")
    assert said.count(b"transfer-encoding") == 1


@pytest.mark.parametrize("answer", [b"", b"no http\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])
def test_a_target_without_a_proper_answer_is_the_targets_fault(answer: bytes) -> None:
    _, serve = _shows(answer)
    with target(serve) as port, proxy(f"*:{port}") as out:
        said = out.say(f"GET http://files.example:{port}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert out.verdicts(1) == [Verdict.ALLOWED]
    assert said.startswith(b"HTTP/1.1 502 ")


def test_an_answer_that_breaks_off_is_seen_to_break_off() -> None:
    _, serve = _shows(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
    with target(serve) as port, proxy(f"*:{port}") as out, out.connect() as sock:
        sock.sendall(f"GET http://files.example:{port}/ HTTP/1.0\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            _drain(sock)


def test_a_head_that_comes_too_slowly_is_not_waited_for() -> None:
    with proxy(bounds=Bounds(head_s=0.3)) as out, out.connect() as sock:
        sock.sendall(b"GET http://files.example/ HTTP/1.1\r\nX: ")
        assert read_all(sock).startswith(b"HTTP/1.1 408 ")
        assert out.verdicts(1) == [Verdict.TOO_SLOW]


def test_a_head_without_an_end_is_cut_off() -> None:
    with proxy() as out:
        said = out.say(b"GET http://files.example/ HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
        assert out.verdicts(1) == [Verdict.BAD_REQUEST]
    assert said.startswith(b"HTTP/1.1 431 ")


def test_a_tunnel_in_which_nothing_moves_is_closed() -> None:
    with target(_echo) as port, proxy(f"*:{port}", bounds=Bounds(idle_s=0.3)) as out, out.connect() as sock:
        sock.sendall(f"CONNECT files.example:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head_of(sock)
        assert read_all(sock) == b""
        assert out.verdicts(1) == [Verdict.ALLOWED]


def test_a_reader_that_does_not_read_holds_its_sender_back_and_costs_no_memory() -> None:
    sent = 0

    def serve(sock: socket.socket) -> None:
        nonlocal sent
        while True:
            sent += sock.send(b"x" * 65536)

    with target(serve) as port, proxy(f"*:{port}", bounds=Bounds(idle_s=1.0)) as out, out.connect() as sock:
        sock.sendall(f"CONNECT files.example:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert out.ended(1)[0].bytes_received < 64_000_000
    assert sent < 64_000_000


def test_the_kernel_holds_little_of_what_a_task_does_not_read() -> None:
    def serve(sock: socket.socket) -> None:
        while True:
            sock.sendall(b"x" * 65536)

    read = 0
    with target(serve) as port, proxy(f"*:{port}", bounds=Bounds(idle_s=1.0)) as out, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.connect(("127.0.0.1", out.port))
        sock.sendall(f"CONNECT files.example:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        while read < 30_000_000:  # first so fast that the kernel makes its buffers larger
            read += len(sock.recv(65536))
        assert out.ended(1)[0].bytes_received - read < 800_000


def test_more_connections_than_may_be_open_wait_until_there_is_room() -> None:
    with target(_echo) as port, proxy(f"*:{port}", bounds=Bounds(task_connections=2)) as out:
        request = f"CONNECT files.example:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        with contextlib.ExitStack() as stack:
            first, second, third = (stack.enter_context(out.connect()) for _ in range(3))
            for sock in (first, second):
                sock.sendall(request)
                head_of(sock)
            third.sendall(request)
            third.settimeout(0.3)
            with pytest.raises(TimeoutError):
                third.recv(1)
            first.close()
            third.settimeout(20)
            assert head_of(third).startswith(b"HTTP/1.1 200 ")


def test_a_session_that_takes_all_connections_it_can_get_leaves_some_for_others() -> None:
    bounds = Bounds(all_connections=20, per_second=10_000.0)
    with target(_echo) as port, proxy(f"*:{port}", bounds=bounds) as out, contextlib.ExitStack() as stack:
        request = f"CONNECT files.example:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        for one in (out, out.beside("a session")):  # as many as it gets, by two of its tasks
            for _ in range(8):
                sock = stack.enter_context(one.connect())
                sock.sendall(request)
                sock.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    head_of(sock)
        with out.beside("another session").connect() as other:
            other.sendall(request)
            assert head_of(other).startswith(b"HTTP/1.1 200 ")


def test_a_session_whose_name_servers_are_slow_leaves_names_for_others() -> None:
    answer, asked = threading.Event(), []

    async def slow(name: str) -> list[Ip]:
        asked.append(name)
        if name == "slow.example":
            await asyncio.to_thread(answer.wait, 20)
        return [ipaddress.ip_address("127.0.0.1")]

    bounds = Bounds(all_names=20, name_s=0.1)
    with target(_echo) as port, proxy(f"*:{port}", bounds=bounds, resolve=slow) as out:
        for _ in range(8):  # nobody waits for these any more, and they go on
            assert out.say(f"CONNECT slow.example:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).split()[1] == b"502"
        assert asked.count("slow.example") == 4
        with out.beside("another session").connect() as other:
            other.sendall(f"CONNECT fast.example:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert head_of(other).startswith(b"HTTP/1.1 200 ")
        answer.set()


def test_connections_that_come_too_fast_are_taken_more_slowly() -> None:
    with proxy(bounds=Bounds(per_second=1e-6)) as out:
        for _ in range(100):
            out.say(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with out.connect() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.recv(1)


def test_a_task_that_is_stopped_has_no_connection_and_no_proxy_any_more() -> None:
    with target(_echo) as port, proxy(f"*:{port}") as out, out.connect() as sock, out.connect() as silent:
        sock.sendall(f"CONNECT files.example:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head_of(sock)
        out.egress.close(TASK)
        assert (read_all(sock), read_all(silent)) == (b"", b"")
        with pytest.raises(ConnectionRefusedError):
            out.connect()
        assert sorted(out.verdicts(2)) == [Verdict.ALLOWED, Verdict.STOPPED]


def test_one_task_that_is_stopped_takes_nothing_from_another() -> None:
    with target(_echo) as port, proxy(f"*:{port}") as out:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        other = listener.getsockname()[1]
        out.egress.open("other", "a session", "some", listener)
        out.egress.close(TASK)
        with socket.create_connection(("127.0.0.1", other), 20) as sock:
            sock.sendall(f"CONNECT files.example:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert head_of(sock).startswith(b"HTTP/1.1 200 ")


def test_a_profile_that_is_gone_or_empty_opens_nothing() -> None:
    with proxy() as out:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        port = listener.getsockname()[1]
        out.egress.open("other", "a session", "gone", listener)
        with socket.create_connection(("127.0.0.1", port), 20) as sock:
            sock.sendall(b"CONNECT files.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert read_all(sock).startswith(b"HTTP/1.1 403 ")
        assert out.say(b"CONNECT files.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").startswith(b"HTTP/1.1 403 ")
        assert out.verdicts(2) == [Verdict.NOT_LISTED] * 2


def test_what_is_shut_leaves_no_thread_and_no_listener() -> None:
    with proxy() as out:
        pass
    with pytest.raises(ConnectionRefusedError):
        out.connect()
    end = time.monotonic() + 20
    while any(thread.name == "egress" for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)
