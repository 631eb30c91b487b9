"""Recurrences step by step, as their papers define them: the truth that every faster form is compared with.

Q tokens of one sequence; C channels; I inner channels, N numbers of state, H heads, K and V key and value dimensions. States are
float32 and come before the first token; what comes after the last is returned beside the rows.
"""

import torch
from torch import Tensor

from models.batch import DeltaRows
from models.ops import wide


def convolve(x_QC: Tensor, weight_CW: Tensor, bias_C: Tensor | None, before_CJ: Tensor) -> tuple[Tensor, Tensor]:
    """Each channel's own causal convolution over W tokens, the last tap being the token itself. (y_QC, the last J = W - 1 inputs of
    each channel); `before_CJ`: those before the first token."""
    x_CM = torch.cat([before_CJ, x_QC.T], 1)
    y_CQ = torch.nn.functional.conv1d(x_CM[None], weight_CW[:, None], bias_C, groups=len(weight_CW))[0]
    return y_CQ.T, x_CM[:, len(x_QC) :]


def scan(x_QI: Tensor, step_QI: Tensor, a_IN: Tensor, b_QN: Tensor, c_QN: Tensor, state_IN: Tensor) -> tuple[Tensor, Tensor]:
    """Selective scan (arXiv 2312.00752, equation 2 with the discretization of its section 3.3): every channel's state decays by
    exp(step * a), takes in step * x along b, and is read along c. (y_QI float32, state_IN)"""
    rows: list[Tensor] = []
    for x_I, step_I, b_N, c_N in zip(wide(x_QI), wide(step_QI), wide(b_QN), wide(c_QN), strict=True):
        state_IN = (step_I[:, None] * a_IN).exp() * state_IN + (step_I * x_I)[:, None] * b_N
        rows.append(state_IN @ c_N)
    return torch.stack(rows), state_IN


def recur(q_QHK: Tensor, k_QHK: Tensor, v_QHV: Tensor, decay_QH: Tensor, state_HKV: Tensor) -> tuple[Tensor, Tensor]:
    """Linear attention with decay (arXiv 2405.21060, section 2.3): a head's state decays by exp(decay), takes in the outer product
    of key and value, and is read along the query. (o_QHV float32, state_HKV)"""
    rows: list[Tensor] = []
    for q_HK, k_HK, v_HV, decay_H in zip(wide(q_QHK), wide(k_QHK), wide(v_QHV), wide(decay_QH), strict=True):
        state_HKV = decay_H.exp()[:, None, None] * state_HKV + k_HK[:, :, None] * v_HV[:, None]
        rows.append(torch.einsum("hk,hkv->hv", q_HK, state_HKV))
    return torch.stack(rows), state_HKV


def delta(rows_Q: DeltaRows, state_HKV: Tensor) -> tuple[Tensor, Tensor]:
    """Linear attention whose state forgets along one direction more than along others, and takes in there what it is told to. A gated
    delta net (arXiv 2412.06464) replaces what the state holds for a key by the value, or a part b of it: a = -b exp(decay) k, b = k, and
    v is b v. With a decay of each channel's own it is Kimi's delta attention (arXiv 2510.26692); in RWKV-7 (arXiv 2503.14456, equation
    17, of which this state is the transpose) a and b are free. (o_QHV float32, state_HKV)"""
    r, out = rows_Q.each(wide), list[Tensor]()
    for q_HK, k_HK, v_HV, decay_HK, a_HK, b_HK in zip(r.q_THK, r.k_THK, r.v_THV, r.decay_THK, r.a_THK, r.b_THK, strict=True):
        found_HV = torch.einsum("hk,hkv->hv", a_HK, state_HKV)
        state_HKV = decay_HK.exp()[..., None] * state_HKV + b_HK[..., None] * found_HV[:, None] + k_HK[..., None] * v_HV[:, None]
        out.append(torch.einsum("hk,hkv->hv", q_HK, state_HKV))
    return torch.stack(out), state_HKV


def diagonal(x_QC: Tensor, poles_CN: Tensor, residues_CN: Tensor, state_CN2: Tensor) -> tuple[Tensor, Tensor]:
    """A linear time-invariant state space of pairs of conjugate modes (arXiv 2206.11893, section 3): each mode is multiplied by its
    pole, takes in the channel's input, and counts as its residue says. (y_QC float32, state_CN2, real and imaginary parts)"""
    rows: list[Tensor] = []
    state_CN = torch.view_as_complex(state_CN2)
    for x_C in wide(x_QC):
        state_CN = poles_CN * state_CN + x_C[:, None]
        rows.append(2 * (residues_CN * state_CN).sum(-1).real)
    return torch.stack(rows), torch.view_as_real(state_CN)
