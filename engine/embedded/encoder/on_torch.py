"""Encoders in plain torch, on any device and in any dtype: the twin of native.py.

T tokens, S sentences, M tokens of the longest, H heads, G kv heads, K head dim.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.embedded.encoder.sparse import BandedAttention, BlockAttention
from engine.embedded.on_torch.scores import attention
from models.batch import Attend, Batch, Latent, LocalGlobal
from models.ops import Ops
from models.reference import Embedding, Experts, Linear
from models.spec import Alibi, Attention, BlockSparse, Full, LatentAttention, LocalGlobalAttention, Mask, MoE, Neighbourhood


class TorchEncoderBackend:
    """Implements models.batch.Backend for masks that look in both directions."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype, self.ops = device, dtype, Ops()
        self._squares = Squares()

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        return Embedding(vocab, dim, self.dtype).to(self.device)

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: str = "column") -> nn.Module:
        return Linear(d_in, sum(d_outs), bias, self.dtype).to(self.device)

    def attend(self, name: str, spec: Attention) -> Attend:
        if isinstance(spec.position, Alibi) or spec.sinks:
            raise ValueError(f"{name}: an encoder's attention has no {'sinks' if spec.sinks else 'ALiBi'} yet")
        match spec.mask:
            case Full() | Neighbourhood():
                return WholeAttention(spec, self._squares)
            case BlockSparse() as mask:
                return BlockAttention(spec, mask)
            case mask:
                raise ValueError(f"{name}: an encoder looks in both directions, not {mask}")

    def local_global(self, name: str, spec: LocalGlobalAttention) -> LocalGlobal:
        return BandedAttention(spec)

    def per_head(self, name: str, heads: int, d_in: int, d_out: int) -> nn.Module:
        raise NotImplementedError(f"{name}: latent attention runs on the torch backend only")

    def latent(self, name: str, spec: LatentAttention) -> Latent:
        raise NotImplementedError(f"{name}: latent attention runs on the torch backend only")

    def experts(self, name: str, spec: MoE, dim: int) -> nn.Module:
        return Experts(spec, dim, self.dtype).to(self.device)


class Squares:
    """A batch as sentences beside one another, padded: computed by the first layer of each mask, used by the others."""

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._of: dict[Mask, tuple[Tensor, Tensor]] = {}

    def __call__(self, batch: Batch, mask: Mask) -> tuple[Tensor, Tensor]:
        """(token_SM int64: which token stands there, any where none does; may_SMM bool [S, 1, M, M]: may the query see the key)"""
        if batch is not self._batch:
            self._batch, self._of = batch, {}
        if mask not in self._of:
            self._of[mask] = squares(batch, mask)
        return self._of[mask]


def squares(batch: Batch, mask: Mask) -> tuple[Tensor, Tensor]:
    starts_S1 = batch.starts_S1.long()
    length_S = starts_S1.diff()
    at_M = torch.arange(int(length_S.max()), device=starts_S1.device)
    token_SM = (starts_S1[:-1, None] + at_M).clamp(max=len(batch.positions_T) - 1)
    may = (at_M < length_S[:, None])[:, None, None, :].expand(-1, -1, len(at_M), -1)
    if isinstance(mask, Neighbourhood):
        # a row of padding must see something, or its softmax is NaN
        near_MM = (at_M[:, None] - at_M).abs() <= mask.distance
        may = may & near_MM | ~(at_M < length_S[:, None])[:, None, :, None]
    return token_SM, may


class WholeAttention:
    """The leaf: every sentence looks at itself, in both directions. Remembers nothing."""

    def __init__(self, spec: Attention, squares: Squares) -> None:
        self._spec, self._squares = spec, squares

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, sinks_H: Tensor | None = None) -> Tensor:
        token_SM, may = self._squares(batch, self._spec.mask)
        q, k, v = (x[token_SM].transpose(1, 2) for x in (q_THK, k_TGK, v_TGK))
        out_SMHK = attention(self._spec, q, k, v, may).transpose(1, 2)
        starts = batch.starts_S1.long()
        sentence_T = torch.searchsorted(starts, torch.arange(len(q_THK), device=starts.device), right=True) - 1
        return out_SMHK[sentence_T, batch.positions_T]
