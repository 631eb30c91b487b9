from itertools import pairwise

import numpy as np
import pytest
import torch

from engine.embedded.sequence import Chunk, Sequence
from engine.embedded.step.inputs import Inputs, Shape
from models.spec import Paged
from tests.engine.tiny import CPU, PLAIN, core, greedy, sequence

LAYOUT = Paged(per_token=((2, 8), (2, 8)))


def held(length: int, computed: int) -> Sequence:
    """A sequence that has its pages, and has computed some of its tokens."""
    engine = core(PLAIN)
    seq = sequence(engine, range(length), greedy(5))
    assert engine.memory.grow(seq, length)
    seq.computed = computed
    return seq


def test_chunks_of_any_length() -> None:
    inputs = Inputs(Shape(100, 4, 8), [LAYOUT], CPU)
    a, b = held(40, 33), held(20, 0)
    shape = inputs.fill([Chunk(a, 7), Chunk(b, 18)])
    assert shape == Shape(25, 2, 3)
    tokens_T, batch = inputs.batch(shape)
    assert tokens_T.tolist() == batch.positions_T.tolist() == [*range(33, 40), *range(18)]
    assert batch.starts_S1.tolist() == [0, 7, 25]
    assert batch.cached_S.tolist() == [33, 0]
    assert batch.pages[LAYOUT][:, :2].tolist() == [a.tables[0].pages[:2].tolist(), b.tables[0].pages[:2].tolist()]
    assert inputs.last([0, 1]).tolist() == [6, 24]
    assert inputs.last([1]).tolist() == [24]


def test_buffers_stay_where_they_are() -> None:
    inputs = Inputs(Shape(100, 4, 8), [LAYOUT], CPU)
    addresses = set()
    for chunks in ([Chunk(held(40, 0), 40)], [Chunk(held(40, 39), 1), Chunk(held(9, 8), 1)]):
        tokens_T, batch = inputs.batch(inputs.fill(chunks))
        tensors = (tokens_T, batch.positions_T, batch.starts_S1, batch.cached_S, batch.pages[LAYOUT])
        addresses.add(tuple(t.data_ptr() for t in tensors))
    assert len(addresses) == 1


@pytest.mark.parametrize("padded", [Shape(4, 4, 2), Shape(30, 4, 8)])
def test_padding_is_harmless(padded: Shape) -> None:
    """After a large step: whatever lies beyond a small one is an empty sequence without pages, at position 0."""
    inputs = Inputs(Shape(100, 4, 8), [LAYOUT], CPU)
    inputs.fill([Chunk(held(90, 30), 60), Chunk(held(40, 20), 20), Chunk(held(3, 0), 3)])
    inputs.fill([Chunk(held(10, 9), 1)])
    tokens_T, batch = inputs.batch(padded)
    assert tokens_T.tolist() == [9, *[0] * (padded.tokens - 1)]
    assert batch.positions_T.tolist() == [9, *[0] * (padded.tokens - 1)]
    assert [b - a for a, b in pairwise(batch.starts_S1.tolist())] == [1, 0, 0, 0]
    assert batch.cached_S.tolist() == [9, 0, 0, 0]
    assert torch.all(batch.pages[LAYOUT][1:] == -1)


def test_tables_know_freed_pages() -> None:
    inputs = Inputs(Shape(100, 4, 8), [LAYOUT], CPU)
    seq = held(60, 59)
    seq.tables[0].pages[:2] = -1
    seq.tables[0].first = 2
    _, batch = inputs.batch(inputs.fill([Chunk(seq, 1)]))
    assert batch.pages[LAYOUT][0].tolist() == np.array(seq.tables[0].pages[:4]).tolist()
