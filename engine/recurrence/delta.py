"""The generalized delta rule (models.reference.recurrence.delta) in plain torch: one token of several sequences, and several tokens of
one in chunks.

S sequences, H heads, K and V key and value dimensions, Q tokens of one sequence, L of them in a chunk; X rows that read (each token's a,
then each token's q), Y rows that are written (each token's b, then each token's k).
"""

import torch
from torch import Tensor

from models.batch import DeltaRows

CHUNK = 64  # tokens
CHANNELS_CHUNK = 16  # where each channel decays by itself: what is written in a chunk decays token by token


def step(rows_S: DeltaRows, state_SHKV: Tensor) -> tuple[Tensor, Tensor]:
    """One token of each sequence. (o_SHV, state_SHKV)"""
    found_SHV = torch.einsum("shk,shkv->shv", rows_S.a_THK, state_SHKV)
    written_SH2K = torch.stack([rows_S.b_THK, rows_S.k_THK], 2)
    state_SHKV = rows_S.decay_THK.exp()[..., None] * state_SHKV + written_SH2K.mT @ torch.stack([found_SHV, rows_S.v_THV], 2)
    return torch.einsum("shk,shkv->shv", rows_S.q_THK, state_SHKV), state_SHKV


def in_chunks(rows_Q: DeltaRows, state_HKV: Tensor) -> tuple[Tensor, Tensor]:
    """What recurrence.delta computes. (o_QHV, state_HKV)"""
    size, parts = CHUNK if rows_Q.decay_THK.shape[-1] == 1 else CHANNELS_CHUNK, list[Tensor]()
    for start in range(0, len(rows_Q.q_THK), size):
        o_HLV, state_HKV = _chunk(rows_Q[start : start + size].each(lambda t: t.transpose(0, 1)), state_HKV)
        parts.append(o_HLV.transpose(0, 1))
    return torch.cat(parts), state_HKV


def _chunk(r: DeltaRows, state_HKV: Tensor) -> tuple[Tensor, Tensor]:
    """Heads come first here. What every token finds in the state along its a solves a triangular system, since each sees what those
    before it left (the WY form of arXiv 2406.06484, for any a and b); the rest are matrix products."""
    tokens, since_HLK = r.q_THK.shape[1], r.decay_THK.double().cumsum(1)
    scores_HXY, left_HYK = (_head_decays if r.decay_THK.shape[-1] == 1 else _channel_decays)(r)
    until_HXK = torch.cat([since_HLK - r.decay_THK, since_HLK], 1).exp().to(state_HKV.dtype)
    known_HXV = (torch.cat([r.a_THK, r.q_THK], 1) * until_HXK) @ state_HKV + scores_HXY[..., tokens:] @ r.v_THV
    unit_HLL = torch.eye(tokens, dtype=state_HKV.dtype, device=state_HKV.device) - scores_HXY[:, :tokens, :tokens]
    found_HLV = torch.linalg.solve_triangular(unit_HLL, known_HXV[:, :tokens], upper=False, unitriangular=True)
    o_HLV = known_HXV[:, tokens:] + scores_HXY[:, tokens:, :tokens] @ found_HLV
    return o_HLV, until_HXK[:, -1, :, None] * state_HKV + left_HYK.mT @ torch.cat([found_HLV, r.v_THV], 1)


def _head_decays(r: DeltaRows) -> tuple[Tensor, Tensor]:
    """scores_HXY: what each token reads of what each wrote, after all decays between; left_HYK: what is left of it behind the last. A
    token's a reads what was written before it, its q also what it wrote itself. Decays are exponentials of differences of sums, which
    are 0 at most; sums in float64, whose difference is exact enough."""
    since_HL1, tokens = r.decay_THK.double().cumsum(1), r.q_THK.shape[1]
    order_LL = torch.ones(tokens, tokens, dtype=torch.bool, device=since_HL1.device).tril()
    until_HX1 = torch.cat([since_HL1 - r.decay_THK, since_HL1], 1)
    between_HXL = (until_HX1 - since_HL1.mT).masked_fill(~torch.cat([order_LL.tril(-1), order_LL]), -torch.inf).exp().to(r.q_THK.dtype)
    writes_HYK = torch.cat([r.b_THK, r.k_THK], 1)
    scores_HXY = (torch.cat([r.a_THK, r.q_THK], 1) @ writes_HYK.mT) * between_HXL.repeat(1, 1, 2)
    return scores_HXY, writes_HYK * (since_HL1[:, -1:] - since_HL1).exp().to(writes_HYK.dtype).repeat(1, 2, 1)


def _channel_decays(r: DeltaRows) -> tuple[Tensor, Tensor]:
    """The same, token after token: what was written decays, is read, and grows by two rows. No chunk of matrix products alone is as
    safe: its decays would be ratios."""
    heads, tokens, _ = r.q_THK.shape
    left_HLYK = torch.stack([r.b_THK, r.k_THK], 2)
    scores_HXLY = r.q_THK.new_zeros(heads, 2 * tokens, tokens, 2)
    for i, decay_HK in enumerate(r.decay_THK.exp().unbind(1)):
        before_HLYK = left_HLYK[:, :i]
        scores_HXLY[:, i, :i] = (before_HLYK.flatten(1, 2) @ r.a_THK[:, i, :, None]).view(heads, i, 2)
        before_HLYK *= decay_HK[:, None, None]
        scores_HXLY[:, tokens + i, : i + 1] = (left_HLYK[:, : i + 1].flatten(1, 2) @ r.q_THK[:, i, :, None]).view(heads, i + 1, 2)
    return scores_HXLY.transpose(2, 3).flatten(2), left_HLYK.transpose(1, 2).flatten(1, 2)
