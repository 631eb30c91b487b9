"""Longformer's attention (Beltagy et al. 2020, arXiv 2004.05150). H heads, K head dimension, N global tokens of the step."""

from torch import Tensor, nn

from models.batch import Backend, Batch
from models.spec import LocalGlobalAttention


class LocalGlobalPart(nn.Module):
    """x_TD -> x_TD. `qkv` is of tokens that see their neighbours, and of global ones as those see them; `global_q` and
    `global_kv` are of what global tokens see."""

    def __init__(self, name: str, spec: LocalGlobalAttention, dim: int, backend: Backend) -> None:
        super().__init__()
        self.spec, width = spec, spec.heads * spec.head_dim
        self.qkv = backend.linear(f"{name}.qkv", dim, (width,) * 3, bias=spec.bias)
        self.global_q = backend.linear(f"{name}.global_q", dim, (width,), bias=spec.bias)
        self.global_kv = backend.linear(f"{name}.global_kv", dim, (width,) * 2, bias=spec.bias)
        self.attend = backend.local_global(name, spec)
        self.out = backend.linear(f"{name}.out", width, (dim,), bias=spec.out_bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        q_THK, k_THK, v_THK = self._heads(self.qkv(x_TD))
        out_THK = self.attend.near(q_THK, k_THK, v_THK, batch)
        row_N = batch.globals_T.nonzero()[:, 0]
        if len(row_N):
            k_THK, v_THK = self._heads(self.global_kv(x_TD))
            (q_NHK,) = self._heads(self.global_q(x_TD[row_N]))
            out_THK = out_THK.index_copy(0, row_N, self.attend.everywhere(q_NHK, k_THK, v_THK, batch))
        return self.out(out_THK.flatten(1))

    def _heads(self, y_TO: Tensor) -> tuple[Tensor, ...]:
        """One for each role that the matrix has."""
        return y_TO.unflatten(1, (-1, self.spec.heads, self.spec.head_dim)).unbind(1)
