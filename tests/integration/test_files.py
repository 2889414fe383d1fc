"""Files go up and down streamed, whole or not at all, in the own workspace and nowhere else."""

import contextlib
import hashlib
import io
import os
import re
import socket
import time
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.integration.clients import ended, submit
from tests.server import Server

FILES = "/api/workspace/127.0.0.1/files"


def _names(client: httpx.Client, path: str) -> list[str]:
    return [entry["name"] for entry in client.get(FILES, params={"path": path}).json()["entries"]]


def test_a_file_comes_back_as_it_went_up(client: httpx.Client) -> None:
    data = os.urandom(3_000_001)
    put = client.put(f"{FILES}/inputs/data.bin", content=data)
    assert put.status_code == 201
    assert put.json()["size"] == len(data)
    got = client.get(f"{FILES}/inputs/data.bin")
    assert hashlib.sha256(got.content).digest() == hashlib.sha256(data).digest()
    assert got.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in got.headers["content-security-policy"]
    assert "data.bin" in _names(client, "inputs")


@pytest.mark.parametrize(
    ("header", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)), ("bytes=990-", 206, slice(990, 1000)), ("bytes=-5", 206, slice(995, 1000)),
        ("bytes=5-100000", 206, slice(5, 1000)), ("bytes=1000-", 416, None), ("bytes=-0", 416, None),
        ("bytes=9-5", 200, slice(0, 1000)), ("lines=1-2", 200, slice(0, 1000)), ("bytes=0-1,5-6", 200, slice(0, 1000)),
    ],
)  # fmt: skip
def test_a_range_of_a_file(client: httpx.Client, header: str, status: int, part: slice | None) -> None:
    data = bytes(range(250)) * 4
    client.put(f"{FILES}/inputs/range.bin", content=data)
    got = client.get(f"{FILES}/inputs/range.bin", headers={"Range": header})
    assert got.status_code == status
    if part is not None:
        assert got.content == data[part]
    if status == 206 and part is not None:
        assert got.headers["content-range"] == f"bytes {part.start}-{part.stop - 1}/1000"


def test_a_task_reads_what_was_uploaded_and_its_output_comes_down(client: httpx.Client) -> None:
    client.put(f"{FILES}/inputs/words.txt", content=b"one two three")
    task = ended(client, submit(client, "wc -w < inputs/words.txt > outputs/count.txt"))
    assert task["status"] == "completed"
    assert client.get(f"{FILES}/outputs/count.txt").text.strip() == "3"


def test_a_directory_comes_down_as_a_zip(client: httpx.Client) -> None:
    ended(client, submit(client, "mkdir -p outputs/zip/deep; echo a > outputs/zip/a; echo b > outputs/zip/deep/b"))
    answer = client.get("/api/workspace/127.0.0.1/archive", params={"path": "outputs/zip"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {name for name in archive.namelist() if not name.endswith("/")} == {"zip/a", "zip/deep/b"}


def test_deleting_and_making_directories(client: httpx.Client) -> None:
    assert client.post("/api/workspace/127.0.0.1/directory", json={"path": "inputs/new/er"}).status_code == 201
    client.put(f"{FILES}/inputs/new/er/f", content=b"x")
    assert client.delete(f"{FILES}/inputs/new").status_code == 204
    assert "new" not in _names(client, "inputs")
    assert client.delete(f"{FILES}/inputs/new").status_code == 404


def test_shared_resources_are_read_and_never_written(client: httpx.Client, server: Server) -> None:
    (server.data_dir / "shared" / "references" / "guide.md").write_text("# Guide\n")
    assert client.get(f"{FILES}/shared/references/guide.md").text == "# Guide\n"
    for answer in (
        client.put(f"{FILES}/shared/references/mine.md", content=b"x"),
        client.delete(f"{FILES}/shared/references/guide.md"),
        client.post("/api/workspace/127.0.0.1/directory", json={"path": "shared/mine"}),
    ):
        assert answer.status_code == 403
        assert answer.json()["code"] == "read_only"


def test_the_files_of_another_are_not_there(client: httpx.Client, other: httpx.Client) -> None:
    client.put(f"{FILES}/inputs/secret.txt", content=b"whale")
    for method, path in (
        ("GET", f"{FILES}/inputs/secret.txt"), ("PUT", f"{FILES}/inputs/secret.txt"), ("DELETE", f"{FILES}/inputs"),
        ("GET", f"{FILES}?path=inputs"), ("GET", "/api/workspace/127.0.0.1/archive?path=inputs"),
    ):  # fmt: skip
        foreign = other.request(method, path)
        missing = other.request(method, path.replace("127.0.0.1", "127.0.0.99"))
        assert foreign.status_code == missing.status_code == 404, (method, path)
        assert foreign.content == missing.content
    assert client.get(f"{FILES}/inputs/secret.txt").text == "whale"


def test_a_link_that_a_task_left_leads_nowhere(client: httpx.Client, server: Server) -> None:
    command = "cd outputs; ln -s /etc/passwd p; ln -s / root; mkfifo pipe; ln -s ../../.lan_session_manager s"
    assert ended(client, submit(client, command))["status"] == "completed"
    for path in ("outputs/p", "outputs/root/etc/passwd", "outputs/pipe", "outputs/s/admin-token"):
        answer = client.get(f"{FILES}/{path}")
        assert 400 <= answer.status_code < 500, path
        assert "root:" not in answer.text
        assert server.admin_token not in answer.text
        assert client.put(f"{FILES}/outputs/s/planted", content=b"x").status_code in (403, 409)
    assert not (server.data_dir / ".lan_session_manager" / "planted").exists()


def _raw(server: Server, request: bytes) -> bytes:
    """The answer to a request as it is: a client library would tidy it."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_more_than_the_quota_is_refused_before_it_comes(client: httpx.Client, server: Server) -> None:
    head = (
        f"PUT {FILES}/inputs/huge HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {2**40}\r\nConnection: close\r\n\r\n"
    )
    answer = _raw(server, head.encode())
    assert answer.startswith(b"HTTP/1.1 413")
    assert "huge" not in _names(client, "inputs")


def test_a_client_that_goes_away_leaves_nothing_half_written(client: httpx.Client, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"PUT {FILES}/inputs/half.bin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 3_000_000)
        time.sleep(0.3)
        assert "half.bin" not in _names(client, "inputs")
    staging = server.data_dir / ".lan_session_manager" / "uploads"
    end = time.monotonic() + 10
    while any(not path.is_dir() for path in staging.rglob("*")):
        assert time.monotonic() < end, "the staged file stays"
        time.sleep(0.05)
    assert "half.bin" not in _names(client, "inputs")


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=alert(1)>.txt",
        "a'b\"c.txt",
        "\u202egnp.exe",
        "\u00fc \u4e2d\u6587.csv",
        "%2e%2e",
        "a;b.txt",
        "x" * 255,
    ],
)
def test_hostile_names_are_only_names(client: httpx.Client, name: str) -> None:
    from urllib.parse import quote

    path = f"{FILES}/temp/{quote(name, safe='')}"
    assert client.put(path, content=b"x").status_code == 201
    assert name in _names(client, "temp")
    answer = client.get(path)
    assert answer.content == b"x"
    assert answer.headers["content-type"].startswith(("text/plain", "application/octet-stream"))
    assert "\r" not in answer.headers["content-disposition"]
    assert client.delete(path).status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../x",
        "inputs/../../x",
        "inputs//x",
        "%00",
        "inputs/%00",
        "inputs/a%0Ab",
        "",
        "x/" * 70 + "y",
        "a" * 256,
        "session.json/x",
    ],
)
def test_a_path_that_no_file_can_have_is_refused(client: httpx.Client, server: Server, path: str) -> None:
    head = f"PUT {FILES}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"
    answer = _raw(server, head.encode() + b"x")
    assert b"HTTP/1.1 4" in answer[:12], answer[:200]
    assert b'"error":' in answer


def test_memory_stays_constant_for_a_large_upload(client: httpx.Client, server: Server) -> None:
    import psutil

    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss

    def body() -> object:
        for _ in range(300):
            yield b"x" * 1_000_000

    assert client.put(f"{FILES}/temp/large.bin", content=body()).status_code == 201  # type: ignore[arg-type]
    grown = process.memory_info().rss - before
    assert grown < 60_000_000
    assert Path(server.data_dir / "127_0_0_1" / "temp" / "large.bin").stat().st_size == 300_000_000
    client.delete(f"{FILES}/temp/large.bin")


def test_what_a_task_locks_is_shown_and_deleted_all_the_same(client: httpx.Client) -> None:
    task = ended(
        client,
        submit(client, "mkdir -p outputs/locked; echo own > outputs/locked/f; chmod 0 outputs/locked/f outputs/locked"),
    )
    assert task["status"] == "completed", task
    assert _names(client, "outputs/locked") == ["f"]
    assert client.get(f"{FILES}/outputs/locked/f").text == "own\n"
    assert client.delete(f"{FILES}/outputs/locked").status_code == 204
    assert "locked" not in _names(client, "outputs")


def test_what_the_owner_has_not_opened_to_all_is_read_neither_on_the_page_nor_in_a_task(
    client: httpx.Client, server: Server
) -> None:
    private = server.data_dir / "shared" / "references" / "private.md"
    private.write_text("of the owner")
    private.chmod(0o600)
    answer = client.get(f"{FILES}/shared/references/private.md")
    assert answer.status_code == 409
    assert "of the owner" not in answer.text
    task = ended(client, submit(client, "cat /shared/references/private.md"))
    assert task["status"] == "failed"


def test_no_thread_of_the_server_stays_somebody_else(client: httpx.Client, server: Server) -> None:
    for number in range(20):
        client.put(f"{FILES}/temp/who/{number}", content=b"x")
        client.get(f"{FILES}/temp/who/{number}")
        client.get(f"{FILES}/temp/who/missing")
    client.delete(f"{FILES}/temp/who")
    end = time.monotonic() + 10
    while _acting(server.process.pid):  # a scan may be under way
        assert time.monotonic() < end
        time.sleep(0.05)


def _acting(pid: int) -> list[str]:
    """The threads of a process whose user id for files is not that of the process."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            ids = re.search(r"^Uid:\s+(\d+)\s+\d+\s+\d+\s+(\d+)$", (thread / "status").read_text(), re.MULTILINE)
            assert ids is not None
            if ids[1] != ids[2]:
                found.append(thread.name)
    return found
