"""Matrices in packed form. I inputs, O outputs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.embedded.kernels.packing import Packed, pack
from engine.embedded.native.ops import Kernels
from models.quant import Weight


class PackedLinear(nn.Module):
    def __init__(self, kernels: Kernels, d_in: int, d_out: int, bias: bool, prepare: Callable[[Weight], Weight]) -> None:
        super().__init__()
        self.fields = {"weight": (d_out, d_in)} | ({"bias": (d_out,)} if bias else {})
        self.d_out, self._kernels, self._prepare = d_out, kernels, prepare
        self._weight: Packed
        self._bias: Tensor | None = None

    def assign(self, field: str, value: Weight) -> None:
        if field == "weight":
            self._weight = pack(self._prepare(value))
        elif isinstance(value, Tensor):
            missing = -self.d_out % 16
            self._bias = torch.cat([value.float(), torch.zeros(missing)])

    def forward(self, x_TI: Tensor) -> Tensor:
        y_TO = self._kernels.linear(x_TI, self._weight, self._bias)
        return y_TO if y_TO.shape[1] == self.d_out else y_TO[:, : self.d_out]


class PackedEmbedding(PackedLinear):
    """The tied head multiplies by the matrix that the embedding reads rows of."""

    def __init__(self, kernels: Kernels, vocab: int, dim: int, prepare: Callable[[Weight], Weight]) -> None:
        super().__init__(kernels, dim, vocab, False, prepare)

    def forward(self, x_TI: Tensor) -> Tensor:
        return self._kernels.embed(x_TI, self._weight)

    def logits(self, x_SD: Tensor) -> Tensor:
        return super().forward(x_SD)
