"""The backend in plain torch, on any device."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.embedded.encoder.on_torch import TorchEncoderBackend
from engine.embedded.on_torch.attention import PagedAttention
from engine.embedded.on_torch.convolution import PagedConvolution
from engine.embedded.on_torch.cross import PagedCross
from engine.embedded.on_torch.experts import GroupedExperts, may_group
from engine.embedded.on_torch.latent import PagedLatents
from engine.embedded.on_torch.linear import QuantizingLinear
from engine.embedded.on_torch.lsh import PagedLsh
from engine.embedded.on_torch.pages import Places, Storage, layout
from engine.recurrence.slot_states import SlotStates
from models.batch import Attend, Convolve, Cross, HeadUse, Latent, LocalGlobal, Lsh, Recurrence
from models.ops import Ops
from models.reference import Embedding, Experts, HeadMatrices, Linear
from models.spec import (
    Attention,
    CrossAttention,
    LatentAttention,
    Layer,
    LocalGlobalAttention,
    LongConv,
    LshAttention,
    MoE,
    Slot,
    Sorted,
    caches,
    crossed,
)


class TorchBackend:
    """Implements models.batch.Backend."""

    def __init__(self, storage: Storage) -> None:
        self.storage, self.dtype, self.ops = storage, storage.dtype, Ops()
        self._places, self._whole = Places(), TorchEncoderBackend(storage.device, storage.dtype)

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        return Embedding(vocab, dim, self.storage.dtype).to(self.storage.device)

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: str = "column") -> nn.Module:
        if self.storage.device.type == "cpu" and self.storage.dtype == torch.bfloat16:
            return QuantizingLinear(d_in, sum(d_outs), bias, self.storage.bits)
        return Linear(d_in, sum(d_outs), bias, self.storage.dtype).to(self.storage.device)

    def attend(self, name: str, spec: Attention) -> Attend:
        if not caches(Layer(mixer=spec, ffn=None)):  # in the encoder of an encoder-decoder
            return self._whole.attend(name, spec)
        return PagedAttention(spec, layout(spec), self.storage, self._places)

    def cross(self, name: str, spec: CrossAttention) -> Cross:
        return PagedCross(spec, crossed(spec), self.storage)

    def per_head(self, name: str, heads: int, d_in: int, d_out: int, use: HeadUse) -> nn.Module:
        return HeadMatrices(heads, d_in, d_out, self.storage.dtype).to(self.storage.device)

    def latent(self, name: str, spec: LatentAttention) -> Latent:
        return PagedLatents(spec, layout(spec), self.storage, self._places)

    def local_global(self, name: str, spec: LocalGlobalAttention) -> LocalGlobal:
        raise NotImplementedError(f"{name}: attention with global tokens is an encoder's: a decoder has not got yet what lies ahead")

    def recurrence(self, name: str, slot: Slot) -> Recurrence:
        return SlotStates(_slots(slot, self.storage))

    def lsh(self, name: str, spec: LshAttention) -> Lsh:
        if not isinstance(spec.mask, Sorted):
            raise NotImplementedError(f"{name}: hashed attention with {spec.mask} is an encoder's")
        return PagedLsh(spec, spec.mask, layout(spec), self.storage, self._places)

    def convolve(self, name: str, spec: LongConv) -> Convolve:
        return PagedConvolution(spec, layout(spec), self.storage, self._places)

    def experts(self, name: str, spec: MoE, dim: int) -> nn.Module:
        grouped = self.storage.device.type == "cuda" and may_group(spec, dim, self.storage.dtype)
        return (GroupedExperts if grouped else Experts)(spec, dim, self.storage.dtype).to(self.storage.device)


def _slots(slot: Slot, storage: Storage) -> Tensor:
    """[slots + 2, ...]. The last but one holds zeros, from which new sequences begin, and the last takes what padding writes."""
    slots = storage.slots or 0
    dtype = torch.promote_types(storage.dtype, torch.float32) if slot.wide else storage.dtype
    states = torch.zeros(slots + 2, *slot.shape, dtype=dtype, device=storage.device)
    if storage.fill_nan:
        states[:slots] = torch.nan
    return states
