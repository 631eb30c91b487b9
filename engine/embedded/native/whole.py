"""Attention of whole sequences, in both directions, as encoders have it."""

import torch
from torch import Tensor

from engine.embedded.kernels import library as k
from engine.embedded.native.offsets import OffsetTable
from engine.embedded.native.ops import Kernels
from models.batch import Batch
from models.score_bias import PLAIN, Scoring, scale_of
from models.spec import Attention, Neighbourhood


class WholeAttention:
    """The leaf: every sequence looks at itself. Remembers nothing."""

    def __init__(self, kernels: Kernels, spec: Attention) -> None:
        self._kernels, self._spec = kernels, spec
        self._distance = spec.mask.distance if isinstance(spec.mask, Neighbourhood) else 0
        self._offsets = OffsetTable(spec, ahead=True, scale=scale_of(spec))

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
        spec, run, starts = self._spec, self._kernels.run, batch.starts_S1
        g, d, h = spec.kv_heads, spec.head_dim, spec.heads
        tokens, sequences = len(q_THK), len(starts) - 1
        blocks = tokens // k.PAGE + sequences + 1
        self._kernels.watch(starts[-1:])
        keys, values = (self._kernels.empty(g, blocks, k.PAGE, d, dtype=torch.bfloat16) for _ in range(2))
        strides = (k_TGK.stride(0), k_TGK.stride(1), v_TGK.stride(0), v_TGK.stride(1))
        run(k.ARRANGE, (k_TGK, v_TGK, starts, keys, values), (tokens, sequences, g, d, *strides, blocks))
        out_THK = self._kernels.empty(tokens, h, d)
        sizes = (tokens, sequences, h, g, d, q_THK.stride(0), q_THK.stride(1), blocks, self._distance, self._offsets.far)
        run(k.ATTEND_WHOLE, (q_THK, keys, values, starts, out_THK, self._offsets(scoring.relative)), sizes, (scale_of(spec),))
        return out_THK
