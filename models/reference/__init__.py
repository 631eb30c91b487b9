"""The backend that remembers nothing: every sequence whole in one step, plain torch. Ground truth for all others."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import (
    Attend,
    Batch,
    Convolve,
    Cross,
    DeltaRows,
    Encoding,
    HeadUse,
    Latent,
    LatentUp,
    LinearRows,
    LocalGlobal,
    Lsh,
    Recurrence,
    Split,
)
from models.masks import ahead, log_count, may_see, through_hubs
from models.ops import Ops, activate, gated, wide
from models.quant import Stack, Weight, dense, each
from models.reference import recurrence
from models.reference.sparse import LocalGlobal as NaiveLocalGlobal
from models.reference.sparse import lsh
from models.score_bias import PLAIN, Scoring, scale_of, score_bias
from models.spec import (
    Attention,
    CrossAttention,
    Hubs,
    InputSigmoid,
    LatentAttention,
    LocalGlobalAttention,
    LongConv,
    LshAttention,
    MoE,
    Rope,
    Slot,
    rope_start,
)


class Linear(nn.Module):
    """x_TI -> y_TO with one dense weight_OI of `dtype`."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, d_in: int, d_out: int, bias: bool, dtype: torch.dtype) -> None:
        super().__init__()
        self.fields = {"weight": (d_out, d_in)} | ({"bias": (d_out,)} if bias else {})
        self.register_buffer("weight", torch.empty(d_out, d_in, dtype=dtype))
        self.register_buffer("bias", torch.empty(d_out, dtype=dtype) if bias else None)

    def assign(self, field: str, value: Weight) -> None:
        assign_dense(self, field, value)

    def forward(self, x_TI: Tensor) -> Tensor:
        return F.linear(x_TI, self.weight, self.bias)


class Embedding(nn.Module):
    """tokens_T -> x_TD with one dense weight_YD of `dtype`, which a tied head reads again."""

    weight: Tensor

    def __init__(self, vocab: int, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.fields = {"weight": (vocab, dim)}
        self.register_buffer("weight", torch.empty(vocab, dim, dtype=dtype))

    def assign(self, field: str, value: Weight) -> None:
        assign_dense(self, field, value)

    def forward(self, tokens_T: Tensor) -> Tensor:
        return F.embedding(tokens_T, self.weight)

    def logits(self, x_SD: Tensor) -> Tensor:
        return F.linear(x_SD, self.weight).float()


class Reference:
    """Accepts batches with cached_S == 0 only; needs no pages."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype, self.ops = dtype, Ops()

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        return Embedding(vocab, dim, self.dtype)

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: Split = "column") -> nn.Module:
        return Linear(d_in, sum(d_outs), bias, self.dtype)

    def attend(self, name: str, spec: Attention) -> Attend:
        def leaf(q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
            _whole(batch)
            ends = [None if batch.ends_T is None else batch.ends_T[r] for r, _ in batch.spans]
            hubs = batch.globals_T if isinstance(spec.mask, Hubs) else None
            each = ((r, end, None if hubs is None else hubs[r]) for (r, _), end in zip(batch.spans, ends, strict=True))
            parts = (attend(spec, q_THK[r], k_TGK[r], v_TGK[r], scoring, end, hubs_M) for r, end, hubs_M in each)
            return torch.cat(list(parts))

        return leaf

    def cross(self, name: str, spec: CrossAttention) -> Cross:
        return WholeCross(spec)

    def per_head(self, name: str, heads: int, d_in: int, d_out: int, use: HeadUse) -> nn.Module:
        return HeadMatrices(heads, d_in, d_out, self.dtype)

    def latent(self, name: str, spec: LatentAttention) -> Latent:
        def leaf(q_THN: Tensor, q_THP: Tensor, c_TR: Tensor, k_TP: Tensor, up: LatentUp, batch: Batch) -> Tensor:
            _whole(batch)
            q_THK, (k_THK, v_THV) = torch.cat([q_THN, q_THP], -1), expand(up, c_TR, k_TP)
            return torch.cat([attend(expanded(spec), q_THK[r], k_THK[r], v_THV[r]) for r, _ in batch.spans])

        return leaf

    def local_global(self, name: str, spec: LocalGlobalAttention) -> LocalGlobal:
        return NaiveLocalGlobal(spec)

    def recurrence(self, name: str, slot: Slot) -> Recurrence:
        return FromNothing(slot)

    def lsh(self, name: str, spec: LshAttention) -> Lsh:
        def leaf(qk_THK: Tensor, v_THK: Tensor, buckets_THR: Tensor, batch: Batch) -> Tensor:
            _whole(batch)
            return torch.cat([lsh(spec, qk_THK[r], v_THK[r], buckets_THR[r]) for r, _ in batch.spans])

        return leaf

    def convolve(self, name: str, spec: LongConv) -> Convolve:
        def leaf(u_TC: Tensor, taps_PC: Tensor, batch: Batch) -> Tensor:
            _whole(batch)
            return torch.cat([long_convolution(u_TC[r], taps_PC) for r, _ in batch.spans])

        return leaf

    def experts(self, name: str, spec: MoE, dim: int) -> nn.Module:
        return Experts(spec, dim, self.dtype)


class FromNothing:
    """Implements models.batch.Recurrence, for whole sequences."""

    def __init__(self, slot: Slot) -> None:
        self.shape = slot.shape

    def convolve(self, x_TC: Tensor, weight_CW: Tensor, bias_C: Tensor | None, batch: Batch) -> Tensor:
        _whole(batch)
        nothing_CJ = x_TC.new_zeros(self.shape)
        return torch.cat([recurrence.convolve(x_TC[r], weight_CW, bias_C, nothing_CJ)[0] for r, _ in batch.spans])

    def scan(self, x_TI: Tensor, step_TI: Tensor, a_IN: Tensor, b_TN: Tensor, c_TN: Tensor, batch: Batch) -> Tensor:
        _whole(batch)
        nothing_IN = wide(x_TI).new_zeros(self.shape)
        return torch.cat([recurrence.scan(x_TI[r], step_TI[r], a_IN, b_TN[r], c_TN[r], nothing_IN)[0] for r, _ in batch.spans])

    def recur(self, rows: LinearRows, batch: Batch) -> Tensor:
        _whole(batch)
        q_THK, k_THK, v_THV, decay_TH = rows.of_heads
        nothing_HKV = q_THK.new_zeros(self.shape)
        return torch.cat([recurrence.recur(q_THK[r], k_THK[r], v_THV[r], decay_TH[r], nothing_HKV)[0] for r, _ in batch.spans])

    def replace(self, rows: LinearRows, batch: Batch) -> Tensor:
        return self.delta(rows.replacing, batch)

    def delta(self, rows: DeltaRows, batch: Batch) -> Tensor:
        _whole(batch)
        nothing_HKV = wide(rows.q_THK).new_zeros(self.shape)
        return torch.cat([recurrence.delta(rows[r], nothing_HKV)[0] for r, _ in batch.spans])

    def diagonal(self, x_TC: Tensor, poles_CN: Tensor, residues_CN: Tensor, batch: Batch) -> Tensor:
        _whole(batch)
        nothing_CN2 = wide(x_TC).new_zeros(self.shape)
        return torch.cat([recurrence.diagonal(x_TC[r], poles_CN, residues_CN, nothing_CN2)[0] for r, _ in batch.spans])


def _whole(batch: Batch) -> None:
    if any(cached for _, cached in batch.spans):
        raise ValueError("the reference backend remembers nothing: give it whole sequences")


def long_convolution(u_QC: Tensor, taps_PC: Tensor) -> Tensor:
    """float32 y_QC: y_t is the sum of taps_{t - j} u_j."""
    u_QC, taps_PC = wide(u_QC), taps_PC.to(wide(u_QC).dtype)
    return torch.stack([(taps_PC[: t + 1].flip(0) * u_QC[: t + 1]).sum(0) for t in range(len(u_QC))])


def attend(
    spec: Attention,
    q_QHK: Tensor,
    k_MGK: Tensor,
    v_MGK: Tensor,
    scoring: Scoring = PLAIN,
    ends_Q: Tensor | None = None,
    hubs_M: Tensor | None = None,
) -> Tensor:
    """out_QHK, for the last Q of M tokens of one sequence; softmax in float32. ends_Q: as `Batch.ends_T`; hubs_M: which tokens are global,
    for the mask Hubs."""
    share = spec.heads // spec.kv_heads
    k_MHK, v_MHK = (wide(t.repeat_interleave(share, 1)) for t in (k_MGK, v_MGK))
    key_M = torch.arange(len(k_MGK), device=q_QHK.device)
    query_Q1 = key_M[len(k_MGK) - len(q_QHK) :, None]
    scores_HQM = torch.einsum("qhk,mhk->hqm", wide(q_QHK), k_MHK) * scale_of(spec)
    bias_1HQM = score_bias(
        spec, scoring.relative, wide(q_QHK.transpose(0, 1)[None]), wide(k_MGK.transpose(0, 1)[None]), query_Q1[None], key_M
    )
    if bias_1HQM is not None:
        scores_HQM = scores_HQM + bias_1HQM[0]
    if spec.softcap is not None:
        scores_HQM = (scores_HQM / spec.softcap).tanh() * spec.softcap
    if (bias_QM := log_count(spec.mask, query_Q1, key_M, len(key_M))) is not None:
        scores_HQM = scores_HQM + bias_QM
    if hubs_M is None:
        may = may_see(spec.mask, query_Q1, key_M[None], len(key_M))
    else:
        may = through_hubs(hubs_M[len(k_MGK) - len(q_QHK) :, None], hubs_M[None])
    if ends_Q is not None:
        may = may | ahead(query_Q1, key_M[None], ends_Q[:, None])
    scores_HQM = scores_HQM.masked_fill(~(may if may.dim() == 2 else may.repeat_interleave(share, 0)), -torch.inf)
    return torch.einsum("hqm,mhk->qhk", softmax(scores_HQM, scoring.sinks_H), v_MHK).to(q_QHK.dtype)


class WholeCross:
    """Implements models.batch.Cross where every sequence's input is read in this step."""

    def __init__(self, spec: CrossAttention) -> None:
        self.spec = spec

    def __call__(self, q_THK: Tensor, new: tuple[Tensor, Tensor] | None, batch: Batch) -> Tensor:
        _whole(batch)
        read = [self._read(new, batch, i) for i in range(len(batch.spans))]
        seen = [
            None if batch.crossing is None else batch.crossing[rows].may(len(k))
            for (rows, _), (k, _) in zip(batch.spans, read, strict=True)
        ]
        found = zip(batch.spans, read, seen, strict=True)
        return torch.cat([look(self.spec, q_THK[rows], k, v, may) for (rows, _), (k, v), may in found])

    def keys(self, new: tuple[Tensor, Tensor] | None, batch: Batch, sequence: int) -> Tensor:
        return self._read(new, batch, sequence)[0]

    def _read(self, new: tuple[Tensor, Tensor] | None, batch: Batch, sequence: int) -> tuple[Tensor, Tensor]:
        if new is None or batch.encoding is None or len(batch.encoding.batch.spans) != len(batch.spans):
            raise ValueError("the reference backend remembers nothing: give it the encoder's input of every sequence")
        rows, _ = batch.encoding.batch.spans[sequence]
        return new[0][rows], new[1][rows]


def look(spec: CrossAttention, q_QHK: Tensor, k_MGK: Tensor, v_MGK: Tensor, may_QM: Tensor | None = None) -> Tensor:
    """out_QHK, of one sequence whose encoder has read M rows, or of images that M were made of; softmax in float32."""
    k_MHK, v_MHK = (wide(t.repeat_interleave(spec.heads // spec.kv_heads, 1)) for t in (k_MGK, v_MGK))
    scores_HQM = torch.einsum("qhk,mhk->hqm", wide(q_QHK), k_MHK) * scale_of(spec.scores)
    if may_QM is not None:
        scores_HQM = scores_HQM.masked_fill(~may_QM, -torch.inf)
    return torch.einsum("hqm,mhk->qhk", scores_HQM.softmax(-1), v_MHK).to(q_QHK.dtype)


def softmax(scores_HQM: Tensor, sinks_H: Tensor | None) -> Tensor:
    """weights_HQM, with any leading axes. A sink takes part in the sum and gets a weight, but has no value."""
    if sinks_H is None:
        return scores_HQM.softmax(-1)
    sinks_HQ1 = sinks_H.to(scores_HQM.dtype)[:, None, None].expand(*scores_HQM.shape[:-1], 1)
    return torch.cat([scores_HQM, sinks_HQ1], -1).softmax(-1)[..., :-1]


class HeadMatrices(nn.Module):
    """Implements models.batch.HeadMatrices with one dense weight_HOI."""

    weight: Tensor

    def __init__(self, heads: int, d_in: int, d_out: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.fields = {"weight": (heads, d_out, d_in)}
        self.register_buffer("weight", torch.empty(heads, d_out, d_in, dtype=dtype))

    def assign(self, field: str, value: Weight) -> None:
        assign_dense(self, field, value)

    def all(self, x_TI: Tensor) -> Tensor:
        return F.linear(x_TI, self.weight.flatten(0, 1)).unflatten(1, self.weight.shape[:2])

    def each(self, x_THI: Tensor) -> Tensor:
        return torch.einsum("thi,hoi->tho", x_THI, self.weight)

    def back(self, y_THO: Tensor) -> Tensor:
        return torch.einsum("tho,hoi->thi", y_THO, self.weight)


def expand(up: LatentUp, c_MR: Tensor, k_MP: Tensor) -> tuple[Tensor, Tensor]:
    """Every head's keys_MHK (N without positions, then P shared) and values_MHV."""
    k_MHN = up.keys.all(c_MR)
    return torch.cat([k_MHN, k_MP[:, None].expand(-1, k_MHN.shape[1], -1)], -1), up.values.all(c_MR)


def expanded(spec: LatentAttention) -> Attention:
    """Latent attention as the ordinary one that it is once its keys and values are made."""
    k = spec.nope_dim + spec.rope_dim
    return Attention(heads=spec.heads, kv_heads=spec.heads, head_dim=k, mask=spec.mask, scale=latent_scale(spec))


def absorbed(spec: LatentAttention) -> Attention:
    """Latent attention in the latents' own space: one key and value head, whose keys are latent and rotary key, and whose
    values are the latent."""
    return replace(expanded(spec), kv_heads=1, head_dim=spec.kv_rank + spec.rope_dim)


def latent_scale(spec: LatentAttention) -> float:
    return (spec.nope_dim + spec.rope_dim) ** -0.5 if spec.scale is None else spec.scale


class Experts(nn.Module):
    """(x_TD, experts_TA, weights_TA) -> y_TD: the A chosen experts of each token, one after another, weighted and summed.
    up_EOD holds gate and up of an expert one behind the other (O = 2F; without a gate O = F), down_EDF brings them back."""

    def __init__(self, spec: MoE, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.spec, self.act, e, f = spec, gated if spec.gated else activate, spec.experts, spec.hidden
        up = 2 * f if spec.gated else f
        self.fields = {"up": (e, up, dim), "down": (e, dim, f)}
        if spec.bias:
            self.fields |= {"up_bias": (e, up), "down_bias": (e, dim)}
        for field, shape in self.fields.items():
            self.register_buffer(field, torch.empty(shape, dtype=dtype))

    def assign(self, field: str, value: Weight) -> None:
        assign_dense(self, field, value)

    def forward(self, x_TD: Tensor, experts_TA: Tensor, weights_TA: Tensor) -> Tensor:
        y_TD = torch.zeros_like(x_TD)
        for expert in experts_TA.unique().tolist():
            rows_N, slot_N = torch.where(experts_TA == expert)
            weight_N1 = weights_TA[rows_N, slot_N, None].to(x_TD.dtype)
            y_TD.index_add_(0, rows_N, self._weighted(expert, x_TD[rows_N], weight_N1))
        return y_TD

    def _weighted(self, expert: int, x_ND: Tensor, weight_N1: Tensor) -> Tensor:
        if isinstance(self.spec.router, InputSigmoid):
            return self._expert(expert, x_ND * weight_N1)
        return self._expert(expert, x_ND) * weight_N1

    def _expert(self, expert: int, x_ND: Tensor) -> Tensor:
        h_NO = F.linear(x_ND, self.get_buffer("up")[expert], self._bias("up_bias", expert))
        return F.linear(self.act(h_NO, self.spec.activation), self.get_buffer("down")[expert], self._bias("down_bias", expert))

    def _bias(self, field: str, expert: int) -> Tensor | None:
        return self.get_buffer(field)[expert] if self.spec.bias else None


def assign_dense(module: nn.Module, field: str, value: Weight) -> None:
    """Copy `value` into the module's tensor of that name, dequantized and cast to its dtype."""
    into = module.get_buffer(field)
    if not isinstance(value, Stack):
        into.copy_(dense(value))
        return
    for expert, part in enumerate(each(value)):
        into[expert] = dense(part)


def whole(
    lengths: Sequence[int],
    segments_T: Tensor | None = None,
    *,
    ropes: Sequence[Rope] = (),
    context: int = 0,
    inputs: Sequence[Tensor] | None = None,
) -> Batch:
    """The batch of sequences with these lengths, nothing cached and no pages. `ropes`: those of the model, built for
    `context` positions, whose angles depend on a sequence's length. `inputs`: what an encoder reads for each of them: tokens, or frames,
    two of which make one row."""
    starts = torch.tensor([0, *lengths]).cumsum(0).int()
    positions = torch.cat([torch.arange(n) for n in lengths])
    rotary = {rope: torch.cat([torch.arange(n) + rope_start(rope, context, n) for n in lengths]) for rope in ropes}
    cached = torch.zeros(len(lengths), dtype=torch.int32)
    encoding = None if inputs is None else Encoding(torch.cat(list(inputs)), whole([len(read) // read.dim() for read in inputs]))
    return Batch(positions, starts, cached, segments_T=segments_T, rotary_T=rotary, encoding=encoding)
