"""The backend that remembers nothing: every sequence whole in one step, plain torch. Ground truth for all others."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Attend, Batch
from models.ops import Ops
from models.quant import Grouped, Weight
from models.spec import Attention


class Linear(nn.Module):
    """x_TI -> y_TO with one dense weight_OI of `dtype`."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, d_in: int, d_out: int, bias: bool, dtype: torch.dtype) -> None:
        super().__init__()
        self.fields = {"weight": (d_out, d_in)} | ({"bias": (d_out,)} if bias else {})
        self.register_buffer("weight", torch.empty(d_out, d_in, dtype=dtype))
        self.register_buffer("bias", torch.empty(d_out, dtype=dtype) if bias else None)

    def assign(self, field: str, value: Weight) -> None:
        assign_dense(self, field, value)

    def forward(self, x_TI: Tensor) -> Tensor:
        return F.linear(x_TI, self.weight, self.bias)


class Embedding(nn.Module):
    """tokens_T -> x_TD with one dense weight_YD of `dtype`, which a tied head reads again."""

    weight: Tensor

    def __init__(self, vocab: int, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.fields = {"weight": (vocab, dim)}
        self.register_buffer("weight", torch.empty(vocab, dim, dtype=dtype))

    def assign(self, field: str, value: Weight) -> None:
        assign_dense(self, field, value)

    def forward(self, tokens_T: Tensor) -> Tensor:
        return F.embedding(tokens_T, self.weight)

    def logits(self, x_SD: Tensor) -> Tensor:
        return F.linear(x_SD, self.weight).float()


class Reference:
    """Accepts batches with cached_S == 0 only; needs no pages."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype, self.ops = dtype, Ops()

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        return Embedding(vocab, dim, self.dtype)

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: str = "column") -> nn.Module:
        return Linear(d_in, sum(d_outs), bias, self.dtype)

    def attend(self, name: str, spec: Attention) -> Attend:
        def leaf(q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch) -> Tensor:
            if any(cached for _, cached in batch.spans):
                raise ValueError("the reference backend remembers nothing: give it whole sequences")
            return torch.cat([attend(spec, q_THK[r], k_TGK[r], v_TGK[r]) for r, _ in batch.spans])

        return leaf


def attend(spec: Attention, q_QHK: Tensor, k_MGK: Tensor, v_MGK: Tensor) -> Tensor:
    """out_QHK, for the last Q of M tokens of one sequence; softmax in float32."""
    share = spec.heads // spec.kv_heads
    k_MHK, v_MHK = (t.repeat_interleave(share, 1).float() for t in (k_MGK, v_MGK))
    scale = spec.head_dim**-0.5 if spec.scale is None else spec.scale
    scores_HQM = torch.einsum("qhk,mhk->hqm", q_QHK.float(), k_MHK) * scale
    if spec.softcap is not None:
        scores_HQM = (scores_HQM / spec.softcap).tanh() * spec.softcap
    hidden_QM = ~visible(len(q_QHK), len(k_MGK), spec.mask.reach, q_QHK.device, spec.mask.ahead)
    weights_HQM = scores_HQM.masked_fill(hidden_QM, -torch.inf).softmax(-1)
    return torch.einsum("hqm,mhk->qhk", weights_HQM, v_MHK).to(q_QHK.dtype)


def visible(queries: int, keys: int, reach: int | None, device: torch.device, ahead: int | None = 0) -> Tensor:
    """bool [Q, M]: may the query see the key? The queries are the last of the keys' positions; `reach` and `ahead` are
    those of a mask."""
    key_M = torch.arange(keys, device=device)
    distance_QM = key_M[keys - queries :, None] - key_M
    return (-distance_QM <= (keys if ahead is None else ahead)) & (distance_QM < (keys if reach is None else reach))


def assign_dense(module: nn.Module, field: str, value: Weight) -> None:
    """Copy `value` into the module's tensor of that name, dequantized and cast to its dtype."""
    dense = value.dequantize() if isinstance(value, Grouped) else value
    module.get_buffer(field).copy_(dense)


def whole(lengths: Sequence[int], segments_T: Tensor | None = None) -> Batch:
    """The batch of sequences with these lengths, nothing cached and no pages."""
    starts = torch.tensor([0, *lengths]).cumsum(0).int()
    positions = torch.cat([torch.arange(n) for n in lengths])
    return Batch(positions, starts, torch.zeros(len(lengths), dtype=torch.int32), segments_T=segments_T)
