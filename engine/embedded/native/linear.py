"""Matrices in packed form, and tables as they are. I inputs, O outputs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.embedded.kernels.packing import Packed, pack, pad_inputs
from engine.embedded.native.ops import Kernels
from models.quant import Weight, dense


class PackedLinear(nn.Module):
    def __init__(self, kernels: Kernels, d_in: int, d_out: int, bias: bool, prepare: Callable[[Weight], Weight]) -> None:
        super().__init__()
        self.fields = {"weight": (d_out, d_in)} | ({"bias": (d_out,)} if bias else {})
        self.d_out, self._kernels, self._prepare = d_out, kernels, prepare
        self._weight: Packed
        self._bias: Tensor | None = None

    def assign(self, field: str, value: Weight) -> None:
        if field == "weight":
            self._weight = pack(self._prepare(pad_inputs(value)))
        elif isinstance(value, Tensor):
            missing = -self.d_out % 16
            self._bias = torch.cat([value.float(), torch.zeros(missing)])

    def packed(self, field: str) -> Packed | Tensor:
        if field == "weight":
            return self._weight
        assert self._bias is not None
        return self._bias

    def restore(self, field: str, value: Packed | Tensor) -> None:
        if isinstance(value, Packed):
            self._weight = value
        else:
            self._bias = value

    def forward(self, x_TI: Tensor) -> Tensor:
        y_TO = self._kernels.linear(x_TI, self._weight, self._bias)
        return y_TO if y_TO.shape[1] == self.d_out else y_TO[:, : self.d_out]


class PackedEmbedding(PackedLinear):
    """The tied head multiplies by the matrix that the embedding reads rows of."""

    def __init__(self, kernels: Kernels, vocab: int, dim: int, prepare: Callable[[Weight], Weight]) -> None:
        super().__init__(kernels, dim, vocab, False, prepare)
        self._dim = dim

    def forward(self, x_TI: Tensor) -> Tensor:
        return self._kernels.embed(x_TI, self._weight, self._dim)

    def logits(self, x_SD: Tensor) -> Tensor:
        return super().forward(x_SD)


class Table(nn.Module):
    """rows_T -> x_TD, float32. The table is read where the checkpoint left it, in float32 or bf16."""

    def __init__(self, kernels: Kernels, rows: int, dim: int) -> None:
        super().__init__()
        self.fields = {"weight": (rows, dim)}
        self._kernels = kernels
        self._table_YD: Tensor

    def assign(self, field: str, value: Weight) -> None:
        table = dense(value)
        self._table_YD = (table if table.dtype in (torch.float32, torch.bfloat16) else table.float()).contiguous()

    def packed(self, field: str) -> Packed | Tensor:
        return self._table_YD

    def restore(self, field: str, value: Packed | Tensor) -> None:
        assert isinstance(value, Tensor)
        self._table_YD = value

    def forward(self, rows_T: Tensor) -> Tensor:
        return self._kernels.rows(self._table_YD, rows_T)
