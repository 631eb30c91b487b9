"""A row that was learned looks at all rows of a sequence. S sequences, H heads, K head dimension, M rows of one sequence."""

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.ops import wide
from models.parts.ffn import FeedForward
from models.parts.norms import norm
from models.spec import Probe


class ProbePart(nn.Module):
    """(x_TD, batch) -> y_SD"""

    def __init__(self, name: str, spec: Probe, dim: int, backend: Backend) -> None:
        super().__init__()
        self.heads, self.ops = spec.heads, backend.ops
        self.row = nn.Parameter(torch.empty(dim, dtype=torch.float32), requires_grad=False)
        self.q = backend.linear(f"{name}.q", dim, (dim,), bias=True)
        self.kv = backend.linear(f"{name}.kv", dim, (dim, dim), bias=True)
        self.out = backend.linear(f"{name}.out", dim, (dim,), bias=True, split="row")
        self.norm = norm(spec.norm, dim, backend.ops)
        self.ffn = FeedForward(f"{name}.ffn", spec.ffn, dim, backend)

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        q_HK = wide(self.q(self.row[None].to(x_TD.dtype))).unflatten(1, (self.heads, -1))[0]
        k_THK, v_THK = wide(self.kv(x_TD)).unflatten(1, (2 * self.heads, -1)).chunk(2, 1)
        found_SD = torch.stack([_look(q_HK, k_THK[rows], v_THK[rows]) for rows, _ in batch.spans]).flatten(1)
        y_SD = self.out(found_SD.to(x_TD.dtype))
        return self.ops.add(y_SD, self.ffn(self.norm(y_SD), batch))


def _look(q_HK: Tensor, k_MHK: Tensor, v_MHK: Tensor) -> Tensor:
    """[H, K]"""
    scores_HM = torch.einsum("hk,mhk->hm", q_HK, k_MHK) * q_HK.shape[1] ** -0.5
    return torch.einsum("hm,mhk->hk", scores_HM.softmax(-1), v_MHK)
