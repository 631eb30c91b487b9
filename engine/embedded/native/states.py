"""States in slots on the kernels, all of them in float32.

T tokens; C and I channels, N numbers of state, H heads, G groups of them, K and V key and value dimensions.
"""

import torch
from torch import Tensor

from engine.embedded.kernels import library as k
from engine.embedded.kernels.packing import LANES
from engine.embedded.native.ops import Kernels
from models.batch import Batch, DeltaRows, LinearRows
from models.spec import ChannelDecay, LinearAttention, Mamba, Mamba2, ShortConv, Slot


def fits_states(m: Mamba | Mamba2 | ShortConv | LinearAttention) -> bool:
    """Whether there are kernels for its sizes and its decay."""
    if isinstance(m, LinearAttention) and isinstance(m.decay, ChannelDecay):
        return False
    return (m.kernel is None or 2 <= m.kernel <= k.MAX_TAPS) and (not isinstance(m, Mamba) or m.state <= k.MAX_STATE)


class SlotStates:
    """Implements models.batch.Recurrence but for `delta` and `diagonal`: one layer's states of one kind, each slot in the order that its
    kernel reads it in. The last slot but one holds zeros, from which new sequences begin; the last takes what padding writes."""

    def __init__(self, kernels: Kernels, slot: Slot, slots: int) -> None:
        self._kernels = kernels
        # The operating system gives memory when it is first written.
        self.states = torch.zeros(slots + 2, *_shape(slot))

    def convolve(self, x_TC: Tensor, weight_CW: Tensor, bias_C: Tensor | None, batch: Batch) -> Tensor:
        y_TC, (channels, taps) = self._kernels.empty(*x_TC.shape), weight_CW.shape
        given = (x_TC, weight_CW, bias_C, self.states, *self._where(batch), y_TC)
        self._kernels.run(k.CONVOLVE, given, (_sequences(batch), channels, taps, x_TC.stride(0)))
        return y_TC

    def scan(self, x_TI: Tensor, step_TI: Tensor, a_IN: Tensor, b_TN: Tensor, c_TN: Tensor, batch: Batch) -> Tensor:
        y_TI = self._kernels.empty(*x_TI.shape)
        strides = (t.stride(0) for t in (x_TI, step_TI, b_TN, c_TN))
        given = (x_TI, step_TI, a_IN, b_TN, c_TN, self.states, *self._where(batch), y_TI)
        self._kernels.run(k.SCAN, given, (_sequences(batch), *a_IN.shape, *strides))
        return y_TI

    def recur(self, rows: LinearRows, batch: Batch) -> Tensor:
        return self._linear(k.RECUR, rows, batch)

    def replace(self, rows: LinearRows, batch: Batch) -> Tensor:
        return self._linear(k.REPLACE, rows, batch)

    def _linear(self, code: int, rows: LinearRows, batch: Batch) -> Tensor:
        q_TGK, k_TGK, v_THV = rows.q_TGK, rows.k_TGK, rows.v_THV
        (_, groups, keys), (tokens, heads, values) = q_TGK.shape, v_THV.shape
        o_THV = self._kernels.empty(tokens, heads, values)
        strides = (t.stride(i) for t in (q_TGK, k_TGK, v_THV) for i in (0, 1))
        given = (q_TGK, k_TGK, v_THV, rows.decay_TH, rows.share_TH, self.states, *self._where(batch), o_THV)
        self._kernels.run(code, given, (_sequences(batch), heads, groups, keys, values, *strides, rows.decay_TH.stride(0)))
        return o_THV

    def delta(self, rows: DeltaRows, batch: Batch) -> Tensor:
        raise NotImplementedError("states whose channels decay apart run on the torch backend only")

    def diagonal(self, x_TC: Tensor, poles_CN: Tensor, residues_CN: Tensor, batch: Batch) -> Tensor:
        raise NotImplementedError("complex states run on the torch backend only")

    def _where(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        if batch.slots is None:
            raise ValueError("the batch names no slots: this model has states")
        self._kernels.watch(batch.starts_S1[-1:])
        return batch.starts_S1, batch.slots.read_S, batch.slots.write_S


def _sequences(batch: Batch) -> int:
    return len(batch.cached_S)


def _shape(slot: Slot) -> tuple[int, ...]:
    """As the kernels lay out a slot: tokens by channels, blocks of channels by numbers of state, or heads by keys by values."""
    match slot.shape:
        case (channels, tokens) if not slot.wide:
            return tokens, channels
        case (channels, numbers):
            return -(-channels // LANES), numbers, LANES
        case (heads, keys, values):
            return heads, keys, -(-values // LANES) * LANES
        case other:
            raise NotImplementedError(f"no kernel knows states of the shape {other}")
