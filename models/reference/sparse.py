"""What the reference backend does for mixers of models/spec/sparse.py: all scores of a sequence, most of them masked.
Ground truth, as models/reference is."""

import torch
from torch import Tensor

from models.batch import Batch
from models.masks import may_see, padded
from models.ops import wide
from models.parts.lsh import keys_of
from models.spec import LocalGlobalAttention, LshAttention, Ring, Sorted


class LocalGlobal:
    """Implements models.batch.LocalGlobal."""

    def __init__(self, spec: LocalGlobalAttention) -> None:
        self._spec = spec

    def near(self, q_THK: Tensor, k_THK: Tensor, v_THK: Tensor, batch: Batch) -> Tensor:
        return torch.cat([self._near(q_THK[r], k_THK[r], v_THK[r], batch.globals_T[r]) for r, _ in batch.spans])

    def everywhere(self, q_NHK: Tensor, k_THK: Tensor, v_THK: Tensor, batch: Batch) -> Tensor:
        counts = [int(batch.globals_T[r].sum()) for r, _ in batch.spans]
        parts = zip(q_NHK.split(counts), batch.spans, strict=True)
        return torch.cat([_mixed(q, k_THK[r], v_THK[r], torch.ones(len(q), len(k_THK[r]), dtype=torch.bool)) for q, (r, _) in parts])

    def _near(self, q_MHK: Tensor, k_MHK: Tensor, v_MHK: Tensor, globals_M: Tensor) -> Tensor:
        at_M = torch.arange(len(q_MHK))
        return _mixed(q_MHK, k_MHK, v_MHK, may_see(self._spec.mask, at_M[:, None], at_M) | globals_M)


def _mixed(q_QHK: Tensor, k_MHK: Tensor, v_MHK: Tensor, may_QM: Tensor) -> Tensor:
    """out_QHK; softmax in float32."""
    scores_HQM = torch.einsum("qhk,mhk->hqm", wide(q_QHK), wide(k_MHK)) * q_QHK.shape[-1] ** -0.5
    weights_HQM = scores_HQM.masked_fill(~may_QM, -torch.inf).softmax(-1)
    return torch.einsum("hqm,mhk->qhk", weights_HQM, wide(v_MHK)).to(q_QHK.dtype)


ITSELF = -1e5  # the score of a token for itself: too little beside any other's


def lsh(spec: LshAttention, qk_MHK: Tensor, v_MHK: Tensor, buckets_MHR: Tensor) -> Tensor:
    """out_MHK of one sequence. Each round is a softmax of its own, and their results are mixed by their sums of exponentials:
    one softmax over all rounds, in which a key counts as many times as rounds show it."""
    scores_HQM = torch.einsum("qhk,mhk->hqm", wide(qk_MHK), wide(keys_of(qk_MHK)))
    scores_HQM = scores_HQM.masked_fill(torch.eye(len(qk_MHK), dtype=torch.bool), ITSELF)
    weights_HQM = (scores_HQM + shown(spec.mask, buckets_MHR.permute(1, 2, 0)).to(scores_HQM).log()).softmax(-1)
    return torch.einsum("hqm,mhk->qhk", weights_HQM, wide(v_MHK)).to(qk_MHK.dtype)


def shown(mask: Sorted | Ring, buckets_HRM: Tensor) -> Tensor:
    """int64 [H, Q, M]: how many times each token of a sequence is shown to each."""
    heads = [_shown(mask, buckets_RM) for buckets_RM in buckets_HRM]
    return torch.stack(heads)


def _shown(mask: Sorted | Ring, buckets_RM: Tensor) -> Tensor:
    match mask:
        case Sorted(size=size):
            rows = [_up_to(mask, buckets_RM[:, :n]) if n > size else torch.ones(n).long() for n in range(1, buckets_RM.shape[1] + 1)]
            return torch.stack([torch.cat([row, row.new_zeros(buckets_RM.shape[1] - len(row))]) for row in rows])
        case Ring():
            return _around(mask, buckets_RM)


def _up_to(mask: Sorted, buckets_RN: Tensor) -> Tensor:
    """int64 [N]: to the last of N tokens. Where they are fewer than it looks at, the circle shows some of them twice."""
    tokens, total = buckets_RN.shape[1], torch.zeros(buckets_RN.shape[1], dtype=torch.int64)
    for order_N in buckets_RN.argsort(stable=True):
        place = int((order_N == tokens - 1).nonzero())
        first = (place // mask.size - mask.before) * mask.size
        window = torch.arange(first, first + (1 + mask.before) * mask.size) % tokens
        total += order_N[window].bincount(minlength=tokens)
    return total


def _around(mask: Ring, buckets_RM: Tensor) -> Tensor:
    """int64 [Q, M]. Sorted by bucket, all rounds lie behind one another in one circle of chunks; tokens that only fill up the
    last chunk have a bucket of their own, behind all others."""
    tokens, total = buckets_RM.shape[1], padded(mask, buckets_RM.shape[1])
    if total <= mask.size:
        return torch.ones(tokens, tokens, dtype=torch.int64)
    filled_RM = torch.nn.functional.pad(buckets_RM, (0, total - tokens), value=int(buckets_RM.max()) + 1)
    chunk_CM = filled_RM.argsort(stable=True).reshape(-1, mask.size)
    out_QM = torch.zeros(total, total, dtype=torch.int64)
    for i, own in enumerate(chunk_CM):
        for j in range(i - mask.before, i + mask.after + 1):
            out_QM[own[:, None], chunk_CM[j % len(chunk_CM)]] += 1
    return out_QM[:tokens, :tokens]
