"""Requests for objects of others, made of the API's own description: every operation, every id in its path, every way
to spell an id that is not one's own.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any, Self
from urllib.parse import quote, urlencode

METHODS = ("get", "head", "put", "post", "patch", "delete")
PATIENCE_S = 30.0
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "bWF5IEkgY29tZSBpbj8/Pw==",
}
SOCKET = "WS /ws/dashboard/{client_ip}"  # OpenAPI describes no WebSocket


@dataclass(frozen=True)
class Operation:
    """One operation of the description."""

    name: str  # "GET /api/task/{task_id}"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""  # with what has to be in it, from "?" on

    @property
    def method(self) -> str:
        """What the request line says."""
        method = self.name.partition(" ")[0]
        return "GET" if method == "WS" else method

    @property
    def path(self) -> str:
        """With the names of the ids in braces."""
        return self.name.partition(" ")[2]

    @property
    def ids(self) -> list[str]:
        """The names of the ids."""
        return re.findall(r"{(\w+)}", self.path)

    def target(self, ids: Mapping[str, str]) -> str:
        """The path with ids that are encoded already, and the query."""
        return re.sub(r"{(\w+)}", lambda found: ids[found[1]], self.path) + self.query


@dataclass(frozen=True)
class Answer:
    """All of an answer that does not tell the time."""

    status: int
    headers: tuple[tuple[str, str], ...]  # in the order of sending, without Date
    body: bytes


class Caller:
    """One who sends requests as they are, over one connection as long as that is kept."""

    def __init__(self, port: int, address: str, token: str = "") -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S, source_address=(address, 0))
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def send(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer to a request for exactly that target."""
        for is_last in (False, True):
            try:
                return self._send(method, target, body, headers or {})
            except (ConnectionError, TimeoutError):
                self._connection.close()  # the server may close what was idle
                if is_last:
                    raise
        raise AssertionError

    def _send(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        self._connection.request(method, target, body, {**self._headers, **headers})
        response = self._connection.getresponse()
        if response.status == 101:
            self._connection.close()
            return Answer(101, (), b"")
        kept = tuple((name.lower(), value) for name, value in response.getheaders() if name.lower() != "date")
        return Answer(response.status, kept, response.read())

    def json(self, method: str, target: str, body: object = None, **headers: str) -> Any:
        """What a request that has to succeed answers."""
        data = None if body is None else json.dumps(body).encode()
        answer = self.send(method, target, data, {"Content-Type": "application/json", **headers} if data else headers)
        assert answer.status in (200, 201), (target, answer)
        return json.loads(answer.body)


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """The operations of an OpenAPI document, with HEAD for every GET, and the WebSocket's handshake."""
    found = [Operation(SOCKET, headers=UPGRADE)]
    for path, item in document["paths"].items():
        described = (method for method in METHODS if method in item)
        for method in described:
            body, query = _body(document, item[method]), _query(document, item[method])
            found.append(Operation(f"{method.upper()} {path}", *body, query))
        if "get" in item and "head" not in item:
            found.append(Operation(f"HEAD {path}"))
    return found


def _body(document: Mapping[str, Any], item: Mapping[str, Any]) -> tuple[bytes | None, dict[str, str]]:
    content = item.get("requestBody", {}).get("content", {})
    for kind, described in content.items():
        headers = {"Content-Type": kind, "Upload-Offset": "0"}
        if kind == "application/json":
            return json.dumps(_example(document, described.get("schema", {}))).encode(), headers
        if kind == "multipart/form-data":
            part = 'Content-Disposition: form-data; name="file"; filename="forged.txt"'
            headers["Content-Type"] += "; boundary=forged"
            return f"--forged\r\n{part}\r\n\r\nforged\r\n--forged--\r\n".encode(), headers
        return b"forged", headers
    return None, {}


def _query(document: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    needed = [each for each in item.get("parameters", ()) if each["in"] == "query" and each.get("required")]
    values = {each["name"]: _example(document, each.get("schema", {})) for each in needed}
    return f"?{urlencode(values)}" if values else ""


def _example(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """The smallest value that the schema takes."""
    if "$ref" in schema:
        return _example(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if options := schema.get("anyOf"):
        return _example(document, options[0])
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        return {name: _example(document, properties[name]) for name in schema.get("required", ())}
    if "enum" in schema:
        return schema["enum"][0]
    kinds = {"integer": schema.get("minimum", 1), "number": 1, "boolean": False, "array": [], "null": None}
    return kinds.get(schema.get("type", ""), "inputs/forged.txt")


def _all(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _wide(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def spellings(text: str) -> Iterator[str]:
    """Ways to write an id that is not one's own, or that is none, as a segment of a path."""
    plain = quote(text, safe="")
    yield from (plain, plain.upper(), plain.lower(), plain.swapcase(), _all(text), _all(_all(text)), quote(_all(text)))
    yield from (
        "",
        ".",
        "..",
        "...",
        "%2e",
        "%2e%2e",
        "%252e%252e",
        "%2E%2E%2F",
        "..%2f..%2f",
        "..%5c",
        "%2f",
        "%2f%2f",
    )
    yield from (f"{plain}%2f", f"%2f{plain}", f"{plain}%2f..", f"..%2f{plain}", f"%2e%2e%2f{plain}", f".%2f{plain}")
    yield from (
        f"x%2f..%2f{plain}",
        f"{plain}%2f..%2f{plain}",
        f"..%252f{plain}",
        f"%252e%252e%252f{plain}",
        f"{plain}%5c",
    )
    yield from ("%00", f"{plain}%00", f"%00{plain}", f"{plain}%00.txt", f"{plain}%2500")
    yield from (
        "%20",
        f"%20{plain}",
        f"{plain}%20",
        f"{plain}%09",
        f"{plain}%0a",
        f"{plain}%0d%0a",
        f"{plain}+",
        f"{plain}%c2%a0",
    )
    yield from (
        f"{plain}.",
        f"{plain}:",
        f"{plain};x=1",
        f"{plain}%3fx",
        f"{plain}%23",
        f"{plain},{plain}",
        f"{plain}*",
        "*",
        "%25",
        "_",
    )
    yield from (
        quote(_wide(text)),
        quote(_wide(text[:1]) + text[1:], safe=""),
        f"{plain}%e2%80%8b",
        f"%ef%bb%bf{plain}",
    )
    yield from (
        f"%e2%80%ae{plain}",
        f"{plain}%cc%81",
        f"{plain}%c3%a9",
        quote(f"{text}{unicodedata.normalize('NFD', 'é')}", safe=""),
    )
    yield from (
        quote(text.translate(str.maketrans("aeo0123", "аео٠١٢٣")), safe=""),
        quote(text.replace(".", "\u2024"), safe=""),
    )
    yield from ("%ff", "%c0%af", f"..%c0%af{plain}", "%ed%b0%af", f"%ed%b0%af{plain}", f"{plain}%80")
    yield from (
        plain * 40,
        "9" * 3000,
        "%41" * 1000,
        "null",
        "undefined",
        "-1",
        "0",
        "%27%20OR%201%3D1%20--",
        "%24%7B1%7D",
    )
    yield from ("all", "admin", "me", "self", "shared", "localhost", "submit", "root", "user_", ".lan_session_manager")


def spellings_of_address(address: str) -> Iterator[str]:
    """Other ways to write an IPv4 address: some are that address, and some are none."""
    numbers = [int(number) for number in address.split(".")]
    whole = int.from_bytes(bytes(numbers))
    mapped = f"{whole >> 16:x}:{whole & 0xFFFF:x}"
    name = address.replace(".", "_")
    for text in (
        f"::ffff:{address}", f"::FFFF:{mapped}", f"0:0:0:0:0:ffff:{mapped}", f"[::ffff:{address}]", f"::{address}",
        f"::ffff:{address}%eth0", f"{address}%eth0", f"::ffff:0:{address}", f"64:ff9b::{address}", f"2002:{mapped}::",
        str(whole), hex(whole), ".".join(f"{number:03d}" for number in numbers), ".".join(map(hex, numbers)),
        ".".join(f"0{number:o}" for number in numbers), f"{numbers[0]}.{whole & 0xFFFFFF}", f"{address}:5000",
        f"{address}/32", f"{address}.", f"0{address}", f"http://{address}", f"x@{address}", name, f"user_{name}",
        f"{name}-2", f"v6_{name}", "0.0.0.0", "::", "255.255.255.255", "fe80::1",
    ):  # fmt: skip
        yield quote(text, safe="")


def variants(foreign: str, others: Iterable[str]) -> list[str]:
    """What is tried in place of an id, each once: one of somebody else in every spelling, and `others` as they are."""
    found = dict.fromkeys(spellings(foreign))
    if re.fullmatch(r"[0-9]+(\.[0-9]+){3}", foreign):
        found |= dict.fromkeys(spellings_of_address(foreign))
    found |= dict.fromkeys(quote(other, safe="") for other in others)
    return list(found)


def ids_in(value: Any) -> Iterator[str]:
    """Every id that an answer tells, whatever it is of."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and (key == "id" or key.endswith("_id") or key in ("ip", "workspace")):
                yield inner
            yield from ids_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from ids_in(inner)
