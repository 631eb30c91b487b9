"""Sparse attention of encoders by blocks against the naive form, and what it keeps in memory."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from engine.embedded.encoder.on_torch import TorchEncoderBackend
from engine.embedded.encoder.sparse import BandedAttention, BlockAttention
from models.batch import Batch
from models.reference import Reference, whole
from models.reference.sparse import LocalGlobal
from models.spec import Alibi, Attention, BlockSparse, LocalGlobalAttention, Neighbourhood

LENGTHS = [3, 70, 1, 200, 33]
H, K = 3, 8


def heads(tokens: int, count: int = H) -> Tensor:
    return torch.randn(tokens, count, K)


def marked(lengths: list[int], share: float) -> Batch:
    """So many of the tokens global, some of them in a row."""
    batch = whole(lengths)
    return Batch(batch.positions_T, batch.starts_S1, batch.cached_S, marked_T=(torch.rand(sum(lengths)) < share).roll(1))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("distance", [1, 5, 40])
def test_bands(distance: int, share: float) -> None:
    spec = LocalGlobalAttention(heads=H, head_dim=K, mask=Neighbourhood(distance=distance))
    q, k, v = (heads(sum(LENGTHS)) for _ in range(3))
    batch = marked(LENGTHS, share)
    fast, naive = BandedAttention(spec), LocalGlobal(spec)
    torch.testing.assert_close(fast.near(q, k, v, batch), naive.near(q, k, v, batch))
    q_NHK = q[batch.globals_T]
    torch.testing.assert_close(fast.everywhere(q_NHK, k, v, batch), naive.everywhere(q_NHK, k, v, batch))


@pytest.mark.parametrize(("size", "random"), [(4, 1), (1, 2), (5, 0), (16, 3)])
def test_blocks(size: int, random: int) -> None:
    mask = BlockSparse(size=size, random=random)
    spec = Attention(heads=4, kv_heads=2, head_dim=K, mask=mask, scale=0.7)
    full = (5 + 2 * random) * size
    lengths = [*LENGTHS, full, full + 1]
    q, k, v = heads(sum(lengths), 4), heads(sum(lengths), 2), heads(sum(lengths), 2)
    want = Reference().attend("", spec)(q, k, v, whole(lengths))
    torch.testing.assert_close(BlockAttention(spec, mask)(q, k, v, whole(lengths)), want)


@pytest.mark.parametrize("more", [{"softcap": 1.0}, {"sinks": True}, {"position": Alibi()}])
def test_scores_that_blocks_cannot_make_are_refused(more: dict[str, Any]) -> None:
    spec = Attention(heads=2, kv_heads=2, head_dim=K, mask=BlockSparse(size=4, random=1), **more)
    with pytest.raises(ValueError, match="no sinks, no softcap and no position but Rope"):
        TorchEncoderBackend(torch.device("cpu"), torch.float32).attend("layers.0.mixer", spec)


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor has that is made inside."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for item in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(item, Tensor):
                self.numbers = max(self.numbers, item.numel())
        return made


def test_memory_grows_with_the_pattern() -> None:
    """Twice the text, twice the memory: nothing has a row and a column for each token."""
    near = BandedAttention(LocalGlobalAttention(heads=H, head_dim=K, mask=Neighbourhood(distance=16)))
    mask = BlockSparse(size=16, random=1)
    blocks = BlockAttention(Attention(heads=H, kv_heads=H, head_dim=K, mask=mask), mask)
    for tokens in (2048, 4096):
        q = heads(tokens)
        with Largest() as largest:
            near.near(q, q, q, marked([tokens], 1 / tokens))
            blocks(q, q, q, whole([tokens]))
        assert largest.numbers <= 6 * tokens * H * K
