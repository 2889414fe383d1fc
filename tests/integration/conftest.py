"""One real server for the tests of a module, its clients."""

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.clients import device
from tests.server import Server, start_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with device(server) as client:
        yield client


@pytest.fixture
def other(server: Server) -> Iterator[httpx.Client]:
    with device(server, "127.0.0.2") as client:
        yield client


@pytest.fixture
def admin(server: Server) -> Iterator[httpx.Client]:
    with device(server, "127.0.0.9", server.admin_token) as client:
        yield client
