"""Diagonal state spaces over several tokens. Q tokens of one sequence, L of them in a chunk, F frequencies; C channels, N modes."""

import torch
from torch import Tensor

from models.ops import wide

CHUNK = 64  # tokens


def by_fft(x_QC: Tensor, poles_CN: Tensor, residues_CN: Tensor, state_CN2: Tensor) -> tuple[Tensor, Tensor]:
    """What recurrence.diagonal computes: within chunks by convolution with the modes' kernel, in the frequency domain."""
    longest = min(CHUNK, len(x_QC))
    powers_LCN = powers(poles_CN, longest)
    spectrum_FC = torch.fft.rfft(2 * (residues_CN * powers_LCN).sum(-1).real, 2 * longest, 0)
    parts: list[Tensor] = []
    state_CN = torch.view_as_complex(state_CN2)
    for x_LC in wide(x_QC).split(CHUNK):
        powers_now_LCN = powers_LCN[: len(x_LC)]
        within_LC = torch.fft.irfft(torch.fft.rfft(x_LC, 2 * longest, 0) * spectrum_FC, 2 * longest, 0)[: len(x_LC)]
        parts.append(within_LC + 2 * (residues_CN * poles_CN * state_CN * powers_now_LCN).sum(-1).real)
        taken_CN = torch.einsum("lc,lcn->cn", x_LC.flip(0).to(powers_LCN.dtype), powers_now_LCN)
        state_CN = poles_CN * powers_now_LCN[-1] * state_CN + taken_CN
    return torch.cat(parts), torch.view_as_real(state_CN)


def powers(poles_CN: Tensor, count: int) -> Tensor:
    """[count, C, N]: to the power of 0, 1, 2, ...; by doubling, which rounds seldom."""
    found_LCN, next_CN = torch.ones_like(poles_CN)[None], poles_CN
    while len(found_LCN) < count:
        found_LCN, next_CN = torch.cat([found_LCN, found_LCN * next_CN]), next_CN * next_CN
    return found_LCN[:count]
