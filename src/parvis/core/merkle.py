"""A Merkle tree over hashes of leaves, with the hashing of RFC 6962, section 2.1.

    leaf = SHA-256(0x00 || data)        node = SHA-256(0x01 || left || right)

A node without a neighbour goes up as it is. That is the tree of the RFC, whose left part is always a full one.
"""

import hashlib
from collections.abc import Sequence
from itertools import zip_longest

HASH_BYTES = 32
_LEAF, _NODE = b"\x00", b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """The hash of what a leaf stands for."""
    return hashlib.sha256(_LEAF + data).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over these hashes of leaves, which are at least one."""
    *_, [root] = _levels(leaves)
    return root


def path_of(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What the leaf of this index has to be hashed with, from the bottom up, to come to the root."""
    path = []
    for level in _levels(leaves):
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        index >>= 1
    return path


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Where a path leads from the leaf of this index among so many; None when it is no path of such a tree."""
    if not 0 <= index < size:
        return None
    found, rest = leaf, list(reversed(path))
    while size > 1:
        if index ^ 1 < size:
            if not rest:
                return None
            beside = rest.pop()
            found = _node(beside, found) if index & 1 else _node(found, beside)
        index, size = index >> 1, (size + 1) >> 1
    return None if rest else found


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """From the leaves to the level that has the root alone."""
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        pairs = zip_longest(levels[-1][::2], levels[-1][1::2])
        levels.append([left if right is None else _node(left, right) for left, right in pairs])
    return levels


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
