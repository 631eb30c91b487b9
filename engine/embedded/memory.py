"""Which pages a sequence holds, in every cache layout of a model, and which prompt prefixes are still remembered.

A page is named by a hash chained over all tokens up to its end, so equal keys mean equal content. A prefix counts as
remembered when every layout still has what the next token looks at: all pages, or those within the layout's reach.
"""

import os
from collections.abc import Iterator, Mapping
from hashlib import blake2b

from engine.embedded.page_pool import PAGE, PagePool
from engine.embedded.sequence import Sequence, Table
from models.spec import Paged


class Memory:
    def __init__(self, sizes: Mapping[Paged, int], *, seed: bytes | None = None) -> None:
        """`sizes`: pages per layout. `seed`: start of all hash chains; random by default, so that nobody can craft a
        prompt that collides with another's."""
        self.layouts = tuple(sizes)
        self.pools = tuple(PagePool(size) for size in sizes.values())
        self._seed = os.urandom(16) if seed is None else seed

    def capacity(self, step_tokens: int) -> int | None:
        """Tokens of the longest sequence that fits when it is alone; None when any does."""
        bounds = [pool.total * PAGE for layout, pool in self._all() if not _slides(layout, pool.total, step_tokens)]
        return min(bounds, default=None)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """free, used, cached, total; summed over layouts."""
        free, cached = sum(p.free for p in self.pools), sum(p.cached for p in self.pools)
        total = sum(p.total for p in self.pools)
        return free, total - free - cached, cached, total

    def tables(self, tokens: int) -> list[Table]:
        """Empty block tables for a sequence of at most `tokens`."""
        return [Table(pages_for(tokens)) for _ in self.layouts]

    def keys(self, seq: Sequence, pages: int) -> list[bytes]:
        """The sequence's keys, at least of its first `pages` pages, which must be known tokens."""
        keys = seq.keys
        while len(keys) < pages:
            start = len(keys) * PAGE
            tokens = seq.tokens[start : start + PAGE].tobytes()
            keys.append(blake2b((keys[-1] if keys else self._seed) + tokens, digest_size=16).digest())
        return keys

    def match(self, seq: Sequence) -> int:
        """How many leading pages need not be computed. At least one token is always left over."""
        n = (seq.length - 1) // PAGE
        keys = self.keys(seq, n)
        while (hole := self._hole(keys, n)) is not None:
            n = hole
        return n

    def admit(self, seq: Sequence, pages: int, reserve: int) -> bool:
        """Hold the `pages` remembered ones and take what the rest of the prompt needs, leaving `reserve` per layout
        for others. All or nothing."""
        hits = [self._hits(layout, pool, seq.keys, pages) for layout, pool in self._all()]
        for (layout, pool), found in zip(self._all(), hits, strict=True):
            needed = max(0, self._prompt_pages(layout, seq) - pages) + sum(map(pool.idle, found))
            if needed + reserve > pool.available:
                return False
        for i, found in enumerate(hits):
            self._enter(seq.tables[i], self.pools[i], found, pages)
        seq.computed = pages * PAGE
        seq.published = pages
        return self._extend(seq, [self._prompt_pages(layout, seq) for layout in self.layouts])

    def grow(self, seq: Sequence, tokens: int) -> bool:
        """Make room for the first `tokens` tokens in every layout, or change nothing and say no."""
        return self._extend(seq, [pages_for(tokens)] * len(self.pools))

    def settle(self, seq: Sequence) -> None:
        """After a step: name the pages that are full now, and give back those that nobody can see any more."""
        full = seq.computed // PAGE
        if full == seq.published:
            return
        keys = self.keys(seq, full)
        for (layout, pool), table in zip(self._all(), seq.tables, strict=True):
            for j in range(max(seq.published, table.first), full):
                pool.publish(int(table.pages[j]), keys[j])
            self._drop(table, pool, first_seen(layout, seq.computed))
        seq.published = full

    def release(self, seq: Sequence) -> None:
        """Give everything back, the end first: of a cached prefix its tail is forgotten first."""
        for table, pool in zip(seq.tables, self.pools, strict=True):
            for page in reversed(table.pages[table.first : table.end].tolist()):
                pool.release(page)
            table.clear()
        seq.computed = seq.room = seq.published = 0

    def check(self) -> None:
        for pool in self.pools:
            pool.check()

    def _all(self) -> Iterator[tuple[Paged, PagePool]]:
        return zip(self.layouts, self.pools, strict=True)

    def _hole(self, keys: list[bytes], n: int) -> int | None:
        """The last page that is missing for a prefix of n pages; no prefix that needs it can be used."""
        for layout, pool in self._all():
            for j in range(n - 1, first_seen(layout, n * PAGE) - 1, -1):
                if pool.find(keys[j]) is None:
                    return j
        return None

    def _hits(self, layout: Paged, pool: PagePool, keys: list[bytes], pages: int) -> list[int]:
        found = [pool.find(key) for key in keys[first_seen(layout, pages * PAGE) : pages]]
        return [page for page in found if page is not None]

    def _prompt_pages(self, layout: Paged, seq: Sequence) -> int:
        """Pages a sequence takes at once: windows take theirs chunk by chunk, as they slide."""
        return pages_for(seq.length) if layout.reach is None else 0

    def _enter(self, table: Table, pool: PagePool, found: list[int], end: int) -> None:
        for page in found:
            pool.hold(page)
        table.first, table.end = end - len(found), end
        table.pages[table.first : end] = found

    def _extend(self, seq: Sequence, ends: list[int]) -> bool:
        wanted = [max(0, end - table.end) for end, table in zip(ends, seq.tables, strict=True)]
        if any(n > pool.available for n, pool in zip(wanted, self.pools, strict=True)):
            return False
        for n, table, pool in zip(wanted, seq.tables, self.pools, strict=True):
            for _ in range(n):
                table.pages[table.end] = pool.take()
                table.end += 1
        seq.room = min(table.end for table in seq.tables) * PAGE
        return True

    def _drop(self, table: Table, pool: PagePool, first: int) -> None:
        while table.first < first:
            pool.release(int(table.pages[table.first]))
            table.pages[table.first] = -1
            table.first += 1


def pages_for(tokens: int) -> int:
    return -(-tokens // PAGE)


def first_seen(layout: Paged, position: int) -> int:
    """The first page that a query at `position`, or any later one, looks at."""
    return 0 if layout.reach is None else max(0, position - layout.reach + 1) // PAGE


def window_pages(reach: int, step_tokens: int) -> int:
    """The most pages one sequence can hold of a layout with a reach, when a step adds up to `step_tokens`."""
    return pages_for(reach + step_tokens) + 2


def _slides(layout: Paged, pages: int, step_tokens: int) -> bool:
    """Can a sequence of any length make do with so many pages?"""
    return layout.reach is not None and pages >= window_pages(layout.reach, step_tokens)
