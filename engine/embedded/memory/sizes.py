"""How many pages each cache layout gets, derived from the architecture before any module exists."""

from bisect import bisect_right
from math import prod

from engine.embedded.memory.memory import pages_for, window_pages
from engine.embedded.memory.page_pool import PAGE
from engine.embedded.scheduler import Limits
from models.describe import state_bytes
from models.spec import Arch, Paged, crossed_rows, groups

STATE_NUMBER = 4  # bytes: the compiled kernels keep all of a state in float32, torch some of it in less


class TooLittleMemory(ValueError):
    """The memory for K and V holds no sequence worth serving."""


def slot_count(arch: Arch, *, memory: int, limits: Limits) -> int | None:
    """Slots for the states of as many sequences as may run (each needs a second one now and then), and as many again that are
    kept; at most half of `memory` where there are pages too. None for a model without states."""
    size = state_bytes(arch, STATE_NUMBER)
    if not size:
        return None
    room = memory // 2 if groups(arch) else memory
    if room < 2 * size:
        raise TooLittleMemory(f"{memory} bytes hold no two states of a sequence: this model needs {size} bytes for one")
    return min(room // size, 4 * limits.max_running)


def page_counts(arch: Arch, *, context: int, memory: int, number_bytes: int, limits: Limits) -> dict[Paged, int]:
    """As many pages as `memory` bytes hold beside the slots, but no more than eight full contexts need. Layouts with a reach get what
    all running sequences can hold of them at once."""
    page_bytes = bytes_of_page(arch, number_bytes)
    memory -= (slot_count(arch, memory=memory, limits=limits) or 0) * state_bytes(arch, STATE_NUMBER)

    def need(pages: int) -> int:
        return sum(_pages(layout, pages, limits) * size for layout, size in page_bytes.items())

    longest = max(context, crossed_rows(arch)[1])
    pages = bisect_right(range(8 * pages_for(longest) + 1), memory, key=need) - 1
    if pages < 1:
        raise TooLittleMemory(f"{memory} bytes for K and V hold less than one page: this model needs {need(1)} bytes for {PAGE} tokens")
    return {layout: _pages(layout, pages, limits) for layout in page_bytes}


def bytes_of_page(arch: Arch, number_bytes: int) -> dict[Paged, int]:
    """Of each layout, in all its layers."""
    return {layout: PAGE * sum(map(prod, layout.per_token)) * number_bytes * len(layers) for layout, layers in groups(arch).items()}


def _pages(layout: Paged, pages: int, limits: Limits) -> int:
    """What one layout gets when the endless ones get `pages`."""
    if layout.reach is None:
        return pages
    return min(pages, limits.max_running * window_pages(layout.reach, limits.max_step_tokens))
