"""The in-memory store caches of a process, and their maintenance in background threads."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Lock, Thread

from retrieval.store.sqlite.cache import StoreCache, StoreChanges

MAX_CACHE_BYTES = 4 << 30  # bytes of vectors; above it, least recently used stores are evicted

_log = logging.getLogger(__name__)


class StoreCaches:
    """`load`: store key -> new cache read from the database, or None if the store is deleted."""

    def __init__(self, load: Callable[[int], StoreCache | None], hnsw_above: int) -> None:
        self._load, self._hnsw_above = load, hnsw_above
        self._caches: OrderedDict[int, StoreCache] = OrderedDict()  # least recently used first
        self._threads: dict[int, Thread] = {}
        self._lock, self._closed = Lock(), Event()

    @contextmanager
    def at(self, key: int, generation: int, changes: Callable[[int, bool], StoreChanges]) -> Generator[StoreCache]:
        with self._lock:
            cache = self._caches.setdefault(key, StoreCache())
            self._caches.move_to_end(key)
        known = cache.generation
        with cache.at(generation, changes):
            yield cache
        if known < generation:
            self._evict()
            self._maintain(key, cache)

    def clear(self) -> None:
        with self._lock:
            self._caches.clear()

    def forget(self, key: int) -> None:
        with self._lock:
            self._caches.pop(key, None)

    def close(self) -> None:
        """Waits for the background threads, which stop soon once closed."""
        self._closed.set()
        for thread in list(self._threads.values()):
            thread.join()

    def _evict(self) -> None:
        with self._lock:
            size = sum(cache.bytes for cache in self._caches.values())
            while size > MAX_CACHE_BYTES and len(self._caches) > 1:
                size -= self._caches.popitem(last=False)[1].bytes

    def _maintain(self, key: int, cache: StoreCache) -> None:
        if not self._needs_work(cache):
            return
        with self._lock:
            if key not in self._threads and not self._closed.is_set():
                self._threads[key] = Thread(target=self._work, args=(key,), name="index", daemon=True)
                self._threads[key].start()

    def _needs_work(self, cache: StoreCache) -> bool:
        return cache.needs_rebuild or cache.needs_graph(self._hnsw_above)

    def _work(self, key: int) -> None:
        """Repeats until nothing is to be done: more work may arise meanwhile."""
        try:
            while (cache := self._caches.get(key)) is not None and self._needs_work(cache) and not self._closed.is_set():
                self._rebuild(key, cache)
        except Exception:  # the old cache stays in use
            _log.exception("the index of a vector store could not be rebuilt")
        finally:
            with self._lock:
                del self._threads[key]

    def _rebuild(self, key: int, cache: StoreCache) -> None:
        fresh = self._load(key) if cache.needs_rebuild else cache
        if fresh is not None:
            fresh.grow(self._hnsw_above, lambda: not self._closed.is_set())
        with self._lock:
            if self._caches.get(key) is not cache:
                return
            if fresh is None:
                del self._caches[key]
            else:
                self._caches[key] = fresh
