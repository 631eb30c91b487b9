"""The pages of one cache layout: free, used (referenced by sequences) or cached (unreferenced, still available for prefix
hits). Holds page numbers only; the page contents belong to the backend.

Invariant: free + used + cached == total.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

PAGE = 16  # tokens


class PagePool:
    def __init__(self, total: int, evicted: Callable[[bytes], None] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`evicted` is told the key of each page that is not found any more because another takes its place."""
        self.total, self._evicted, self._clock = total, evicted, clock
        self._free = list(range(total - 1, -1, -1))
        self._references = [0] * total
        self._keys: list[bytes | None] = [None] * total
        self._page_of: dict[bytes, int] = {}
        self._cached: OrderedDict[int, float] = OrderedDict()  # and when they were released: least recently used first
        self._written = set[int]()  # that were taken since their memory was given back, if it ever was

    @property
    def free(self) -> int:
        return len(self._free)

    @property
    def cached(self) -> int:
        return len(self._cached)

    @property
    def used(self) -> int:
        return sum(count > 0 for count in self._references)

    @property
    def available(self) -> int:
        """Number of pages that `take` can still return."""
        return len(self._free) + len(self._cached)

    def find(self, key: bytes) -> int | None:
        return self._page_of.get(key)

    def private(self, page: int) -> bool:
        """Whether nobody but one holder reads it now, or can find it."""
        return self._keys[page] is None and self._references[page] == 1

    def forget(self, key: bytes) -> None:
        """The page of `key`, if it has one still, is not found any more."""
        page = self._page_of.pop(key, None)
        if page is None:
            return
        self._keys[page] = None
        if self._references[page] == 0:
            del self._cached[page]
            self._free.append(page)

    def idle(self, page: int) -> bool:
        """Whether the page is unreferenced, so that holding it reduces `available`."""
        return self._references[page] == 0

    def take(self) -> int:
        """Returns a page with undefined content and one reference, evicting a cached one if none is free. Needs `available` > 0."""
        page = self._free.pop() if self._free else self._evict()
        self._references[page] = 1
        self._written.add(page)
        return page

    def hold(self, page: int) -> None:
        """Adds a reference to a page returned by `find`."""
        if self._references[page] == 0:
            del self._cached[page]
        self._references[page] += 1

    def release(self, page: int) -> None:
        self._references[page] -= 1
        if self._references[page]:
            return
        if self._keys[page] is None:
            self._free.append(page)
        else:
            self._cached[page] = self._clock()

    def publish(self, page: int, key: bytes) -> None:
        """Makes a full, held page findable by `key`, the hash of all tokens up to its end. The first page with a key is kept."""
        if key not in self._page_of and self._keys[page] is None:
            self._page_of[key] = page
            self._keys[page] = key

    def give_back(self, idle: float) -> list[int]:
        """Forgets cached pages that nobody has used for `idle` seconds. Returns the free pages that hold memory, in order; they are taken
        for such that hold none from now on."""
        before = self._clock() - idle
        while self._cached and next(iter(self._cached.values())) <= before:
            self._free.append(self._evict())
        found = sorted(self._written.intersection(self._free))
        self._written.difference_update(found)
        return found

    def check(self) -> None:
        """Raises AssertionError if the bookkeeping is inconsistent."""
        used = {page for page, count in enumerate(self._references) if count > 0}
        free, cached = set(self._free), set(self._cached)
        assert len(free) == len(self._free), "a page is free twice"
        assert not used & free and not used & cached and not free & cached, "a page is in two places"
        assert len(used) + len(free) + len(cached) == self.total, "a page is lost"
        assert all(self._keys[page] is not None for page in cached), "a cached page that nothing can find"
        assert all(self._keys[page] == key for key, page in self._page_of.items()), "a key without its page"

    def _evict(self) -> int:
        page, _ = self._cached.popitem(last=False)
        key = self._keys[page]
        self._keys[page] = None
        if key is not None:
            del self._page_of[key]
            if self._evicted is not None:
                self._evicted(key)
        return page
