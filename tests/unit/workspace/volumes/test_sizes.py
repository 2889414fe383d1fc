"""An image holds what its session may have, to the block, and hardly more files than it may have."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lan_session_manager.workspace import Quota, Usage
from lan_session_manager.workspace.volumes.loops import make_file_system
from lan_session_manager.workspace.volumes.sizes import (
    BLOCK,
    OWN_BLOCKS,
    OWN_INODES,
    geometry,
    grown_size,
    held_back,
    too_small,
    usage_of,
)

MB = 1024 * 1024
GROUP = 128 * MB

quotas = st.builds(
    Quota, bytes=st.integers(1, 1 << 40).map(lambda size: size // MB * MB + MB), files=st.integers(1, 250_000)
)
small = st.builds(Quota, bytes=st.integers(1, 4096).map(lambda mb: mb * MB), files=st.integers(1, 250_000))


def _made(quota: Quota) -> tuple[int, int]:
    """The blocks, without the file system's own, and the inodes of an image that is really made."""
    shape = geometry(quota)
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory, "image")
        with image.open("wb") as file:
            file.truncate(shape.size)
        make_file_system(image, shape.inodes, shape.journal_mb)
        assert os.stat(image).st_blocks * 512 < 2 * MB + shape.size // 1000
        text = subprocess.run(["dumpe2fs", "-h", image], capture_output=True, text=True, check=True).stdout
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(facts["Block count"]) - int(facts.get("Overhead clusters", 0)), int(facts["Inode count"])


@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="needs e2fsprogs")
@settings(max_examples=25, deadline=None)
@given(small)
def test_an_image_that_is_made_for_a_quota_holds_it(quota: Quota) -> None:
    blocks, inodes = _made(quota)
    assert not too_small(blocks, inodes, quota)
    groups = -(-geometry(quota).size // GROUP)
    assert inodes <= quota.files + OWN_INODES + 16 * groups
    left = blocks - held_back(blocks, quota) - OWN_BLOCKS
    assert left * BLOCK == quota.bytes


@given(quotas)
def test_an_image_has_whole_megabytes_and_room_for_all_its_inodes(quota: Quota) -> None:
    shape = geometry(quota)
    assert shape.size % MB == 0
    assert shape.size > quota.bytes + quota.files * 256 + shape.journal_mb * MB
    assert shape.inodes <= (shape.size // GROUP + 1) * 32768


@given(quotas, quotas, st.integers(0, 100_000))
def test_an_image_never_shrinks_and_grows_until_it_holds_the_quota(old: Quota, new: Quota, rounded: int) -> None:
    shape = geometry(old)
    inodes = shape.inodes + rounded
    size = grown_size(shape.size, inodes, new)
    assert size >= max(shape.size, geometry(new).size)
    groups = -(-shape.size // GROUP)
    assert size // GROUP * max(1, inodes // groups) >= new.files or size == max(shape.size, geometry(new).size)


@given(st.integers(0, 1 << 30), quotas)
def test_what_is_held_back_leaves_the_quota_or_holds_nothing_back(blocks: int, quota: Quota) -> None:
    held = held_back(blocks, quota)
    assert 0 <= held <= blocks
    left = blocks - held
    assert left == blocks or left * BLOCK == -(-quota.bytes // BLOCK) * BLOCK + OWN_BLOCKS * BLOCK


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_what_the_server_has_in_an_image_is_not_the_sessions(blocks: int, inodes: int) -> None:
    usage = usage_of(blocks, inodes, Usage())
    assert usage.bytes == max(0, blocks - OWN_BLOCKS) * BLOCK
    assert 0 <= usage.files <= max(0, inodes - OWN_INODES + 1)
