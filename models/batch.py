"""What one forward step sees (`Batch`), and what a model may ask of whoever runs it (`Backend`).

Tokens of all sequences of a step lie behind one another (flat, no batch axis): sequence s owns rows
starts[s]:starts[s+1]. Parameters are the model's, memory is the backend's: a leaf from `Backend.attend` owns
pages and no weight; a leaf from `Backend.linear` owns a weight and no memory.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from models.ops import Ops, wide
from models.quant import Weight
from models.score_bias import PLAIN, Scoring
from models.spec import Attention, CrossAttention, LatentAttention, LocalGlobalAttention, LongConv, LshAttention, MoE, Paged, Rope, Slot


@dataclass(frozen=True, eq=False)
class Slots:
    """int32 [S]: where each sequence's state is read, and where it is written. Nothing cached: a slot that holds zeros."""

    read_S: Tensor
    write_S: Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """positions_T int64; starts_S1 int32 [S+1]; cached_S int32: tokens of each sequence remembered before this step;
    pages: per cache layout the block table int32 [S, W], entry j holding tokens j*page..(j+1)*page-1 (-1: freed or
    not yet needed); segments_T int64: kinds of the tokens, for models that have several (None: all are 0). All on the
    model's device. rotary_T int64: rows of a RoPE's table for the tokens, where they are not their positions (models.spec.rope_start).
    marked_T bool: the tokens that `Arch.global_tokens` speaks of; None: there are none.
    grids: of images in place of sequences of tokens, how many lines and columns of patches each has.
    places_AT int64: where the tokens stand, for rotary positions of several coordinates (models.spec.rope_turns); None: each has its
    position for all of them. image_rows: those of images that stand in the places of some tokens. ends_T int64: for each token the last
    position that it sees of those that come behind it, or its own; None: all see what their masks say.
    embedded_TD: what went into the first layer, where a later one reads it, too (set by the decoder).
    Of an encoder-decoder, inputs_S int32: rows of the input that each sequence's encoder has read, or reads in this step; encoding:
    the inputs that it reads in this step, None where all sequences' are remembered; crossing: which rows of its input each token looks at,
    None: at all of them; looks: what is to be told of how it looks at them.
    watcher: is told what attention and routers do; None: nobody is."""

    positions_T: Tensor
    starts_S1: Tensor
    cached_S: Tensor
    pages: Mapping[Paged, Tensor] = field(default_factory=dict[Paged, Tensor])
    segments_T: Tensor | None = None
    rotary_T: Mapping[Rope, Tensor] = field(default_factory=dict[Rope, Tensor])
    slots: Slots | None = None
    marked_T: Tensor | None = None
    grids: tuple[tuple[int, int], ...] = ()
    places_AT: Tensor | None = None
    image_rows: "ImageRows | None" = None
    ends_T: Tensor | None = None
    embedded_TD: Tensor | None = None
    inputs_S: Tensor | None = None
    crossing: "Crossing | None" = None
    encoding: "Encoding | None" = None
    looks: tuple["Look", ...] = ()
    watcher: "Watcher | None" = None

    @cached_property
    def turns(self) -> dict[Rope, Tensor]:
        """What rotary parts have made of places_AT."""
        return {}

    @cached_property
    def globals_T(self) -> Tensor:
        """bool: which tokens see all of their sequence and are seen by all of it."""
        return torch.zeros_like(self.positions_T, dtype=torch.bool) if self.marked_T is None else self.marked_T

    @cached_property
    def inputs(self) -> list[int]:
        """inputs_S, where there are any. Synchronises with the device."""
        return [] if self.inputs_S is None else self.inputs_S.tolist()

    @cached_property
    def spans(self) -> list[tuple[slice, int]]:
        """Per sequence: its rows in this step, and how many tokens came before them. Synchronises with the device."""
        starts, cached = self.starts_S1.tolist(), self.cached_S.tolist()
        return [(slice(a, b), c) for a, b, c in zip(starts, starts[1:], cached, strict=False)]


@dataclass(frozen=True, eq=False)
class Encoding:
    """Inputs of some of a step's sequences, in their order, which an encoder reads whole. read: int64 [T] tokens, or float32 [F, C] the
    frames of all, None where they are images that have been read already (`rows_TD`); batch: where their rows lie, nothing cached, and the
    block tables that the rows' keys and values are written by. rows_TD: what the encoder's last norm returned (set by the decoder)."""

    read: Tensor | None
    batch: Batch
    rows_TD: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Crossing:
    """Of tokens that look at rows of images: first_T and end_T int64, which rows of its sequence's input each one looks at (none, where
    that has no images); behind_T bool: whether there is an image at the token or before it."""

    first_T: Tensor
    end_T: Tensor
    behind_T: Tensor

    def __getitem__(self, rows: slice) -> "Crossing":
        return Crossing(self.first_T[rows], self.end_T[rows], self.behind_T[rows])

    @property
    def looks_T(self) -> Tensor:
        """bool: which tokens look at anything."""
        return self.end_T > self.first_T

    def may(self, rows: int) -> Tensor:
        """bool [T, M]: whether a token looks at each of an input's rows."""
        at_M = torch.arange(rows, device=self.first_T.device)
        return (at_M >= self.first_T[:, None]) & (at_M < self.end_T[:, None])


@dataclass(frozen=True, eq=False)
class ImageRows:
    """Rows made of images: at_N int64, which of the step's tokens they stand for; rows_ND; deep: what is added to them behind each of the
    first layers."""

    at_N: Tensor
    rows_ND: Tensor
    deep: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class Look:
    """Asks what share of its attention each token of one of the step's sequences gives each row of its encoder's input. heads: for each
    part (by its name) that is asked, the numbers of heads; tell: is told the part's name and float32 [N, T, M], for N heads, the tokens of
    this step and M rows."""

    sequence: int
    heads: Mapping[str, tuple[int, ...]]
    tell: Callable[[str, Tensor], None]


class Watcher(Protocol):
    """Is told by parts (by their names) what they do, while they do it."""

    def attention(self, part: str, spec: Attention, q_THK: Tensor, k_TGK: Tensor, scoring: Scoring) -> None:
        """What an attention looks with, and at: as `Attend` gets them."""
        ...

    def latent(self, part: str, spec: LatentAttention, q: tuple[Tensor, Tensor], k: tuple[Tensor, Tensor], up: "LatentUp") -> None:
        """What a latent attention looks with, q_THN and q_THP, and at, c_TR and k_TP: as `Latent` gets them."""
        ...

    def routed(self, part: str, spec: MoE, experts_TA: Tensor, weights_TA: Tensor) -> None:
        """Which experts a router has chosen."""
        ...


class Attend(Protocol):
    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
        """out_THK. Remembers k and v, then lets q look at all that its mask allows. With a mask that looks ahead it
        remembers nothing: every sequence of the batch is whole, cached_S is 0. Inputs may be strided views whose last
        axis is contiguous; rows of q are queries after RoPE and QK norm."""
        ...


class Cross(Protocol):
    def __call__(self, q_THK: Tensor, new: tuple[Tensor, Tensor] | None, batch: Batch) -> Tensor:
        """out_THK. Remembers `new`, the keys and values [T, G, K] of the rows of `batch.encoding` where there is one, then lets every
        query look at all that its sequence's encoder has left behind, in this step or an earlier one, or at what `batch.crossing` says.
        What comes out for one that looks at nothing may be anything."""
        ...

    def keys(self, new: tuple[Tensor, Tensor] | None, batch: Batch, sequence: int) -> Tensor:
        """k_MGK of the M rows that one sequence of the batch looks at, once it has been called with the same."""
        ...


class LocalGlobal(Protocol):
    """Whole sequences, of which nothing is remembered. N: the step's global tokens, in order (`Batch.globals_T`)."""

    def near(self, q_THK: Tensor, k_THK: Tensor, v_THK: Tensor, batch: Batch) -> Tensor:
        """out_THK: every token looks at those that the mask allows, and at its sequence's global ones."""
        ...

    def everywhere(self, q_NHK: Tensor, k_THK: Tensor, v_THK: Tensor, batch: Batch) -> Tensor:
        """out_NHK: the global tokens look at all of their sequence."""
        ...


class Lsh(Protocol):
    def __call__(self, qk_THK: Tensor, v_THK: Tensor, buckets_THR: Tensor, batch: Batch) -> Tensor:
        """out_THK. With a `Sorted` mask it remembers qk, v and buckets, of which R rounds name one each for a token and
        head, then lets qk look, as queries, at the keys made of qk (models.parts.lsh.keys_of); with `Ring` sequences are
        whole."""
        ...


class Convolve(Protocol):
    def __call__(self, u_TC: Tensor, taps_PC: Tensor, batch: Batch) -> Tensor:
        """float32 y_TC: each channel's own convolution over its sequence so far, the first tap being for the token itself. Remembers u.
        There are as many taps as a sequence may have tokens."""
        ...


HeadUse = Literal["each", "back"]
Split = Literal["column", "row", "whole"]


class HeadMatrices(Protocol):
    """What `Backend.per_head` returns, besides being an nn.Module and a Leaf: a matrix for each head, weight_HOI."""

    def all(self, x_TI: Tensor) -> Tensor:
        """y_THO: every head's of the same row."""
        ...

    def each(self, x_THI: Tensor) -> Tensor:
        """y_THO: every head's of its own row."""
        ...

    def back(self, y_THO: Tensor) -> Tensor:
        """x_THI: every head's transpose, of its own row."""
        ...


@dataclass(frozen=True)
class LatentUp:
    """From latents to each head's keys (N) and values (V)."""

    keys: HeadMatrices
    values: HeadMatrices


class Latent(Protocol):
    def __call__(self, q_THN: Tensor, q_THP: Tensor, c_TR: Tensor, k_TP: Tensor, up: LatentUp, batch: Batch) -> Tensor:
        """out_THV. Remembers the latents c and the rotary keys k, then lets q look at all that the mask allows: with keys
        and values made of the latents, or in the latents' own space."""
        ...


@dataclass(frozen=True, eq=False)
class DeltaRows:
    """What each token does to a head's state S_KV under the generalized delta rule: S becomes diag(exp(decay)) S + b (a^T S) + k v^T,
    and is then read along q. decay_THK is float32, 0 at most, and may have one number for all channels of a head (K = 1)."""

    q_THK: Tensor
    k_THK: Tensor
    v_THV: Tensor
    decay_THK: Tensor
    a_THK: Tensor
    b_THK: Tensor

    def __getitem__(self, rows: slice) -> "DeltaRows":
        return self.each(lambda t: t[rows])

    def each(self, change: Callable[[Tensor], Tensor]) -> "DeltaRows":
        return DeltaRows(**{field.name: change(getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True, eq=False)
class LinearRows:
    """What each token does to a head's state S_KV in linear attention with decay: S becomes exp(decay) S + share k v^T, and is then read
    along q. Queries and keys are those of G groups of heads; decay_TH is float32, 0 at most. No shares: all of v is taken in."""

    q_TGK: Tensor
    k_TGK: Tensor
    v_THV: Tensor
    decay_TH: Tensor
    share_TH: Tensor | None = None

    @property
    def of_heads(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """q_THK, k_THK, v_THV and decay_TH of the definition (models.reference.recurrence.recur), in float32 at least."""
        each = self.v_THV.shape[1] // self.q_TGK.shape[1]
        q_THK, k_THK = (wide(t).repeat_interleave(each, 1) for t in (self.q_TGK, self.k_TGK))
        v_THV = wide(self.v_THV)
        return q_THK, k_THK, v_THV if self.share_TH is None else v_THV * self.share_TH[..., None], self.decay_TH

    @property
    def replacing(self) -> "DeltaRows":
        """The gated delta rule (arXiv 2412.06464): a share of what the state holds for the key is replaced by the value."""
        q_THK, k_THK, v_THV, decay_TH = self.of_heads
        share_TH = torch.ones_like(decay_TH) if self.share_TH is None else self.share_TH
        return DeltaRows(q_THK, k_THK, v_THV, decay_TH[..., None], -(share_TH * decay_TH.exp())[..., None] * k_THK, k_THK)


class Recurrence(Protocol):
    """Remembers a state of constant size; a part uses one of these, each of which is defined in models/reference/recurrence.py."""

    def convolve(self, x_TC: Tensor, weight_CW: Tensor, bias_C: Tensor | None, batch: Batch) -> Tensor:
        """y_TC: each channel's own convolution over a token and the W - 1 before it."""
        ...

    def scan(self, x_TI: Tensor, step_TI: Tensor, a_IN: Tensor, b_TN: Tensor, c_TN: Tensor, batch: Batch) -> Tensor:
        """float32 y_TI"""
        ...

    def recur(self, rows: LinearRows, batch: Batch) -> Tensor:
        """float32 o_THV"""
        ...

    def replace(self, rows: LinearRows, batch: Batch) -> Tensor:
        """float32 o_THV: `delta` of what `rows.replacing` says."""
        ...

    def delta(self, rows: DeltaRows, batch: Batch) -> Tensor:
        """float32 o_THV"""
        ...

    def diagonal(self, x_TC: Tensor, poles_CN: Tensor, residues_CN: Tensor, batch: Batch) -> Tensor:
        """float32 y_TC; poles and residues are complex."""
        ...


class Leaf(Protocol):
    """What `Backend.linear` and `Backend.embedding` return, besides being an nn.Module: an owner of weights."""

    @property
    def fields(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each tensor that must be assigned: {"weight": (O, I)}, and "bias": (O,) where it has one."""
        ...

    def assign(self, field: str, value: Weight) -> None:
        """Called once for each of `fields`, with the right shape. The leaf may keep `value` in whatever form it likes."""
        ...


class Embedding(Protocol):
    """An nn.Module and a Leaf that owns weight_YD."""

    def __call__(self, tokens_T: Tensor) -> Tensor: ...  # x_TD
    def logits(self, x_SD: Tensor) -> Tensor: ...  # float32 logits_SY, for tied heads


class Backend(Protocol):
    @property
    def ops(self) -> Ops: ...

    @property
    def dtype(self) -> torch.dtype:
        """Of the rows that parts hand on."""
        ...

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        """A module that is also an `Embedding`."""
        ...

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: Split = "column") -> nn.Module:
        """x_TI -> y_TO with O = sum(d_outs): several matrices that read the same input, as one. `split` says how
        tensor parallelism may cut it: "column" (outputs), "row" (inputs) or not at all. The module is also a `Leaf`."""
        ...

    def attend(self, name: str, spec: Attention) -> Attend: ...

    def cross(self, name: str, spec: CrossAttention) -> Cross: ...

    def per_head(self, name: str, heads: int, d_in: int, d_out: int, use: HeadUse) -> nn.Module:
        """A module that is also `HeadMatrices`; its one field is "weight" [H, O, I]. `use`: which of the two will be asked of it
        besides `all`, so that the matrices may be kept in the order that it reads them."""
        ...

    def latent(self, name: str, spec: LatentAttention) -> Latent: ...

    def local_global(self, name: str, spec: LocalGlobalAttention) -> LocalGlobal: ...

    def recurrence(self, name: str, slot: Slot) -> Recurrence: ...

    def lsh(self, name: str, spec: LshAttention) -> Lsh: ...

    def convolve(self, name: str, spec: LongConv) -> Convolve:
        """One of the layer's long convolutions."""
        ...

    def experts(self, name: str, spec: MoE, dim: int) -> nn.Module:
        """(x_TD, experts_TA, weights_TA) -> y_TD: the chosen experts of each token, weighted and summed. The module is also a `Leaf`,
        with "up" [E, 2F, D] (gate before up; without a gate [E, F, D]), "down" [E, D, F], and "up_bias", "down_bias" if it has any."""
        ...
