"""A convolution over neighbouring tokens, once in a model. N tokens of the kernel."""

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.norms import norm
from models.spec import Ngrams


class NgramsPart(nn.Module):
    """(x_TD, e_TD, batch) -> norm(x + act(conv(e))), as one matrix over the rows of N neighbours side by side; those beyond a
    sequence's ends are zeros."""

    def __init__(self, name: str, spec: Ngrams, dim: int, backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops = spec, backend.ops
        self.conv = backend.linear(f"{name}.conv", spec.kernel * dim, (dim,), bias=True)
        self.norm = norm(spec.norm, dim, backend.ops)

    def forward(self, x_TD: Tensor, e_TD: Tensor, batch: Batch) -> Tensor:
        y_TD = self.conv(neighbours(e_TD, batch, self.spec.kernel))
        return self.norm(self.ops.add(x_TD, self.ops.activate(y_TD, self.spec.activation)))


def neighbours(e_TD: Tensor, batch: Batch, kernel: int) -> Tensor:
    """[T, N * D]"""
    tokens_T = torch.arange(len(e_TD), device=e_TD.device)
    sentence_T = torch.searchsorted(batch.starts_S1.long(), tokens_T, right=True) - 1
    length_T = batch.starts_S1.long().diff()[sentence_T]
    columns: list[Tensor] = []
    for offset in range(-(kernel // 2), kernel // 2 + 1):
        at_T = batch.positions_T + offset
        inside_T1 = ((at_T >= 0) & (at_T < length_T))[:, None]
        columns.append(e_TD[(tokens_T + offset).clamp(0, len(e_TD) - 1)].masked_fill(~inside_T1, 0))
    return torch.cat(columns, 1)
