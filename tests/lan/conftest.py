"""The fixtures of the tests on a local network."""

import os
from collections.abc import Iterator

import pytest

from tests.lan.lan import Lan


@pytest.fixture
def lan() -> Iterator[Lan]:
    """A network with the server's machine and the hosts a and b."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with Lan(hosts=("a", "b")) as network:
        yield network
