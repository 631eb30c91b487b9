"""Encoders in plain torch, on any device and in any dtype: the twin of native.py.

T tokens, S sentences, M tokens of the longest, H heads, G kv heads, K head dim.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.embedded.encoder.ring import RingAttention, RingLsh
from engine.embedded.encoder.sparse import BandedAttention, BlockAttention
from engine.embedded.on_torch.scores import attention
from models.batch import Attend, Batch, Convolve, Cross, HeadUse, Latent, LatentUp, LocalGlobal, Lsh, Recurrence
from models.masks import may_see, through_hubs
from models.ops import Ops
from models.reference import Embedding, Experts, HeadMatrices, Linear, expand, expanded
from models.score_bias import PLAIN, Scoring, score_bias
from models.spec import (
    Attention,
    BlockSparse,
    CrossAttention,
    Full,
    Hubs,
    LatentAttention,
    LocalGlobalAttention,
    LongConv,
    LshAttention,
    Mask,
    MoE,
    Ring,
    Rope,
    Slot,
)


class TorchEncoderBackend:
    """Implements models.batch.Backend for whole sequences, under any mask."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype, self.ops = device, dtype, Ops()
        self._squares = Squares()

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        return Embedding(vocab, dim, self.dtype).to(self.device)

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: str = "column") -> nn.Module:
        return Linear(d_in, sum(d_outs), bias, self.dtype).to(self.device)

    def attend(self, name: str, spec: Attention) -> Attend:
        match spec.mask:
            case BlockSparse() as mask:
                return BlockAttention(only_scaled(name, spec), mask)
            case Ring() as mask:
                return RingAttention(only_scaled(name, spec), mask)
            case _:
                return WholeAttention(spec, self._squares)

    def cross(self, name: str, spec: CrossAttention) -> Cross:
        raise NotImplementedError(f"{name}: an encoder alone has no other one to look at")

    def lsh(self, name: str, spec: LshAttention) -> Lsh:
        if not isinstance(spec.mask, Ring):
            raise ValueError(f"{name}: an encoder looks in both directions, not {spec.mask}")
        return RingLsh(spec, spec.mask)

    def local_global(self, name: str, spec: LocalGlobalAttention) -> LocalGlobal:
        return BandedAttention(spec)

    def per_head(self, name: str, heads: int, d_in: int, d_out: int, use: HeadUse) -> nn.Module:
        return HeadMatrices(heads, d_in, d_out, self.dtype).to(self.device)

    def latent(self, name: str, spec: LatentAttention) -> Latent:
        return WholeLatents(spec, self._squares)

    def recurrence(self, name: str, slot: Slot) -> Recurrence:
        raise NotImplementedError(f"{name}: states are a decoder's: an encoder reads whole texts")

    def convolve(self, name: str, spec: LongConv) -> Convolve:
        raise NotImplementedError(f"{name}: long convolutions look back: they are a decoder's")

    def experts(self, name: str, spec: MoE, dim: int) -> nn.Module:
        return Experts(spec, dim, self.dtype).to(self.device)


def only_scaled(name: str, spec: Attention) -> Attention:
    """The spec again. Raises ValueError where its scores are more than scaled: blocks of keys know no distances."""
    if spec.sinks or spec.softcap is not None or not (spec.position is None or isinstance(spec.position, Rope)):
        raise ValueError(f"{name}: {type(spec.mask).__name__} has no sinks, no softcap and no position but Rope")
    return spec


@dataclass(frozen=True, eq=False)
class Square:
    """A batch as sentences beside one another, padded. token_SM int64: which token stands there, any where none does; may_SGMM
    bool: may the query see the key (G is 1 unless heads see differently); sentence_T int64: where each token went."""

    token_SM: Tensor
    may_SGMM: Tensor
    sentence_T: Tensor


class Squares:
    """Computed by the first layer of each mask, used by the others."""

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._of: dict[Mask, Square] = {}

    def __call__(self, batch: Batch, mask: Mask) -> Square:
        if batch is not self._batch:
            self._batch, self._of = batch, {}
        if mask not in self._of:
            self._of[mask] = square(batch, mask)
        return self._of[mask]


def square(batch: Batch, mask: Mask) -> Square:
    starts_S1, tokens = batch.starts_S1.long(), len(batch.positions_T)
    length_S = starts_S1.diff()
    at_M = torch.arange(int(length_S.max()), device=starts_S1.device)
    inside_SM = at_M < length_S[:, None]
    may_SGMM = inside_SM[:, None, None, :].expand(-1, -1, len(at_M), -1)
    token_SM = (starts_S1[:-1, None] + at_M).clamp(max=tokens - 1)
    if isinstance(mask, Hubs):
        hub_SM = batch.globals_T[token_SM]
        may_SGMM = may_SGMM & through_hubs(hub_SM[:, None, :, None], hub_SM[:, None, None])
    elif not isinstance(mask, Full):
        may = may_see(mask, at_M[:, None], at_M[None])
        # a row of padding must see something, or its softmax is NaN
        may_SGMM = may_SGMM & (may if may.dim() == 3 else may[None]) | ~inside_SM[:, None, :, None]
    sentence_T = torch.searchsorted(starts_S1, torch.arange(tokens, device=starts_S1.device), right=True) - 1
    return Square(token_SM, may_SGMM, sentence_T)


class WholeAttention:
    """The leaf: every sentence looks at itself. Remembers nothing."""

    def __init__(self, spec: Attention, squares: Squares) -> None:
        self._spec, self._squares = spec, squares

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
        square, spec = self._squares(batch, self._spec.mask), self._spec
        q, k, v = (x[square.token_SM].transpose(1, 2) for x in (q_THK, k_TGK, v_TGK))
        at_M = torch.arange(q.shape[2], device=q.device)
        bias_SHMM = score_bias(spec, scoring.relative, q, k, at_M[None, :, None], at_M)
        may = square.may_SGMM
        may = may if may.shape[1] == 1 else may.repeat_interleave(spec.heads // spec.kv_heads, 1)
        out_SHMK = attention(spec, q, k, v, may, bias=bias_SHMM, sinks_H=scoring.sinks_H)
        return out_SHMK.transpose(1, 2)[square.sentence_T, batch.positions_T]


class WholeLatents:
    """The leaf of latent attention, with keys and values made of the latents: all are looked at once."""

    def __init__(self, spec: LatentAttention, squares: Squares) -> None:
        self._attend = WholeAttention(expanded(spec), squares)

    def __call__(self, q_THN: Tensor, q_THP: Tensor, c_TR: Tensor, k_TP: Tensor, up: LatentUp, batch: Batch) -> Tensor:
        k_THK, v_THV = expand(up, c_TR, k_TP)
        return self._attend(torch.cat([q_THN, q_THP], -1), k_THK, v_THV, batch)
