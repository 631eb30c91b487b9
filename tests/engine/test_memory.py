import random
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.api import Request
from engine.embedded.memory.memory import Memory, first_seen, pages_for, window_pages
from engine.embedded.memory.page_pool import PAGE, PagePool
from engine.embedded.memory.sizes import TooLittleMemory, page_counts
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.sequence import Sequence
from models.spec import Causal, Paged, Window
from tests.engine.tiny import LIMITS, arch, greedy

FULL = Paged(per_token=((1, 8), (1, 8)))
SLIDING = Paged(per_token=((1, 8), (1, 8)), reach=24)


def make(memory: Memory, tokens: list[int], more: int = 50) -> Sequence:
    sampling = greedy(more)
    return Sequence(
        Request(tokens=tuple(tokens), sampling=sampling), 0, 10_000, memory.tables(len(tokens) + more), TokenSampler(sampling, 0)
    )


def compute(memory: Memory, seq: Sequence, size: int) -> None:
    assert memory.grow(seq, seq.computed + size)
    memory.advance(seq, size)


class Books(RuleBasedStateMachine):
    """Random admissions, chunks, answers and ends; the books must balance, and a page that a sequence still looks at
    must never be given to another."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory({FULL: 20, SLIDING: 12}, slots=7, seed=b"")
        self.content: dict[tuple[int, int], object] = {}  # what was written: (pool, page) -> tokens up to the page's end
        self.states: dict[int, tuple[int, ...]] = {-1: ()}  # slot -> the tokens that its state is of
        self.live: list[Sequence] = []

    @rule(stem=st.integers(0, 2), length=st.integers(1, 90), reserve=st.integers(0, 2))
    def admit(self, stem: int, length: int, reserve: int) -> None:
        tokens = random.Random(stem).choices(range(9), k=length)
        seq = make(self.memory, tokens)
        if self.memory.admit(seq, self.memory.match(seq), reserve):
            assert seq.computed < seq.length
            self.live.append(seq)
            self.seen(seq)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 99), size=st.integers(1, 40))
    def chunk(self, which: int, size: int) -> None:
        seq = self.live[which % len(self.live)]
        size = self.memory.until(seq, min(size, seq.length - seq.computed))
        if size and self.memory.grow(seq, seq.computed + size):
            self.write(seq, size)
            self.memory.advance(seq, size)
            self.seen(seq)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 99), token=st.integers(0, 8))
    def answer(self, which: int, token: int) -> None:
        seq = self.live[which % len(self.live)]
        if seq.computed == seq.length and seq.length < seq.limit:
            seq.append(token, None)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 99))
    def end(self, which: int) -> None:
        self.memory.release(self.live.pop(which % len(self.live)))

    @invariant()
    def balanced(self) -> None:
        self.memory.check()
        free, used, cached, total = self.memory.counts
        assert free + used + cached == total == 32
        if not self.live:
            assert used == 0

    def write(self, seq: Sequence, size: int) -> None:
        for position in range(seq.computed, seq.computed + size):
            for i, table in enumerate(seq.tables):
                page = int(table.pages[position // PAGE])
                assert page >= 0
                start = position // PAGE * PAGE
                self.content[i, page] = (start, tuple(seq.tokens[: position + 1].tolist()))
        self.states[seq.target] = tuple(seq.tokens[: seq.computed + size].tolist())

    def seen(self, seq: Sequence) -> None:
        """All that the next query looks at is what this sequence's tokens left there."""
        assert self.states[seq.slot] == tuple(seq.tokens[: seq.computed].tolist())
        for i, (table, layout) in enumerate(zip(seq.tables, self.memory.layouts, strict=True)):
            for j in range(first_seen(layout, seq.computed), pages_for(seq.computed)):
                known = tuple(seq.tokens[: min((j + 1) * PAGE, seq.computed)].tolist())
                assert self.content[i, int(table.pages[j])] == (j * PAGE, known)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=40, stateful_step_count=40, deadline=None, database=None)


def test_least_recently_used_page_goes_first() -> None:
    pool = PagePool(2)
    for key in (b"a", b"b"):
        page = pool.take()
        pool.publish(page, key)
        pool.release(page)
    pool.hold(pool.find(b"a") or 0)
    pool.release(pool.find(b"a") or 0)
    pool.take()
    assert pool.find(b"a") is not None
    assert pool.find(b"b") is None


def test_a_prompt_that_is_all_cached_still_computes_its_last_token() -> None:
    memory = Memory({FULL: 8})
    first = make(memory, list(range(32)))
    assert memory.admit(first, 0, 0)
    compute(memory, first, 32)
    assert memory.match(make(memory, list(range(32)))) == 1
    assert memory.match(make(memory, list(range(33)))) == 2
    assert memory.match(make(memory, [9, *range(1, 33)])) == 0


def test_window_needs_only_what_it_reaches() -> None:
    """The full layout remembers 5 pages, the window only the last two: enough for a hit at the end, not before."""
    memory = Memory({FULL: 8, SLIDING: 8})
    seq = make(memory, list(range(80)))
    assert memory.admit(seq, 0, 0)
    for _ in range(5):
        compute(memory, seq, 16)
    memory.release(seq)
    sliding = memory.pools[1]
    for _ in range(sliding.free + 3):  # others use up the pages that the window let go first
        sliding.take()
    assert sliding.cached == 2
    assert memory.match(make(memory, list(range(81)))) == 5
    assert memory.match(make(memory, list(range(70)))) == 0


def test_seeds_keep_models_apart() -> None:
    one, other = (Memory({FULL: 4}, seed=seed) for seed in (b"a", b"b"))
    assert one.keys(make(one, list(range(16))), 1) != other.keys(make(other, list(range(16))), 1)


def test_capacity() -> None:
    assert Memory({FULL: 4}).capacity(512) == 64
    assert Memory({SLIDING: 4}).capacity(512) == 64
    assert Memory({SLIDING: window_pages(24, 512)}).capacity(512) is None


def test_page_counts_fill_the_memory() -> None:
    mixed, limits = arch(Causal(), Window(size=24), Window(size=24)), replace(LIMITS, max_running=2, max_step_tokens=64)
    per_page = PAGE * 2 * 2 * 8 * 4  # two times G=2, K=8 in float32
    counts = {
        layout.reach: n for layout, n in page_counts(mixed, context=4096, memory=200 * per_page, number_bytes=4, limits=limits).items()
    }
    assert counts[24] == 2 * window_pages(24, 64)
    assert counts[None] == 200 - 2 * counts[24]
    with pytest.raises(TooLittleMemory, match="less than one page"):
        page_counts(mixed, context=4096, memory=per_page, number_bytes=4, limits=limits)
    roomy = page_counts(arch(Causal()), context=160, memory=1 << 40, number_bytes=4, limits=limits)
    assert list(roomy.values()) == [80]
