"""The backend with compiled CPU kernels: packed 4-bit, 8-bit and bf16 matrices, bf16 pages, float32 in between.

A row's numbers never depend on the rows beside it nor on how its prompt was cut into steps (see the kernels), so the
same request gives the same tokens in any company.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from engine.embedded.encoder.on_torch import TorchEncoderBackend
from engine.embedded.kernels import library as k
from engine.embedded.native.attention import PagedAttention, PagedCross
from engine.embedded.native.discard import trim
from engine.embedded.native.experts import PackedExperts, Routing
from engine.embedded.native.latent import PackedHeads, PagedLatents
from engine.embedded.native.linear import PackedEmbedding, PackedLinear, Table
from engine.embedded.native.ops import Kernels
from engine.embedded.native.states import SlotStates
from engine.embedded.native.supports import whole
from engine.embedded.native.whole import WholeAttention
from models.batch import Attend, Convolve, Cross, HeadUse, Latent, LocalGlobal, Lsh, Recurrence
from models.ops import Ops
from models.quant import Weight
from models.spec import (
    Attention,
    CrossAttention,
    LatentAttention,
    LocalGlobalAttention,
    LongConv,
    LshAttention,
    MoE,
    Paged,
    Slot,
    crossed,
)


class NativeBackend:
    """`pages`: how many pages each cache layout has, and `slots` for states. `prepare` may quantize a weight before it is packed."""

    def __init__(
        self, library: k.Library, pages: Mapping[Paged, int], prepare: Callable[[Weight], Weight] = lambda w: w, *, slots: int = 0
    ) -> None:
        self.kernels = kernels = Kernels(library)
        self._pages, self._slots, self._prepare, routing = pages, slots, prepare, Routing(kernels)
        self.dtype = torch.float32
        self.ops = Ops(
            rms_norm=kernels.rms_norm,
            layer_norm=kernels.layer_norm,
            rotate=kernels.rotate,
            gated=kernels.gated,
            activate=kernels.activate,
            rows=kernels.rows,
            add=kernels.add,
            add_scaled=kernels.add_scaled,
            product=kernels.product,
            softplus=kernels.softplus,
            sigmoid=kernels.sigmoid,
            scale=kernels.scale,
            softcap=kernels.softcap,
            clamp=kernels.clamp,
            heat=kernels.heat,
            score=routing.score,
            route=routing.route,
            open=routing.open,
        )
        self.leaves: dict[str, PagedAttention | PagedCross] = {}
        self._on_torch = TorchEncoderBackend(torch.device("cpu"), self.dtype)
        self.latents: dict[str, PagedLatents] = {}
        self.states: dict[str, SlotStates] = {}

    def discard(self, pages: Mapping[Paged, Sequence[int]]) -> None:
        """Memory of these pages, of which nothing is needed any more, and what else is free, goes back to the system."""
        for leaf in self.leaves.values():
            leaf.pages.discard(pages.get(leaf.group, ()))
        for latents in self.latents.values():
            latents.discard(pages.get(latents.group, ()))
        trim()

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        if name.endswith("positions"):
            return Table(self.kernels, vocab, dim)
        return PackedEmbedding(self.kernels, vocab, dim, self._prepare)

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: str = "column") -> nn.Module:
        return PackedLinear(self.kernels, d_in, sum(d_outs), bias, self._prepare)

    def attend(self, name: str, spec: Attention) -> Attend:
        if spec.mask.ahead != 0:  # in the encoder of an encoder-decoder, or in a tower
            return WholeAttention(self.kernels, spec) if whole(spec) else self._on_torch.attend(name, spec)
        group = Paged(per_token=((spec.kv_heads, spec.head_dim),) * 2, reach=spec.mask.reach)
        self.leaves[name] = leaf = PagedAttention(self.kernels, spec, self._pages[group], group)
        return leaf

    def cross(self, name: str, spec: CrossAttention) -> Cross:
        group = crossed(spec)
        self.leaves[name] = leaf = PagedCross(self.kernels, spec, self._pages[group], group)
        return leaf

    def per_head(self, name: str, heads: int, d_in: int, d_out: int, use: HeadUse) -> nn.Module:
        return PackedHeads(self.kernels, heads, d_in, d_out, use, self._prepare)

    def latent(self, name: str, spec: LatentAttention) -> Latent:
        group = Paged(per_token=((spec.kv_rank,), (spec.rope_dim,)), reach=spec.mask.reach)
        self.latents[name] = leaf = PagedLatents(self.kernels, spec, self._pages[group], group)
        return leaf

    def local_global(self, name: str, spec: LocalGlobalAttention) -> LocalGlobal:
        raise NotImplementedError(f"{name}: attention with global tokens is an encoder's, which runs on its torch backend only")

    def recurrence(self, name: str, slot: Slot) -> Recurrence:
        self.states[name] = leaf = SlotStates(self.kernels, slot, self._slots)
        return leaf

    def lsh(self, name: str, spec: LshAttention) -> Lsh:
        raise NotImplementedError(f"{name}: hashed attention runs on the torch backend only")

    def convolve(self, name: str, spec: LongConv) -> Convolve:
        raise NotImplementedError(f"{name}: long convolutions run on the torch backend only")

    def experts(self, name: str, spec: MoE, dim: int) -> nn.Module:
        return PackedExperts(self.kernels, spec, dim, self._prepare)
