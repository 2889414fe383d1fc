"""How large a session's image is made so that its file system holds what the session may have, and not more: pure.

An image is a sparse file: what it does not hold takes no room. It is made a little too large, and the surplus of blocks
is held back (`held_back`), so that what can be written is the quota to the block. Inodes cannot be held back: mke2fs
rounds their number up in each group of 128 MB, to a multiple of 16.
"""

from dataclasses import dataclass

from lan_session_manager.workspace.usage import Quota, Usage

BLOCK = 4096
# What is in there of the server: root, lost+found (4 blocks), workspace, staging, the three tops, the facts. Of ext4's
# own inodes 11 count, the first two of these among them; while the facts are written they are there twice.
OWN_BLOCKS, OWN_INODES = 12, 18
_INODE = 256
_GROUP_BLOCKS, _GROUP_INODES = 8 * BLOCK, 8 * BLOCK  # as many as one block of bits can tell
_ROUNDED = 16
_JOURNAL_LEAST, _JOURNAL_MOST = 4, 64  # MB
_MB = 1024 * 1024


@dataclass(frozen=True)
class Geometry:
    """What mke2fs is told: bytes, inodes, and MB of the journal."""

    size: int
    inodes: int
    journal_mb: int


def geometry(quota: Quota) -> Geometry:
    """The image for a session of that quota."""
    inodes = quota.files + OWN_INODES
    journal_mb = min(max(quota.bytes // _MB // 64, _JOURNAL_LEAST), _JOURNAL_MOST)
    # 4 % and 8 MB: bitmaps, group descriptors and the room for them to grow, and what ext4 keeps for itself (2 %).
    size = quota.bytes + inodes * _INODE + journal_mb * _MB
    size += size // 25 + 8 * _MB
    # A block of bits counts the inodes of a group: more of them need more groups, and each of 32 MB at least.
    groups = max(-(-size // (_GROUP_BLOCKS * BLOCK)), -(-(inodes + _ROUNDED) // (_GROUP_INODES - _ROUNDED)))
    if groups * _GROUP_BLOCKS * BLOCK - size > _GROUP_BLOCKS * BLOCK:
        size = groups * _GROUP_BLOCKS * BLOCK
    return Geometry(-(-size // _MB) * _MB, inodes, journal_mb)


def held_back(total_blocks: int, quota: Quota) -> int:
    """How many of the file system's blocks nobody may use, where it has `total_blocks` beside its own structures."""
    return max(0, total_blocks - -(-quota.bytes // BLOCK) - OWN_BLOCKS)


def too_small(total_blocks: int, total_inodes: int, quota: Quota) -> bool:
    """Whether the file system has to grow before it holds that quota."""
    return total_blocks < quota.bytes // BLOCK + OWN_BLOCKS or total_inodes < quota.files + OWN_INODES


def grown_size(size: int, total_inodes: int, quota: Quota) -> int:
    """The bytes of the image once it holds that quota: inodes come with groups, each with as many as the others."""
    groups = -(-size // (_GROUP_BLOCKS * BLOCK))
    each = max(1, total_inodes // groups)
    for_inodes = -(-(quota.files + OWN_INODES) // each) * _GROUP_BLOCKS * BLOCK
    return max(size, geometry(quota).size, for_inodes)


def usage_of(used_blocks: int, used_inodes: int, parts: Usage) -> Usage:
    """What a session takes, by the file system's own count; how it is shared out is from a scan (`parts`)."""
    return Usage(
        bytes=max(0, used_blocks - OWN_BLOCKS) * BLOCK,
        files=max(0, used_inodes - OWN_INODES + 1),
        inputs_bytes=parts.inputs_bytes,
        outputs_bytes=parts.outputs_bytes,
        temp_bytes=parts.temp_bytes,
    )
