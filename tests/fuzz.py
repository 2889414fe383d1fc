"""Fuzzers of the real server: requests made from its own API description, and frames for its WebSocket.

Both take the part of a device with tasks and files of its own, so that what they send gets beyond the first check.
"""

import contextlib
import itertools
import json
import random
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from tests.server import Server

_ANSWER_S = 30.0
_OWN_SHARE = 0.6  # of the ids in URLs are the fuzzer's own: most generated ones name nothing
_MESSAGES = ("ping", "request_dashboard_update", "submit_task", "follow_log", "unfollow_log", "resume")
_FIELDS = ("task_id", "after", "description", "command", "runner", "limits", "network", "idempotency_key")

schemathesis.serializer.alias("application/partial-upload", "application/octet-stream")


class _FromAddress(HTTPAdapter):
    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **options)


def _addresses() -> Iterator[str]:
    """One after another, each a few times: the server counts how often one opens a dashboard."""
    for third, last in itertools.product(range(60, 256), range(1, 255)):
        yield from [f"127.0.{third}.{last}"] * 20


@dataclass(frozen=True)
class Fuzzer:
    """A device at `address` (of 127.0.0.0/8) that sends whatever it is given; `headers` may hold a token.

    `statuses` counts the answers by operation's status, `closes` the WebSockets that the server has closed by code;
    these are opened from other addresses.
    """

    server: Server
    address: str
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    closes: Counter[int] = field(default_factory=Counter)
    addresses: Iterator[str] = field(default_factory=_addresses)
    messages: Counter[str] = field(default_factory=Counter)

    def calls(self, examples: int, seed_: int = 0) -> int:
        """Send `examples` requests to each operation of the API description, and give how many there were.

        Raises an AssertionError, or what schemathesis raises, for an answer of 5xx, or an error of another shape.
        """
        elsewhere = self.address.replace("127.0.", "127.1.")
        with self._session(self.address) as session, self._session(elsewhere) as stranger:
            own = self._own(session)
            schema = schemathesis.openapi.from_dict(session.get(f"{self.server.url}/api/docs.json", timeout=30).json())
            operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
            for operation in operations:
                # Who asks to be somebody new is nobody known from then on.
                is_of_devices = operation.path.startswith("/api/device")
                self._attack(operation, stranger if is_of_devices else session, own, examples, seed_)
        return sum(self.statuses.values())

    def _session(self, address: str) -> requests.Session:
        session = requests.Session()
        session.mount("http://", _FromAddress(address))
        session.headers.update(self.headers)
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # a program: it has no Origin either
        return session

    def _own(self, session: requests.Session) -> dict[str, Sequence[str]]:
        url = self.server.url
        session.get(f"{url}/api/session/{self.address}", timeout=_ANSWER_S).raise_for_status()
        tasks = []
        for number in range(3):
            body = {"description": f"fuzz {number}", "runner": "swarm"}
            tasks.append(session.post(f"{url}/api/task/submit", json=body, timeout=_ANSWER_S).json()["task_id"])
        for ended in tasks[1:]:
            session.post(f"{url}/api/task/{ended}/cancel", timeout=_ANSWER_S).raise_for_status()
        session.put(f"{url}/api/workspace/{self.address}/files/inputs/own.txt", data=b"own" * 99, timeout=_ANSWER_S)
        return {"client_ip": [self.address], "task_id": tasks, "path": ["inputs/own.txt", "outputs/x", "temp"]}

    def _attack(
        self, operation: Any, session: requests.Session, own: Mapping[str, Sequence[str]], examples: int, seed_: int
    ) -> None:
        dice = random.Random(seed_)  # noqa: S311 - which ids are replaced

        @seed(seed_)
        @settings(
            max_examples=examples,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy())
        def attack(case: schemathesis.Case[Any]) -> None:
            for name in case.path_parameters or {}:
                if name in own and dice.random() < _OWN_SHARE:
                    first = 1 if case.path.endswith("/log") else 0  # a log that goes on would be followed for ever
                    case.path_parameters[name] = dice.choice(own[name][first:] or own[name])
            answer = case.call(base_url=self.server.url, session=session, timeout=_ANSWER_S)
            self.statuses[answer.status_code] += 1
            case.validate_response(answer, checks=[not_a_server_error])
            if answer.status_code >= 400 and case.method.upper() != "HEAD":
                assert set(answer.json()) >= {"error", "code"}, (operation.label, answer.status_code, answer.content)

        attack()

    def frames(self, examples: int, seed_: int = 0) -> int:
        """Send `examples` frames and messages to the WebSocket, in connections of at most twenty, and give how many.

        Raises AssertionError if the server does not answer a ping after them, or closes for a fault of its own.
        """

        @seed(seed_)
        @settings(
            max_examples=-(-examples // 10),
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],
        )
        @given(sent=st.lists(_sent(), min_size=10, max_size=20))
        def attack(sent: list[tuple[Opcode, bytes]]) -> None:
            self._converse(sent)

        attack()
        return sum(self.messages.values())

    def _converse(self, sent: Sequence[tuple[Opcode, bytes]]) -> None:
        address = next(self.addresses)
        raw = socket.create_connection(("127.0.0.1", self.server.ws_port), _ANSWER_S, source_address=(address, 0))
        uri = f"ws://127.0.0.1:{self.server.ws_port}/ws/dashboard/{address}"
        connection = connect(uri, sock=raw, max_size=None, compression=None, additional_headers=self.headers)
        # The server closes for what no WebSocket may send; then the rest cannot be sent.
        with contextlib.suppress(ConnectionClosed, OSError), connection:
            for opcode, data in sent:
                self.messages[opcode.name] += 1
                with connection.protocol_mutex:  # a text frame that is no UTF-8 cannot be sent otherwise
                    connection.protocol.send_frame(Frame(opcode, data))
                    connection.send_data()
            connection.send(json.dumps({"type": "ping"}))
            while json.loads(connection.recv(_ANSWER_S))["event"] != "pong":
                pass
        self._note_close(connection)

    def _note_close(self, connection: ClientConnection) -> None:
        if code := connection.protocol.close_code:
            self.closes[code] += 1
            assert code != 1011, "the server has met a fault of its own"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def _sent() -> st.SearchStrategy[tuple[Opcode, bytes]]:
    fields = st.dictionaries(st.sampled_from(_FIELDS), _json, max_size=4)
    known = st.tuples(st.sampled_from(_MESSAGES), fields).map(lambda both: {"type": both[0], **both[1]})
    texts = (known | _json).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=64)
    return st.tuples(st.just(Opcode.TEXT), texts) | st.tuples(
        st.sampled_from([Opcode.BINARY, Opcode.PING, Opcode.PONG]), st.binary(max_size=64)
    )
