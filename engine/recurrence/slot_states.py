"""States in slots, in plain torch: one token each in a few batched operations, several tokens in chunks.

T tokens, S sequences, Q tokens of one sequence, L of them in a chunk; C channels, I inner channels, N numbers of state, H heads, K and V
key and value dimensions.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from engine.recurrence import delta, diagonal
from models.batch import Batch, DeltaRows, LinearRows, Slots
from models.ops import wide
from models.reference import recurrence

CHUNK = 64  # tokens


class SlotStates:
    """Implements models.batch.Recurrence: one layer's states of one kind, [slots, ...], read and written where `Batch.slots` says."""

    def __init__(self, states: Tensor) -> None:
        self.states = states

    def convolve(self, x_TC: Tensor, weight_CW: Tensor, bias_C: Tensor | None, batch: Batch) -> Tensor:
        slots = _slots(batch)
        if len(x_TC) != len(slots.read_S):
            return self._each(batch, slots, lambda rows, state_CJ: recurrence.convolve(x_TC[rows], weight_CW, bias_C, state_CJ))
        x_SCW = torch.cat([self.states[slots.read_S.long()], x_TC[..., None]], -1)
        self.states[slots.write_S.long()] = x_SCW[..., 1:]
        y_SC = (x_SCW * weight_CW).sum(-1)
        return y_SC if bias_C is None else y_SC + bias_C

    def scan(self, x_TI: Tensor, step_TI: Tensor, a_IN: Tensor, b_TN: Tensor, c_TN: Tensor, batch: Batch) -> Tensor:
        slots = _slots(batch)
        if len(x_TI) != len(slots.read_S):

            def several(rows: slice, state_IN: Tensor) -> tuple[Tensor, Tensor]:
                return recurrence.scan(x_TI[rows], step_TI[rows], a_IN, b_TN[rows], c_TN[rows], state_IN)

            return self._each(batch, slots, several)
        decay_SIN = (step_TI[..., None] * a_IN).exp()
        state_SIN = decay_SIN * self.states[slots.read_S.long()] + (step_TI * x_TI)[..., None] * wide(b_TN)[:, None]
        self.states[slots.write_S.long()] = state_SIN
        return (state_SIN @ wide(c_TN)[..., None])[..., 0]

    def recur(self, rows: LinearRows, batch: Batch) -> Tensor:
        slots, (q_THK, k_THK, v_THV, decay_TH) = _slots(batch), rows.of_heads
        if len(q_THK) != len(slots.read_S):

            def several(rows: slice, state_HKV: Tensor) -> tuple[Tensor, Tensor]:
                if state_HKV[0].numel() == 1:  # a step is less than its share of a chunk's square
                    return recurrence.recur(q_THK[rows], k_THK[rows], v_THV[rows], decay_TH[rows], state_HKV)
                return in_chunks(q_THK[rows], k_THK[rows], v_THV[rows], decay_TH[rows], state_HKV)

            return self._each(batch, slots, several)
        state_SHKV = decay_TH.exp()[..., None, None] * self.states[slots.read_S.long()] + k_THK[..., None] * v_THV[:, :, None]
        self.states[slots.write_S.long()] = state_SHKV
        return torch.einsum("shk,shkv->shv", q_THK, state_SHKV)

    def replace(self, rows: LinearRows, batch: Batch) -> Tensor:
        return self.delta(rows.replacing, batch)

    def delta(self, rows: DeltaRows, batch: Batch) -> Tensor:
        slots, rows = _slots(batch), rows.each(wide)
        if len(rows.q_THK) != len(slots.read_S):
            return self._each(batch, slots, lambda own, state_HKV: delta.in_chunks(rows[own], state_HKV))
        o_SHV, state_SHKV = delta.step(rows, self.states[slots.read_S.long()])
        self.states[slots.write_S.long()] = state_SHKV
        return o_SHV

    def diagonal(self, x_TC: Tensor, poles_CN: Tensor, residues_CN: Tensor, batch: Batch) -> Tensor:
        slots = _slots(batch)
        if len(x_TC) != len(slots.read_S):
            several = recurrence.diagonal if x_TC.device.type == "cpu" else diagonal.by_fft  # a step is little work in a few calls
            return self._each(batch, slots, lambda rows, state_CN2: several(x_TC[rows], poles_CN, residues_CN, state_CN2))
        state_SCN = poles_CN * torch.view_as_complex(self.states[slots.read_S.long()]) + wide(x_TC)[..., None]
        self.states[slots.write_S.long()] = torch.view_as_real(state_SCN)
        return 2 * (residues_CN * state_SCN).sum(-1).real

    def _each(self, batch: Batch, slots: Slots, compute: Callable[[slice, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        """One sequence after the other: `compute` makes rows and the state behind them of a sequence's rows and the state before."""
        parts: list[Tensor] = []
        for s, (rows, _) in enumerate(batch.spans):
            part, state = compute(rows, self.states[slots.read_S[s]])
            self.states[slots.write_S[s]] = state
            parts.append(part)
        return torch.cat(parts)


def in_chunks(q_QHK: Tensor, k_QHK: Tensor, v_QHV: Tensor, decay_QH: Tensor, state_HKV: Tensor) -> tuple[Tensor, Tensor]:
    """What recurrence.recur computes, by matrix products within chunks (arXiv 2405.21060, section 6). Decays between two tokens are
    exponentials of differences, which cannot overflow; of sums in float64, whose difference is exact enough."""
    parts: list[Tensor] = []
    for q_LHK, k_LHK, v_LHV, decay_LH in zip(*(t.split(CHUNK) for t in (q_QHK, k_QHK, v_QHV, decay_QH)), strict=True):
        since_HL = decay_LH.double().cumsum(0).T
        within_HLL = (since_HL[:, :, None] - since_HL[:, None]).tril().exp().tril().to(q_LHK.dtype)
        scores_HLL = torch.einsum("qhk,mhk->hqm", q_LHK, k_LHK) * within_HLL
        before_LHV = torch.einsum("qhk,hkv->qhv", q_LHK * since_HL.T.exp().to(q_LHK.dtype)[..., None], state_HKV)
        parts.append(torch.einsum("hqm,mhv->qhv", scores_HLL, v_LHV) + before_LHV)
        left_LH, all_H = (since_HL[:, -1:] - since_HL).exp().T.to(q_LHK.dtype), since_HL[:, -1].exp().to(q_LHK.dtype)
        state_HKV = all_H[:, None, None] * state_HKV + torch.einsum("mhk,mhv->hkv", k_LHK * left_LH[..., None], v_LHV)
    return torch.cat(parts), state_HKV


def _slots(batch: Batch) -> Slots:
    if batch.slots is None:
        raise ValueError("the batch names no slots: this model has states")
    return batch.slots
