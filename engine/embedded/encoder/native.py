"""Encoders on the compiled CPU kernels: matrices of bytes or bf16, attention in bf16, float32 in between. Sentences lie behind one another,
and a sentence's numbers do not depend on those beside it."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from engine.embedded.kernels import library as k
from engine.embedded.kernels.packing import Bytes, fits, pack_bytes
from engine.embedded.native.linear import PackedLinear, Table
from engine.embedded.native.ops import Kernels
from engine.embedded.native.supports import fitting, plain
from models.batch import Attend, Batch, Convolve, Cross, HeadUse, Latent, LocalGlobal, Lsh, Recurrence
from models.ops import Ops
from models.quant import Weight
from models.score_bias import PLAIN, Scoring
from models.spec import (
    Arch,
    Attention,
    Classifier,
    CrossAttention,
    Dense,
    Full,
    LatentAttention,
    Layer,
    LocalGlobalAttention,
    LongConv,
    LshAttention,
    MoE,
    Neighbourhood,
    Next,
    Pooled,
    Slot,
)


def supports_encoder(arch: Arch) -> bool:
    """Can every part of `arch` run on these kernels?"""
    match arch.output:
        case Next():
            return False
        case Pooled(layers=dense):
            head: tuple[Dense, ...] = dense[:-1]
        case Classifier(hidden=hidden):
            head = (hidden,)
    return (
        plain(arch)
        and arch.ngrams is None
        and fits(arch.dim)
        and fits(arch.embed_dim or arch.dim)
        and all(fits(layer.width) for layer in head)
        and all(map(_supported, arch.layers))
    )


def _supported(layer: Layer) -> bool:
    m = layer.mixer
    return (
        fitting(layer)
        and isinstance(m, Attention)
        and isinstance(m.mask, Full | Neighbourhood)
        and m.softcap is None
        and (m.scale is None or m.scale > 0)
    )


class ByteLinear(nn.Module):
    """x_TI -> y_TO with a matrix of bytes: half as large as in bf16 and more than half again as fast, and off by little more."""

    def __init__(self, kernels: Kernels, d_in: int, d_out: int, bias: bool) -> None:
        super().__init__()
        self.fields = {"weight": (d_out, d_in)} | ({"bias": (d_out,)} if bias else {})
        self.d_out, self._kernels = d_out, kernels
        self._weight: Bytes
        self._bias: Tensor | None = None

    def assign(self, field: str, value: Weight) -> None:
        dense = value if isinstance(value, Tensor) else value.dequantize()
        if field == "weight":
            self._weight = pack_bytes(dense, self._kernels.library.byte_range)
        else:
            self._bias = torch.cat([dense.float(), torch.zeros(-self.d_out % 16)])

    def forward(self, x_TI: Tensor) -> Tensor:
        y_TO = self._kernels.multiply(x_TI, self._weight, self._bias)
        return y_TO if y_TO.shape[1] == self.d_out else y_TO[:, : self.d_out]


class WholeAttention:
    """The leaf: every sentence looks at itself, in both directions. Remembers nothing."""

    def __init__(self, kernels: Kernels, spec: Attention) -> None:
        self._kernels, self._spec = kernels, spec
        self._distance = spec.mask.distance if isinstance(spec.mask, Neighbourhood) else 0

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
        spec, run, starts = self._spec, self._kernels.run, batch.starts_S1
        g, d, h = spec.kv_heads, spec.head_dim, spec.heads
        tokens, sentences = len(q_THK), len(starts) - 1
        blocks = tokens // k.PAGE + sentences + 1
        self._kernels.watch(starts[-1:])
        keys, values = (self._kernels.empty(g, blocks, k.PAGE, d, dtype=torch.bfloat16) for _ in range(2))
        strides = (k_TGK.stride(0), k_TGK.stride(1), v_TGK.stride(0), v_TGK.stride(1))
        run(k.ARRANGE, (k_TGK, v_TGK, starts, keys, values), (tokens, sentences, g, d, *strides, blocks))
        out_THK = self._kernels.empty(tokens, h, d)
        sizes = (tokens, sentences, h, g, d, q_THK.stride(0), q_THK.stride(1), blocks, self._distance)
        run(k.ATTEND_WHOLE, (q_THK, keys, values, starts, out_THK), sizes, (d**-0.5 if spec.scale is None else spec.scale,))
        return out_THK


class NativeEncoderBackend:
    """Implements models.batch.Backend for what `supports_encoder`."""

    def __init__(self, library: k.Library, bits: Literal[8, 16]) -> None:
        """`bits`: of a number in the layers' matrices. The head's are bf16: its work is little."""
        self._bits = bits
        self.kernels = kernels = Kernels(library)
        self.dtype = torch.float32
        self.ops = Ops(
            rms_norm=kernels.rms_norm,
            layer_norm=kernels.layer_norm,
            rotate=kernels.rotate,
            gated=kernels.gated,
            activate=kernels.activate,
            add=kernels.add,
            scale=kernels.scale,
        )

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        return Table(self.kernels, vocab, dim)

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: str = "column") -> nn.Module:
        if self._bits == 8 and d_in <= k.MAX_INPUTS and not name.startswith("head."):
            return ByteLinear(self.kernels, d_in, sum(d_outs), bias)
        return PackedLinear(self.kernels, d_in, sum(d_outs), bias, lambda weight: weight)

    def attend(self, name: str, spec: Attention) -> Attend:
        if not isinstance(spec.mask, Full | Neighbourhood):
            raise ValueError(f"{name}: an encoder looks in both directions, not {spec.mask}")
        return WholeAttention(self.kernels, spec)

    def cross(self, name: str, spec: CrossAttention) -> Cross:
        raise NotImplementedError(f"{name}: an encoder alone has no other one to look at")

    def per_head(self, name: str, heads: int, d_in: int, d_out: int, use: HeadUse) -> nn.Module:
        raise NotImplementedError(f"{name}: latent attention runs on the torch backend only")

    def latent(self, name: str, spec: LatentAttention) -> Latent:
        raise NotImplementedError(f"{name}: latent attention runs on the torch backend only")

    def local_global(self, name: str, spec: LocalGlobalAttention) -> LocalGlobal:
        raise NotImplementedError(f"{name}: attention with global tokens is an encoder's, which runs on its torch backend only")

    def recurrence(self, name: str, slot: Slot) -> Recurrence:
        raise NotImplementedError(f"{name}: states are a decoder's: an encoder reads whole texts")

    def lsh(self, name: str, spec: LshAttention) -> Lsh:
        raise NotImplementedError(f"{name}: hashed attention runs on the torch backend only")

    def convolve(self, name: str, spec: LongConv) -> Convolve:
        raise NotImplementedError(f"{name}: long convolutions look back: they are a decoder's")

    def experts(self, name: str, spec: MoE, dim: int) -> nn.Module:
        raise NotImplementedError(f"{name}: supports_encoder lets no mixture of experts through")
