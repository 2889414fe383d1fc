"""The fixtures of the tests on a local network."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.browser import browsers
from tests.lan.lan import Lan
from tests.server import Server, start_server

__all__ = ["browsers"]


@pytest.fixture
def lan() -> Iterator[Lan]:
    """A network with the server's machine and the hosts a and b."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with Lan(hosts=("a", "b")) as network:
        yield network


@pytest.fixture
def server(lan: Lan, tmp_path: Path) -> Iterator[Server]:
    """The server on its machine, open to the whole network."""
    with start_server(tmp_path, prefix=lan.server.prefix, host="0.0.0.0") as running:
        yield running
