"""The checksum of Glacier vaults: SHA-256 of each mebibyte, joined pairwise up to one.

https://docs.aws.amazon.com/amazonglacier/latest/dev/checksum-calculations.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

LEAF_BYTES = 1 << 20


def leaves(part: bytes) -> list[bytes]:
    """The hashes of a part that begins at a whole mebibyte."""
    view = memoryview(part)
    return [hashlib.sha256(view[at : at + LEAF_BYTES]).digest() for at in range(0, len(part), LEAF_BYTES)]


def tree_hash(hashes: Sequence[bytes]) -> str:
    """The hash over all leaves, in hex."""
    level = list(hashes) or [hashlib.sha256(b"").digest()]
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [hashlib.sha256(b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0].hex()
