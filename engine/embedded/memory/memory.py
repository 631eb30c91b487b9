"""KV cache management: the pages each sequence holds in every cache layout of a model, and the prefix cache.

A page's key is a hash chained over all tokens up to its end, so equal keys mean equal content. From the first page on that is
not within a shared prefix the chain goes on with the owner's salt: no owner finds another's pages, neither by the count of cached
tokens nor by time. A prefix is cached if every layout still has the pages that the next token attends to: all of them, or those
within the layout's reach; and, for a model with states (states.py), if the one behind it is kept. Behind an encoder's input
(inputs.py) all chains begin with that input's key. A page on which an image lies has the image in its key; a prefix never ends
within tokens that see one another both ways, and no step does.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import takewhile

from engine.embedded.memory.inputs import InputPages
from engine.embedded.memory.page_pool import PAGE, PagePool
from engine.embedded.memory.states import States
from engine.embedded.sequence import Sequence, Table
from models.spec import Paged


class Memory:
    def __init__(self, sizes: Mapping[Paged, int], *, slots: int | None = None, seed: bytes | None = None) -> None:
        """`sizes`: pages per layout. `slots`: of states, if the model has any. `seed`: start of all hash chains; random by default, so
        that prompts with colliding keys cannot be crafted."""
        self.layouts = tuple(sizes)
        self.states = None if slots is None else States(slots)
        useless = None if self.states is None else self.states.pool.forget  # a state without its page is none that is found
        self.pools = tuple(PagePool(size, useless if layout.of == "self" else None) for layout, size in sizes.items())
        self._seed = os.urandom(16) if seed is None else seed
        self._own = tuple(i for i, layout in enumerate(self.layouts) if layout.of == "self")  # numbers of layouts that grow
        self.inputs = InputPages({i: pool for i, pool in enumerate(self.pools) if i not in self._own}, self._seed)

    def capacity(self, step_tokens: int) -> int | None:
        """Length in tokens of the longest sequence that fits on its own; None if unbounded."""
        bounds = [pool.total * PAGE for layout, pool in self._all() if not _slides(layout, pool.total, step_tokens)]
        return min(bounds, default=None)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Free, used, cached and total pages, summed over layouts."""
        return _counts(self.pools)

    @property
    def slot_counts(self) -> tuple[int, int, int, int]:
        """The same of slots."""
        return _counts(() if self.states is None else (self.states.pool,))

    def tables(self, tokens: int, inputs: int = 0) -> list[Table]:
        """Empty block tables for a sequence of at most `tokens`, whose encoder reads `inputs`."""
        return [Table(pages_for(tokens if layout.of == "self" else inputs)) for layout in self.layouts]

    def keys(self, seq: Sequence, pages: int) -> list[bytes]:
        """The sequence's page keys, extended to at least `pages`; the tokens of those pages must be known."""
        keys = seq.keys
        while len(keys) < pages:
            start = len(keys) * PAGE
            tokens = seq.tokens[start : start + PAGE].tobytes()
            salt = seq.salt if start + PAGE > seq.shared else b""
            before = keys[-1] if keys else self._seed + seq.angles + self.inputs.key(seq)
            keys.append(blake2b(before + tokens + _shown(seq, start), digest_size=16, salt=salt).digest())
        return keys

    def match(self, seq: Sequence) -> int:
        """Number of leading pages that are cached and need not be computed. At least one token is always left to compute."""
        n = seq.reusable // PAGE
        keys, n = self.keys(seq, n), _outside(seq, n)
        while (hole := self._hole(keys, n)) is not None:
            n = _outside(seq, hole)
        return n

    def admit(self, seq: Sequence, pages: int, reserve: int) -> bool:
        """Holds the `pages` cached pages and takes those for the rest of the prompt, leaving `reserve` pages per layout
        available, and those of its encoder's input. False: not enough pages, nothing changed."""
        hits = [self._hits(layout, pool, seq.keys, pages) for layout, pool in self._all()]
        for (layout, pool), found in zip(self._all(), hits, strict=True):
            needed = max(0, self._prompt_pages(layout, seq) - pages) + sum(map(pool.idle, found))
            if needed + reserve > pool.available:
                return False
        if self.states is not None and self.states.needed(seq.keys, pages) + reserve > self.states.pool.available:
            return False
        if not self.inputs.fits(seq):
            return False
        for i, found in zip(self._own, hits, strict=True):
            self._enter(seq.tables[i], self.pools[i], found, pages)
        self.inputs.enter(seq)
        if self.states is not None:
            self.states.enter(seq, pages)
        seq.computed = pages * PAGE
        seq.published = pages
        return self._extend(seq, [self._prompt_pages(layout, seq) for layout, _ in self._all()])

    def grow(self, seq: Sequence, tokens: int) -> bool:
        """Makes room for the first `tokens` tokens in every layout, and for the state behind them. False: there is not enough."""
        if self.states is not None and not self.states.prepare(seq):
            return False
        return self._extend(seq, [pages_for(tokens)] * len(self._own))

    def foresee(self, seq: Sequence, count: int, reserve: int) -> int:
        """How many guesses, of at most `count`, may follow the tokens known of a sequence that has grown to those: they take no page of
        the last `reserve` of a layout, and a state is not carried over the border of a page, where it is kept."""
        if self.states is not None:
            count = min(count, -(-seq.length // PAGE) * PAGE - seq.length)
            if count <= 0 or not self.states.branch(seq, reserve):
                return 0
        ends = pages_for(seq.length + count)
        if any(pool.available < ends - table.end + reserve for (_, pool), table in zip(self._all(), self._tables(seq), strict=True)):
            count = min(count, seq.room - seq.length)
        self._extend(seq, [pages_for(seq.length + count)] * len(self._own))
        return count

    def until(self, seq: Sequence, count: int) -> int:
        """How many of the next `count` tokens one step may compute."""
        for begin, end in seq.spans:
            if begin < seq.computed + count < end:
                count = (begin if begin > seq.computed else end) - seq.computed
        return count if self.states is None else self.states.until(seq, count)

    def advance(self, seq: Sequence, count: int) -> None:
        """After a step that computed `count` tokens: publishes newly filled pages and releases those outside the attention window of
        all later tokens."""
        seq.computed += count
        if self.states is not None:
            self.states.advance(seq)
            seq.room = seq.computed  # the next step's state needs its place
        full = seq.computed // PAGE
        if full == seq.published:
            return
        keys = self.keys(seq, full)
        if self.states is not None and seq.computed == full * PAGE:
            self.states.keep(seq, keys[full - 1])
        for (layout, pool), table in zip(self._all(), self._tables(seq), strict=True):
            for j in range(max(seq.published, table.first), full):
                pool.publish(int(table.pages[j]), keys[j])
            self._drop(table, pool, first_seen(layout, seq.computed))
        seq.published = full

    def settle(self, seq: Sequence, known: int, accepted: int, drafted: int) -> None:
        """After a step that computed `known` tokens and `drafted` guesses, of which the first `accepted` were right. What lies in pages
        of the others is written anew before anybody sees it; a state that has seen one is given up, and the next step computes the right
        ones again."""
        if self.states is None or accepted == drafted:
            seq.behind = 0
            self.advance(seq, known + accepted)
        else:
            self.states.undo(seq)
            seq.room = seq.computed
            seq.behind = seq.pending - 1

    def release(self, seq: Sequence) -> None:
        """Releases all pages, last first, so that the tail of a cached prefix is evicted before its head."""
        for table, pool in zip(seq.tables, self.pools, strict=True):
            for page in reversed(table.pages[table.first : table.end].tolist()):
                pool.release(page)
            table.clear()
        if self.states is not None:
            self.states.release(seq)
        seq.computed = seq.room = seq.published = seq.behind = 0
        seq.encoded = not seq.inputs

    def give_back(self, idle: float) -> dict[Paged, list[int]]:
        """Forgets what was cached and not used for `idle` seconds. Free pages whose memory may be taken away until they are used."""
        return {layout: pool.give_back(idle) for layout, pool in zip(self.layouts, self.pools, strict=True)}

    def check(self) -> None:
        for pool in self.pools:
            pool.check()
        if self.states is not None:
            self.states.pool.check()

    def _all(self) -> Iterator[tuple[Paged, PagePool]]:
        """The layouts that grow with the sequence."""
        return ((self.layouts[i], self.pools[i]) for i in self._own)

    def _tables(self, seq: Sequence) -> list[Table]:
        """Those of `_all`."""
        return [seq.tables[i] for i in self._own]

    def _hole(self, keys: list[bytes], n: int) -> int | None:
        """Index of the last page missing for a cached prefix of n pages; None if none is missing."""
        if self.states is not None and (behind := self.states.found(keys, n)) < n:
            return behind
        for layout, pool in self._all():
            for j in range(n - 1, first_seen(layout, n * PAGE) - 1, -1):
                if pool.find(keys[j]) is None:
                    return j
        return None

    def _hits(self, layout: Paged, pool: PagePool, keys: list[bytes], pages: int) -> list[int]:
        found = [pool.find(key) for key in keys[first_seen(layout, pages * PAGE) : pages]]
        return [page for page in found if page is not None]

    def _prompt_pages(self, layout: Paged, seq: Sequence) -> int:
        """Pages taken at admission: sliding-window layouts take theirs with each prefill chunk instead."""
        return pages_for(seq.length) if layout.reach is None else 0

    def _enter(self, table: Table, pool: PagePool, found: list[int], end: int) -> None:
        for page in found:
            pool.hold(page)
        table.first, table.end = end - len(found), end
        table.pages[table.first : end] = found

    def _extend(self, seq: Sequence, ends: list[int]) -> bool:
        tables, pools = self._tables(seq), [pool for _, pool in self._all()]
        wanted = [max(0, end - table.end) for end, table in zip(ends, tables, strict=True)]
        if any(n > pool.available for n, pool in zip(wanted, pools, strict=True)):
            return False
        for n, table, pool in zip(wanted, tables, pools, strict=True):
            for _ in range(n):
                table.pages[table.end] = pool.take()
                table.end += 1
        seq.room = min((table.end * PAGE for table in tables), default=seq.limit)
        return True

    def _drop(self, table: Table, pool: PagePool, first: int) -> None:
        while table.first < first:
            pool.release(int(table.pages[table.first]))
            table.pages[table.first] = -1
            table.first += 1


def _shown(seq: Sequence, start: int) -> bytes:
    """What stands for the images that lie on a page, besides their tokens, which are the same for all images."""
    lying = (placed for placed in seq.request.images if placed.at < start + PAGE and start < placed.at + placed.rows)
    return b"".join(placed.image.digest + (start - placed.at).to_bytes(8, signed=True) for placed in lying)


def _outside(seq: Sequence, pages: int) -> int:
    """At most so many pages that none of them ends within a span whose tokens see one another."""
    while span := next((span for span in seq.spans if span[0] < pages * PAGE < span[1]), None):
        pages = span[0] // PAGE
    return pages


def _counts(pools: Iterable[PagePool]) -> tuple[int, int, int, int]:
    free, cached, total = (sum(numbers) for numbers in zip((0, 0, 0), *((p.free, p.cached, p.total) for p in pools), strict=True))
    return free, total - free - cached, cached, total


def owner_salt(owner: str, salt: str = "") -> bytes:
    """Of what `owner` has cached, and of that only what was sent with the same `salt`; b"" for nobody and none."""
    known = f"{owner}/{salt}" if salt else owner
    return blake2b(known.encode(), digest_size=blake2b.SALT_SIZE).digest() if known else b""


def common_prefix(a: Iterable[int], b: Iterable[int]) -> int:
    """Number of leading tokens that are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def pages_for(tokens: int) -> int:
    return -(-tokens // PAGE)


def first_seen(layout: Paged, position: int) -> int:
    """Index of the first page that queries at `position` or later attend to."""
    return 0 if layout.reach is None else max(0, position - layout.reach + 1) // PAGE


def window_pages(reach: int, step_tokens: int) -> int:
    """Most pages a sequence can hold in a layout with this reach if a step adds up to `step_tokens` tokens."""
    return pages_for(reach + step_tokens) + 2


def _slides(layout: Paged, pages: int, step_tokens: int) -> bool:
    """Whether `pages` pages suffice for a sequence of any length."""
    return layout.reach is not None and pages >= window_pages(layout.reach, step_tokens)
