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


def say(memory: Memory, seq: Sequence, count: int) -> None:
    """Computes the sequence, token by token, with an answer of zeros."""
    for _ in range(count):
        compute(memory, seq, 1)
        seq.append(0, None)


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
        self.step(self.live[which % len(self.live)], size)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 99), stem=st.integers(0, 3), count=st.integers(1, 40))
    def answer(self, which: int, stem: int, count: int) -> None:
        """What others have in their prompts or say, too; or something else."""
        seq = self.live[which % len(self.live)]
        said = random.Random(stem).choices(range(9), k=seq.limit)
        while seq.computed == seq.length < seq.limit and count:
            seq.append(said[seq.length], None)
            self.step(seq, 1)
            count -= 1

    def step(self, seq: Sequence, size: int) -> None:
        size = self.memory.until(seq, min(size, seq.length - seq.computed))
        if size and self.memory.grow(seq, seq.computed + size):
            self.write(seq, size)
            self.memory.advance(seq, size)
            self.seen(seq)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 99))
    def end(self, which: int) -> None:
        self.memory.release(self.live.pop(which % len(self.live)))

    @invariant()
    def balanced(self) -> None:
        self.memory.check()
        free, used, cached, total = self.memory.counts
        assert free + used + cached == total == 32
        states = self.memory.states
        assert states is not None
        if not self.live:
            assert used == states.pool.used == 0
        for seq in self.live:
            assert self.states[seq.slot] == tuple(seq.tokens[: seq.computed].tolist())
            assert seq.target < 0 or seq.target == seq.slot or states.pool.private(seq.target)
        for key in states.pool._page_of:
            assert all(pool.find(key) is not None for pool in self.memory.pools)

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
        for i, (table, layout) in enumerate(zip(seq.tables, self.memory.layouts, strict=True)):
            for j in range(first_seen(layout, seq.computed), pages_for(seq.computed)):
                known = tuple(seq.tokens[: min((j + 1) * PAGE, seq.computed)].tolist())
                assert self.content[i, int(table.pages[j])] == (j * PAGE, known)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=40, stateful_step_count=40, deadline=None, database=None)


def test_a_state_that_two_begin_with_stays_as_it_is() -> None:
    """Also when the answer that left it has gone on and keeps another."""
    memory = Memory({}, slots=8, seed=b"")
    first = make(memory, [1], 40)
    say(memory, first, 16)
    others = [make(memory, first.tokens[:17].tolist()) for _ in range(2)]
    assert all(memory.admit(seq, memory.match(seq), 0) and seq.computed == PAGE for seq in others)
    say(memory, first, 16)
    assert memory.match(make(memory, first.tokens[:17].tolist())) == 0  # another is kept
    assert all(memory.grow(seq, 17) for seq in others)
    assert len({seq.slot for seq in others}) == 1 and len({first.slot, *(s for seq in others for s in (seq.slot, seq.target))}) == 4


def test_an_answer_does_not_forget_what_a_prompt_keeps() -> None:
    memory = Memory({}, slots=8, seed=b"")
    prompt = make(memory, [1] + [0] * PAGE)
    compute(memory, prompt, PAGE)
    say(memory, make(memory, [1], 40), 40)
    assert memory.match(prompt) == 1


def test_a_state_goes_with_its_page() -> None:
    memory = Memory({FULL: 4}, slots=8, seed=b"")
    first, other = make(memory, list(range(33))), make(memory, [9] * 33)
    for seq in (first, other):
        assert memory.admit(seq, 0, 0)
        for _ in range(2):
            compute(memory, seq, PAGE)
        memory.release(seq)
    assert memory.states is not None and memory.states.found(first.keys, 2) == memory.match(first) == 1


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


def test_what_was_long_unused_is_given_back() -> None:
    now = 0.0
    pool = PagePool(6, clock=lambda: now)
    old, young, held, plain = (pool.take() for _ in range(4))
    pool.publish(old, b"old")
    pool.publish(young, b"young")
    pool.release(old)
    pool.release(plain)
    now = 50.0
    pool.release(young)
    assert pool.give_back(60) == [plain] and pool.find(b"old") == old
    now = 61.0
    assert pool.give_back(60) == [old] and pool.find(b"old") is None and pool.find(b"young") == young
    assert pool.give_back(60) == [] and (pool.free, pool.cached, pool.used) == (4, 1, 1)
    pool.release(held)
    now = 200.0
    assert pool.give_back(60) == sorted([held, young])
    again = pool.take()
    pool.release(again)
    assert pool.give_back(60) == [again]
    pool.check()
