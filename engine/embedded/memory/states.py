"""Slots: the states of constant size that state-space layers keep of a sequence, all of a model's under one number.

A step reads a sequence's state from one slot and writes what becomes of it to the same, or to a new one where the old is to stay
as it is. So a state behind some full pages is kept for others (or for the next turn of a chat) by not writing to it again: it is found
by the key of the last page, and evicted like a page, or with that page.
"""

from engine.embedded.memory.page_pool import PAGE, PagePool
from engine.embedded.sequence import Sequence


class States:
    def __init__(self, total: int) -> None:
        self.pool = PagePool(total)

    def found(self, keys: list[bytes], pages: int) -> int:
        """The most leading pages, up to `pages`, behind which the state is kept."""
        return next((n for n in range(pages, 0, -1) if self.pool.find(keys[n - 1]) is not None), 0)

    def needed(self, keys: list[bytes], pages: int) -> int:
        """Slots that a sequence which begins behind so many pages takes from those available."""
        return 1 + (pages > 0 and self.pool.idle(self._kept(keys, pages)))

    def enter(self, seq: Sequence, pages: int) -> None:
        if pages:
            seq.slot = self._kept(seq.keys, pages)
            self.pool.hold(seq.slot)

    def prepare(self, seq: Sequence) -> bool:
        """Whether there is a slot to write the next step's state to: `target`."""
        if seq.target < 0 and seq.slot >= 0 and self.pool.private(seq.slot):
            seq.target = seq.slot
        if seq.target < 0 and self.pool.available:
            seq.target = self.pool.take()
        return seq.target >= 0

    def branch(self, seq: Sequence, reserve: int) -> bool:
        """After `prepare`: whether the next step can leave the state as it is, so that `undo` is possible; `reserve` slots stay."""
        if seq.target == seq.slot and self.pool.available > reserve:
            seq.target = self.pool.take()
        return seq.target != seq.slot

    def undo(self, seq: Sequence) -> None:
        """After a step that began with `branch`: as if it had not been."""
        self.pool.release(seq.target)
        seq.target = -1

    def advance(self, seq: Sequence) -> None:
        """After a step."""
        if seq.slot >= 0 and seq.slot != seq.target:
            self.pool.release(seq.slot)
        seq.slot, seq.target = seq.target, -1

    def keep(self, seq: Sequence, key: bytes) -> None:
        """The state behind the sequence's last full page, which `key` is of. Of an answer only the latest is kept, but for what others
        keep."""
        self.pool.publish(seq.slot, key)
        if seq.computed <= seq.prompt or self.pool.find(key) != seq.slot:
            return
        if seq.kept is not None:
            self.pool.forget(seq.kept)
        seq.kept = key

    def until(self, seq: Sequence, count: int) -> int:
        """How many of the next `count` tokens a step may compute at once: up to where a state is kept, which is behind 1, 2, 4, ...
        pages, where others' texts may go on differently, and behind the last full page."""
        first, last = seq.computed // PAGE, (seq.length - 1) // PAGE
        border = min(1 << first.bit_length(), last) if first < last else first
        return min(count, border * PAGE - seq.computed) if border * PAGE > seq.computed else count

    def release(self, seq: Sequence) -> None:
        for slot in {seq.slot, seq.target} - {-1}:
            self.pool.release(slot)
        seq.slot = seq.target = -1

    def _kept(self, keys: list[bytes], pages: int) -> int:
        slot = self.pool.find(keys[pages - 1])
        assert slot is not None, "a prefix without its state"
        return slot
