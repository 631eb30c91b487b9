"""Multi-head latent attention on the kernels (DeepSeek-V2, arXiv 2405.04434): latents in bf16 pages, and a matrix for each head.

Attention always runs in the latents' own space, for prompts too: keys and values made of the latents would round otherwise, and a token's
numbers would depend on how many came beside it, and so would what is found in the prefix cache. For each pair of tokens that
costs H * (2 R + P) multiply-adds instead of H * (N + P + V), at DeepSeek's sizes 3.4 times as many, but no step has to make keys and values
of all that is remembered, R * H * (N + V) for each token. Prompts in steps of Q tokens lose only where Q > R (N + V) / (2 R - N - V): 170.

T tokens, S sequences, H heads; R rank of the latent, N, P and V: dimensions of a head's key without positions, of the shared
rotary key, and of a value."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.embedded.kernels import library as k
from engine.embedded.kernels.packing import LANES, Packed, pack, pad_inputs
from engine.embedded.native.discard import discard
from engine.embedded.native.ops import Kernels
from models.batch import Batch, HeadUse, LatentUp
from models.quant import Weight
from models.reference import latent_scale
from models.spec import Causal, LatentAttention, Paged, Window


def fits_latent(m: LatentAttention) -> bool:
    """Whether there are kernels for its sizes and its mask."""
    return max(m.kv_rank + m.rope_dim, m.nope_dim) <= k.MAX_LATENT and isinstance(m.mask, Causal | Window)


class PackedHeads(nn.Module):
    """Implements models.batch.HeadMatrices but for `all`, and of `each` and `back` has the one that it was packed for."""

    def __init__(self, kernels: Kernels, heads: int, d_in: int, d_out: int, use: HeadUse, prepare: Callable[[Weight], Weight]) -> None:
        super().__init__()
        self.fields = {"weight": (heads, d_out, d_in)}
        self._kernels, self._use, self._prepare = kernels, use, prepare
        self._weight: Packed
        self._outputs = d_in if use == "back" else d_out

    def assign(self, field: str, value: Weight) -> None:
        weight_HOI = value if isinstance(value, Tensor) else value.dequantize()
        if self._use == "back":
            weight_HOI = weight_HOI.transpose(1, 2)
        filled_HOI = F.pad(weight_HOI, (0, 0, 0, -self._outputs % LANES))
        self._weight = pack(self._prepare(pad_inputs(filled_HOI.flatten(0, 1))))

    def packed(self, field: str) -> Packed | Tensor:
        return self._weight

    def restore(self, field: str, value: Packed | Tensor) -> None:
        assert isinstance(value, Packed)
        self._weight = value

    def all(self, x_TI: Tensor) -> Tensor:
        raise NotImplementedError("no latent is expanded here")

    def each(self, x_THI: Tensor) -> Tensor:
        return self._product("each", x_THI)

    def back(self, y_THO: Tensor) -> Tensor:
        return self._product("back", y_THO)

    def _product(self, use: HeadUse, x_THI: Tensor) -> Tensor:
        if use != self._use:
            raise NotImplementedError(f"these matrices were packed for {self._use!r}, not for {use!r}")
        (tokens, heads, _), weight = x_THI.shape, self._weight
        y_THO = self._kernels.empty(tokens, heads, self._outputs)
        row = self._kernels.library.row_bytes(weight.inputs, weight.format)
        sizes = (*x_THI.shape, weight.inputs, self._outputs, weight.format, row, x_THI.stride(0), x_THI.stride(1))
        self._kernels.run(k.EACH_HEAD, (x_THI, weight.data, weight.scales, y_THO), sizes)
        return y_THO


class PagedLatents:
    """The leaf: owns the pages of one layer and no weight. Latents and rotary keys behind one another, [P, page, R + P] in bf16."""

    def __init__(self, kernels: Kernels, spec: LatentAttention, pages: int, group: Paged) -> None:
        self._kernels, self._spec, self.group = kernels, spec, group
        # Fresh memory: the operating system gives pages when they are first written.
        self.latents_PTC = torch.empty(pages, k.PAGE, spec.kv_rank + spec.rope_dim, dtype=torch.bfloat16)

    def discard(self, pages: Sequence[int]) -> None:
        """Nothing that is in them is needed any more."""
        discard(self.latents_PTC, pages)

    def __call__(self, q_THN: Tensor, q_THP: Tensor, c_TR: Tensor, k_TP: Tensor, up: LatentUp, batch: Batch) -> Tensor:
        spec, run, table_SW = self._spec, self._kernels.run, batch.pages[self.group]
        h, r, p, (sequences, width), pitch = spec.heads, spec.kv_rank, spec.rope_dim, table_SW.shape, table_SW.stride(0)
        where = (self.latents_PTC, table_SW, batch.starts_S1, batch.cached_S)
        self._kernels.watch(batch.starts_S1[-1:])
        run(k.REMEMBER_LATENT, (c_TR, k_TP, *where), (sequences, r, p, pitch, c_TR.stride(0), k_TP.stride(0), len(c_TR)))
        q_THR = up.keys.back(q_THN)
        filled = -(-r // LANES) * LANES
        out_THR = self._kernels.empty(len(q_THR), h, filled)[..., :r]
        splits = -(-width * k.PAGE // k.SPLIT) if len(q_THR) == sequences else 0
        partial = self._kernels.empty(sequences * h, splits, 16 + filled) if splits else None
        sizes = (sequences, h, r, p, pitch, q_THP.stride(0), q_THP.stride(1), spec.mask.reach or 0, splits)
        run(k.ATTEND_LATENT, (q_THR, q_THP, *where, out_THR, partial), sizes, (latent_scale(spec),))
        if partial is not None:
            run(k.COMBINE_LATENT, (partial, batch.cached_S, out_THR), (sequences, h, r, splits))
        return up.values.each(out_THR)
