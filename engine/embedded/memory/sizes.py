"""How many pages each cache layout gets, derived from the architecture before any module exists."""

from bisect import bisect_right
from math import prod

from engine.embedded.memory.memory import pages_for, window_pages
from engine.embedded.memory.page_pool import PAGE
from engine.embedded.scheduler import Limits
from models.spec import Arch, Paged, groups


class TooLittleMemory(ValueError):
    """The memory for K and V holds no sequence worth serving."""


def page_counts(arch: Arch, *, context: int, memory: int, number_bytes: int, limits: Limits) -> dict[Paged, int]:
    """As many pages as `memory` bytes hold, but no more than eight full contexts need. Layouts with a reach get what
    all running sequences can hold of them at once."""
    page_bytes = {layout: PAGE * sum(map(prod, layout.per_token)) * number_bytes * len(layers) for layout, layers in groups(arch).items()}

    def need(pages: int) -> int:
        return sum(_pages(layout, pages, limits) * size for layout, size in page_bytes.items())

    pages = bisect_right(range(8 * pages_for(context) + 1), memory, key=need) - 1
    if pages < 1:
        raise TooLittleMemory(f"{memory} bytes for K and V hold less than one page: this model needs {need(1)} bytes for {PAGE} tokens")
    return {layout: _pages(layout, pages, limits) for layout in page_bytes}


def _pages(layout: Paged, pages: int, limits: Limits) -> int:
    """What one layout gets when the endless ones get `pages`."""
    if layout.reach is None:
        return pages
    return min(pages, limits.max_running * window_pages(layout.reach, limits.max_step_tokens))
