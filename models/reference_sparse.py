"""What the reference backend does for mixers of models/spec/sparse.py: all scores of a sequence, most of them masked.
Ground truth, as models/reference.py is."""

import torch
from torch import Tensor

from models.batch import Batch
from models.masks import may_see
from models.ops import wide
from models.spec import LocalGlobalAttention


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
