"""Diagonal state spaces over several tokens. Q tokens of one sequence, L of them in a chunk, F frequencies; C channels, N modes."""

import torch
from torch import Tensor

from models.ops import wide

CHUNK = 64  # tokens


def by_fft(x_QC: Tensor, poles_CN: Tensor, residues_CN: Tensor, state_CN2: Tensor) -> tuple[Tensor, Tensor]:
    """What recurrence.diagonal computes: within chunks by convolution with the modes' kernel, in the frequency domain; from chunk to
    chunk by products with the poles' powers."""
    longest, parts = min(CHUNK, len(x_QC)), list[Tensor]()
    powers_CLN = powers(poles_CN, longest)
    parts_CLO, read_CN = torch.cat([powers_CLN.real, powers_CLN.imag], -1), 2 * residues_CN
    kernel_CL = _read(parts_CLO, read_CN)
    spectrum_CF = torch.fft.rfft(kernel_CL, 2 * longest)
    state_CN = torch.view_as_complex(state_CN2)
    for x_CL in wide(x_QC).T.split(CHUNK, 1):
        now_CLO = parts_CLO[:, : x_CL.shape[1]]
        within_CL = torch.fft.irfft(torch.fft.rfft(x_CL, 2 * longest) * spectrum_CF, 2 * longest)[:, : x_CL.shape[1]]
        parts.append(within_CL + _read(now_CLO, read_CN * poles_CN * state_CN))
        taken_CN = torch.complex(*(x_CL.flip(1)[:, None] @ now_CLO)[:, 0].chunk(2, -1))
        state_CN = poles_CN * powers_CLN[:, x_CL.shape[1] - 1] * state_CN + taken_CN
    return torch.cat(parts, 1).T, torch.view_as_real(state_CN)


def _read(parts_CLO: Tensor, by_CN: Tensor) -> Tensor:
    """float32 [C, L]: real parts of the powers times `by`, summed. O: real parts, then imaginary ones."""
    return (parts_CLO @ torch.cat([by_CN.real, -by_CN.imag], -1)[..., None])[..., 0]


def powers(poles_CN: Tensor, count: int) -> Tensor:
    """[C, count, N]: to the power of 0, 1, 2, ...; by doubling, which rounds seldom."""
    found_CLN, next_CN = torch.ones_like(poles_CN)[:, None], poles_CN
    while found_CLN.shape[1] < count:
        found_CLN, next_CN = torch.cat([found_CLN, found_CLN * next_CN[:, None]], 1), next_CN * next_CN
    return found_CLN[:, :count]
