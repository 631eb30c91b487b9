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
from engine.embedded.native.supports import plain, whole
from engine.embedded.native.whole import WholeAttention
from models.batch import Attend, Convolve, Cross, HeadUse, Latent, LocalGlobal, Lsh, Recurrence
from models.ops import Ops
from models.quant import Weight
from models.reference import Linear
from models.spec import (
    MLP,
    Arch,
    Attention,
    CrossAttention,
    Denoised,
    Full,
    LatentAttention,
    Layer,
    LocalGlobalAttention,
    LongConv,
    LshAttention,
    MoE,
    Neighbourhood,
    Next,
    Probe,
    Slot,
)


def supports_encoder(arch: Arch) -> bool:
    """Can every part of `arch` run on these kernels?"""
    if isinstance(arch.output, Next | Denoised):
        return False
    head = arch.output.layers[:-1]
    return (
        plain(arch)
        and (not isinstance(arch.output.pooling, Probe) or fits(arch.output.pooling.ffn.hidden))
        and arch.ngrams is None
        and fits(arch.dim)
        and fits(arch.embed_dim or arch.dim)
        and all(fits(layer.width) for layer in head)
        and all(map(_supported, arch.layers))
    )


def _supported(layer: Layer) -> bool:
    m, ffn = layer.mixer, layer.ffn
    return isinstance(m, Attention) and whole(m) and fits(m.heads * m.head_dim) and isinstance(ffn, MLP) and fits(ffn.hidden)


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
            rows=kernels.rows,
            add=kernels.add,
            scale=kernels.scale,
        )

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        return Table(self.kernels, vocab, dim)

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: str = "column") -> nn.Module:
        if not fits(d_in):  # the patches of images: one small matrix
            return Linear(d_in, sum(d_outs), bias, self.dtype)
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
