import errno
import os
from collections.abc import Iterator

import pytest

from lan_session_manager.workspace import opener


@pytest.fixture(autouse=True)
def _chosen_anew() -> Iterator[None]:
    opener._kernel_resolves.cache_clear()
    yield
    opener._kernel_resolves.cache_clear()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_kernel_without_openat2_or_a_filter_against_it_is_noticed(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(opener, "_by_kernel", refused)
    assert not opener._kernel_resolves()


def test_this_kernel_resolves_by_itself() -> None:
    assert opener._kernel_resolves()
