"""Blocks that layers share, and what each layer that uses one adds to their matrices. R: rank of an adapter."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.ops import Ops
from models.parts.attention import AttentionPart
from models.parts.ffn import FeedForward
from models.parts.norms import norm
from models.spec import SharedBlock


class SharedBlockPart(nn.Module):
    """x_TD -> x_TD: ffn(norm(mixer(norm([x, e])))), where e are the embedding's rows. Its first matrices become `Adapted`."""

    def __init__(self, name: str, spec: SharedBlock, mixer: AttentionPart, dim: int, backend: Backend) -> None:
        super().__init__()
        self.norm1, self.mixer = norm(spec.norm, 2 * dim, backend.ops), mixer
        self.norm2, self.ffn = norm(spec.norm, dim, backend.ops), FeedForward(f"{name}.ffn", spec.ffn, dim, backend)
        up = (2 * spec.ffn.hidden if spec.ffn.gated else spec.ffn.hidden,)
        self.ffn.up = Adapted(self.ffn.up, Adapter(f"{name}.ffn.up.adapter", dim, up, spec.rank, backend), backend.ops)
        if spec.adapts_attention:
            h, g, k = spec.attention.heads, spec.attention.kv_heads, spec.attention.head_dim
            adapter = Adapter(f"{name}.mixer.qkv.adapter", 2 * dim, (h * k, g * k, g * k), spec.rank, backend)
            self.mixer.qkv = Adapted(self.mixer.qkv, adapter, backend.ops)

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        if batch.embedded_TD is None:
            raise ValueError("the batch has no rows of the embedding, which a shared block reads")
        y_TD = self.mixer(self.norm1(torch.cat([x_TD, batch.embedded_TD], -1)), batch)
        return self.ffn(self.norm2(y_TD), batch)


class Adapter(nn.Module):
    """x_TI -> y_TO: beside several matrices that read the same rows, for each a way of its own through R numbers."""

    def __init__(self, name: str, d_in: int, d_outs: Sequence[int], rank: int, backend: Backend) -> None:
        super().__init__()
        self.rank = rank
        self.down = backend.linear(f"{name}.down", d_in, (rank,) * len(d_outs))
        self.up = nn.ModuleList(backend.linear(f"{name}.up.{i}", rank, (d_out,)) for i, d_out in enumerate(d_outs))

    def forward(self, x_TI: Tensor) -> Tensor:
        ways = self.down(x_TI).split(self.rank, -1)
        return torch.cat([up(y_TR) for up, y_TR in zip(self.up, ways, strict=True)], -1)


class Adapted(nn.Module):
    """x_TI -> y_TO: a matrix that others use as well, and an adapter that they do not."""

    def __init__(self, shared: nn.Module, adapter: Adapter, ops: Ops) -> None:
        super().__init__()
        self.shared, self.adapter, self._ops = shared, adapter, ops

    def forward(self, x_TI: Tensor) -> Tensor:
        return self._ops.add(self.shared(x_TI), self.adapter(x_TI))
