"""Memory that goes back to the operating system while its addresses stay: madvise(2) with MADV_DONTNEED, on Linux alone."""

import ctypes
import mmap
import sys
from collections.abc import Iterator, Sequence
from functools import cache

from torch import Tensor

LINUX = sys.platform == "linux"


def discard(memory_P: Tensor, pages: Sequence[int]) -> None:
    """Forgets what is in those rows of a CPU tensor that fills its memory, as far as they fill pages of the system: reading one then gives
    zeros or what was there. `pages` ascend."""
    if not LINUX or not pages:
        return
    size = memory_P.stride(0) * memory_P.element_size()
    for first, end in _runs(pages):
        start = -(-(memory_P.data_ptr() + first * size) // mmap.PAGESIZE) * mmap.PAGESIZE
        stop = (memory_P.data_ptr() + end * size) // mmap.PAGESIZE * mmap.PAGESIZE
        if stop > start:
            _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), mmap.MADV_DONTNEED)


def trim() -> None:
    """What the heap has free goes back, too, where the C library can do that."""
    if LINUX and hasattr(_libc(), "malloc_trim"):
        _libc().malloc_trim(0)


def _runs(pages: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first, behind the last) of neighbours."""
    first = end = pages[0]
    for page in pages:
        if page > end:
            yield first, end
            first = page
        end = page + 1
    yield first, end


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
