"""Pages of what encoders have read: written once, in one step, and then only read.

Every row depends on the whole input, so one hash of it is the key of all its pages: those who ask about the same input share them,
and whoever begins again after preemption finds them, or reads anew.
"""

from collections.abc import Mapping
from hashlib import blake2b

import numpy as np

from engine.api import Frames, Request
from engine.embedded.memory.page_pool import PAGE, PagePool
from engine.embedded.sequence import Sequence, Table


class InputPages:
    def __init__(self, pools: Mapping[int, PagePool], seed: bytes) -> None:
        """`pools`: of each layout, by the number of its table."""
        self._pools, self._seed = dict(pools), seed

    @property
    def capacity(self) -> int | None:
        """Rows of the longest input that fits; None where there are no layouts."""
        return min((pool.total * PAGE for pool in self._pools.values()), default=None)

    def key(self, seq: Sequence) -> bytes:
        """Of the whole input, under its owner's salt; b"" where there is none."""
        if seq.input_key is None:
            read = _content(seq.request) if seq.inputs else b""
            seq.input_key = blake2b(self._seed + b"input" + read, digest_size=16, salt=seq.salt).digest() if read else b""
        return seq.input_key

    def unread(self, seq: Sequence) -> int:
        """Rows that its encoder must read: all of them, or none."""
        return 0 if seq.encoded or self._found(seq) else seq.inputs

    def fits(self, seq: Sequence) -> bool:
        """Whether there are pages for its input."""
        return bool(self._found(seq)) or all(pool.available >= _count(seq) for pool in self._pools.values())

    def enter(self, seq: Sequence) -> None:
        """Holds the pages of its input: those that are there, or as many to write to. Needs `fits`."""
        found = self._found(seq)
        for i, pool in self._pools.items():
            if found:
                for page in found[i]:
                    pool.hold(page)
            _hold(seq.tables[i], found[i] if found else [pool.take() for _ in range(_count(seq))])
        seq.encoded = bool(found) or not seq.inputs
        if seq.read is None:
            seq.read = seq.inputs if found else 0

    def publish(self, seq: Sequence) -> None:
        """After the step that has read its input."""
        for i, pool in self._pools.items():
            for page, key in zip(seq.tables[i].pages.tolist(), self._keys(seq), strict=True):
                pool.publish(page, key)
        seq.encoded = True

    def _keys(self, seq: Sequence) -> list[bytes]:
        if seq.input_keys is None:
            whole = self.key(seq)
            seq.input_keys = [blake2b(whole + j.to_bytes(4), digest_size=16).digest() for j in range(_count(seq))]
        return seq.input_keys

    def _found(self, seq: Sequence) -> dict[int, list[int]]:
        """Its pages in each layout; none where one is missing."""
        keys = self._keys(seq)
        found = {i: [page for key in keys if (page := pool.find(key)) is not None] for i, pool in self._pools.items()}
        return found if keys and all(len(pages) == len(keys) for pages in found.values()) else {}


def _content(request: Request) -> bytes:
    if request.images and not request.encoder:
        return b"".join(placed.image.digest for placed in request.images)
    read = request.encoder
    return read.digest if isinstance(read, Frames) else np.asarray(read, np.int64).tobytes()


def _count(seq: Sequence) -> int:
    return -(-seq.inputs // PAGE)


def _hold(table: Table, pages: list[int]) -> None:
    table.first, table.end = 0, len(pages)
    table.pages[: table.end] = pages
