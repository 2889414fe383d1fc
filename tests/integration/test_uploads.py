"""Uploads that go on after a lost connection or another server, and the files of a form: whole, or not there."""

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.clients import device
from tests.server import Server, start_server

ROOM = "/api/workspace/127.0.0.1"
PATIENCE_S = 30.0
PARTIAL = "application/partial-upload"


def _begin(client: httpx.Client, size: int, path: str = "inputs/big.bin", **fields: object) -> str:
    answer = client.post(f"{ROOM}/uploads", json={"path": path, "size": size, **fields})
    assert answer.status_code == 201, answer.text
    assert answer.headers["upload-offset"] == "0"
    place: str = answer.headers["location"]
    assert place == f"{ROOM}/uploads/{answer.json()['id']}"
    return place


def _send(client: httpx.Client, place: str, offset: int, data: bytes) -> httpx.Response:
    headers = {"Upload-Offset": str(offset), "Content-Type": PARTIAL}
    return client.patch(place, content=data, headers=headers)


def _offset(client: httpx.Client, place: str) -> int:
    answer = client.head(place)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


def _wait_for_offset(client: httpx.Client, place: str, least: int) -> int:
    end = time.monotonic() + PATIENCE_S
    while (offset := _offset(client, place)) < least:
        assert time.monotonic() < end, offset
        time.sleep(0.02)
    return offset


@contextmanager
def _open_request(server: Server, head: str, body: bytes) -> Iterator[socket.socket]:
    """A request that has begun and is not sent to its end."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as connection:
        connection.sendall(f"{head}\r\nHost: 127.0.0.1\r\n\r\n".encode() + body)
        yield connection


def _patch(place: str, offset: int, size: int) -> str:
    return f"PATCH {place} HTTP/1.1\r\nUpload-Offset: {offset}\r\nContent-Type: {PARTIAL}\r\nContent-Length: {size}"


def _names(client: httpx.Client, path: str) -> list[str]:
    entries = client.get(f"{ROOM}/files", params={"path": path}).json()["entries"]
    return [entry["name"] for entry in entries]


def _staged(server: Server) -> list[Path]:
    uploads = server.data_dir / ".lan_session_manager" / "uploads"
    return [path for path in uploads.rglob("*") if not path.is_dir() and path.suffix != ".facts"]


def _wait_until_nothing_is_staged(server: Server) -> None:
    end = time.monotonic() + PATIENCE_S
    while _staged(server):
        assert time.monotonic() < end, _staged(server)
        time.sleep(0.02)


def test_a_file_comes_in_several_requests(client: httpx.Client) -> None:
    data = os.urandom(3_000_001)
    place = _begin(client, len(data), "inputs/new/parts.bin")
    for at in range(0, 3_000_000, 1_000_000):
        answer = _send(client, place, at, data[at : at + 1_000_000])
        assert (answer.status_code, answer.headers["upload-complete"]) == (204, "?0")
        assert int(answer.headers["upload-offset"]) == at + 1_000_000
        assert "new" not in _names(client, "inputs")
    [listed] = client.get(f"{ROOM}/uploads").json()["uploads"]
    assert (listed["path"], listed["size"], listed["offset"]) == ("inputs/new/parts.bin", len(data), 3_000_000)
    last = _send(client, place, 3_000_000, data[3_000_000:])
    assert (last.status_code, last.headers["upload-complete"], last.json()["size"]) == (201, "?1", len(data))
    got = client.get(f"{ROOM}/files/inputs/new/parts.bin").content
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    # Who did not get the last answer finds out.
    assert client.head(place).headers["upload-complete"] == "?1"
    assert client.get(f"{ROOM}/uploads").json() == {"uploads": []}


def test_a_wrong_offset_is_told_the_right_one(client: httpx.Client) -> None:
    place = _begin(client, 6)
    _send(client, place, 0, b"abc")
    for offset in (0, 2, 4, 10**14):
        answer = _send(client, place, offset, b"")
        assert (answer.status_code, answer.json()["code"]) == (409, "offset")
        assert answer.headers["upload-offset"] == "3"
    for text in ("", "-1", "3.0", "x", "9" * 16):
        answer = client.patch(place, content=b"d", headers={"Upload-Offset": text, "Content-Type": PARTIAL})
        assert answer.status_code == 422, text
    assert _send(client, place, 3, b"defg").status_code == 413
    assert client.patch(place, content=b"d", headers={"Upload-Offset": "3"}).status_code == 415
    assert _offset(client, place) == 3
    assert client.delete(place).status_code == 204
    assert client.head(place).status_code == client.delete(place).status_code == 404


def test_a_connection_that_is_cut_keeps_what_has_arrived(client: httpx.Client, server: Server) -> None:
    data = os.urandom(5_000_000)
    place = _begin(client, len(data), "inputs/cut.bin")
    with _open_request(server, _patch(place, 0, len(data)), data[:2_500_000]):
        _wait_for_offset(client, place, 2 << 20)
        assert "cut.bin" not in _names(client, "inputs")
    offset = _wait_for_offset(client, place, 2_500_000)  # also what had not filled a buffer yet
    assert offset == 2_500_000
    assert _send(client, place, offset, data[offset:]).status_code == 201
    assert client.get(f"{ROOM}/files/inputs/cut.bin").content == data


def test_a_server_that_is_killed_goes_on_with_what_it_had(tmp_path: Path) -> None:
    data = os.urandom(6_000_000)
    with start_server(tmp_path) as first:
        with device(first) as client:
            place = _begin(client, len(data))
            with _open_request(first, _patch(place, 0, len(data)), data[:4_000_000]):
                _wait_for_offset(client, place, 3 << 20)
                first.kill9()
        with start_server(tmp_path) as second, device(second) as client:
            offset = _offset(client, place)
            assert 3 << 20 <= offset <= 4_000_000
            assert _names(client, "inputs") == []
            assert _send(client, place, offset, data[offset:]).status_code == 201
            assert client.get(f"{ROOM}/files/inputs/big.bin").content == data
            _wait_until_nothing_is_staged(second)


def test_of_two_requests_for_one_upload_the_later_goes_on(client: httpx.Client, server: Server) -> None:
    data = os.urandom(4 << 20)
    place = _begin(client, len(data), "inputs/two.bin")
    with _open_request(server, _patch(place, 0, len(data)), data[: 2 << 20]) as first:
        offset = _wait_for_offset(client, place, 1 << 20)
        while (answer := _send(client, place, offset, data[offset : offset + 10])).status_code == 409:
            offset = int(answer.headers["upload-offset"])  # the first one had more on its way
        assert answer.status_code == 204
        first.sendall(b"x" * (1 << 20))
        answered = first.recv(65536)
        assert answered.startswith(b"HTTP/1.1 409")
    assert _offset(client, place) == offset + 10
    assert _send(client, place, offset + 10, data[offset + 10 :]).status_code == 201
    assert client.get(f"{ROOM}/files/inputs/two.bin").content == data


def test_what_does_not_fit_is_refused_before_it_comes(client: httpx.Client) -> None:
    answer = client.post(f"{ROOM}/uploads", json={"path": "inputs/huge", "size": 2**40})
    assert answer.status_code == 413
    for body in ({"path": "inputs/a", "size": -1}, {"path": "inputs/a"}, {"path": "../a", "size": 1}, {"size": 1}):
        assert client.post(f"{ROOM}/uploads", json=body).status_code in (403, 422), body
    assert client.post(f"{ROOM}/uploads", json={"path": "shared/a", "size": 1}).status_code == 403
    assert client.get(f"{ROOM}/uploads").json() == {"uploads": []}


def test_the_uploads_of_another_are_not_there(client: httpx.Client, other: httpx.Client) -> None:
    place = _begin(client, 3)
    other.put("/api/workspace/127.0.0.2/files/inputs/x", content=b"x")
    own = place.replace("127.0.0.1", "127.0.0.2")
    missing = own[:-32] + "0" * 32
    for method in ("GET", "PATCH", "DELETE"):
        headers = {"Upload-Offset": "0", "Content-Type": PARTIAL} if method == "PATCH" else {}
        answers = [other.request(method, url, headers=headers) for url in (place, own, missing)]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.content for answer in answers}) == 1
    assert other.post(f"{ROOM}/uploads", json={"path": "inputs/a", "size": 1}).status_code == 404
    assert _offset(client, place) == 0
    client.delete(place)


def test_the_files_of_a_form_arrive(client: httpx.Client) -> None:
    data = os.urandom(2_000_000)
    files = [("file", ("form/a.bin", data, "image/png")), ("file", ("<b>.txt", b"b", "text/html"))]
    answer = client.post(f"{ROOM}/files", params={"path": "temp"}, files=files, data={"note": "hello"})
    assert answer.status_code == 201, answer.text
    assert [file["path"] for file in answer.json()["files"]] == ["temp/form/a.bin", "temp/<b>.txt"]
    assert client.get(f"{ROOM}/files/temp/form/a.bin").content == data
    assert "<b>.txt" in _names(client, "temp")
    again = client.post(f"{ROOM}/files", params={"path": "temp", "overwrite": 0}, files=files)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize("name", ["../planted", "/etc/planted", "a\x00b", "x" * 256])
def test_a_form_with_a_name_that_no_file_may_have_leaves_nothing(
    client: httpx.Client, server: Server, name: str
) -> None:
    head = 'Content-Disposition: form-data; name="f"; filename="'
    body = f'--s\r\n{head}good.txt"\r\n\r\n1\r\n--s\r\n{head}{name}"\r\n\r\n2\r\n--s--\r\n'.encode()
    kind = {"Content-Type": "multipart/form-data; boundary=s"}
    answer = client.post(f"{ROOM}/files", content=body, headers=kind)
    assert answer.status_code in (403, 422), answer.text
    assert "good.txt" not in _names(client, "inputs")
    _wait_until_nothing_is_staged(server)


def test_a_form_that_breaks_off_leaves_nothing(client: httpx.Client, server: Server) -> None:
    part = b'--s\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\n%s\r\n'
    body = part % (b"first.bin", b"x" * 2_000_000) + part % (b"second.bin", b"y" * 2_000_000)
    head = f"POST {ROOM}/files HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=s\r\nContent-Length: 9000000"
    with _open_request(server, head, body):
        end = time.monotonic() + PATIENCE_S
        while len(_staged(server)) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert not {"first.bin", "second.bin"} & set(_names(client, "inputs"))
    _wait_until_nothing_is_staged(server)
    assert not {"first.bin", "second.bin"} & set(_names(client, "inputs"))


def test_a_form_of_another_page_is_refused_before_it_is_read(client: httpx.Client, server: Server) -> None:
    files = {"file": ("planted.txt", b"x")}
    own = f"http://127.0.0.1:{server.port}"
    for headers in (
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Cookie": "a=b"}, {"Sec-Fetch-Site": "none"},
        {"Referer": "http://evil.example/"}, {"Origin": own, "Sec-Fetch-Site": "cross-site"},
    ):  # fmt: skip
        answer = client.post(f"{ROOM}/files", files=files, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site"), headers
    assert "planted.txt" not in _names(client, "inputs")
    headers = {"Origin": own, "Sec-Fetch-Site": "same-origin", "Cookie": "a=b"}
    assert client.post(f"{ROOM}/files", files=files, headers=headers).status_code == 201
    plain = client.post(f"{ROOM}/files", content=json.dumps({}), headers={"Content-Type": "application/json"})
    assert plain.status_code == 415
