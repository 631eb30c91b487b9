"""Memory that goes back to the system while nothing runs."""

import asyncio
import time
from dataclasses import replace
from mmap import PAGESIZE

import pytest
import torch

from engine.api import Request, Sampling
from engine.embedded.kernels.library import Library, levels
from engine.embedded.load import LoadedModel
from engine.embedded.memory.page_pool import PAGE
from engine.embedded.native.backend import NativeBackend
from engine.embedded.native.discard import LINUX, discard
from models.spec import Causal, Paged, Window, groups
from tests.engine.tiny import arch, collect, filled, loaded, running


@pytest.mark.skipif(not LINUX, reason="other systems have no MADV_DONTNEED")
@pytest.mark.parametrize("row", [1 << 10, 3 << 10, 1 << 13])
def test_pages_of_the_system_that_rows_fill_are_new(row: int) -> None:
    """Rows smaller than a page, across pages, and larger: nothing beside those named changes."""
    memory = torch.ones(64, row, dtype=torch.uint8)
    gone = [3, 4, 5, 6, 7, 20, 40, 41, 42, 43, 63]
    discard(memory, gone)
    kept = [i for i in range(64) if i not in gone]
    assert bool((memory[kept] == 1).all()) and bool((memory[gone] <= 1).all())
    assert int((memory[gone] == 0).sum()) >= (len(gone) * row - 8 * PAGESIZE)
    memory.fill_(2)
    assert bool((memory == 2).all())


def test_an_idle_engine_forgets_and_answers_alike() -> None:
    model = loaded(arch(Causal()))
    given = list[dict[Paged, list[int]]]()
    model = replace(model, limits=replace(model.limits, prefix_idle=0.05), discard=lambda pages: given.append(dict(pages)))
    prompt = tuple(range(1, 3 * PAGE))

    async def run(model: LoadedModel) -> None:
        async with running(model) as engine:
            request = Request(tokens=prompt, sampling=Sampling(max_tokens=4, temperature=0))
            first = await collect(engine, request)
            end = time.monotonic() + 30
            while engine.stats().pages_cached or not given:
                assert time.monotonic() < end
                await asyncio.sleep(0.02)
            again = await collect(engine, request)
            assert again.tokens == first.tokens and again.usage is not None and again.usage.cached == 0

    asyncio.run(run(model))
    assert any(pages for free in given for pages in free.values())


@pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")
def test_the_kernels_pages_are_given_back() -> None:
    library = Library.open(1)
    assert library is not None
    model = arch(Causal(), Window(size=20))
    backend = NativeBackend(library, dict.fromkeys(groups(model), 64))
    filled(model, backend)
    for leaf in backend.leaves.values():
        leaf.pages.keys_PGKT.fill_(1)
    backend.discard({layout: list(range(64)) for layout in groups(model) if layout.reach is None})
    causal, window = (leaf.pages.keys_PGKT for leaf in backend.leaves.values())
    assert bool((window == 1).all())
    assert int((causal != 0).sum()) <= (PAGESIZE if LINUX else causal.numel())  # two pages of it are not filled, of two bytes a number
